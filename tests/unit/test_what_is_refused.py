"""Values that are no landing, no policy, no code: one sentence, when they are given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kvmexit import guest, kernel, packet, probe, vmm
from kvmexit.errors import KvmExitError, said
from kvmexit.kernel.recorded import RecordedKernel
from kvmexit.kernel.recorder import Recorder

KERNEL = kernel.SimulatedKernel(limit=20_000)
RESPONSE = packet.response_of(12)
HLT = b"\xf4"


def scenario(**parts: Any) -> packet.Scenario:
    return packet.Scenario(**{"response": RESPONSE} | parts)


def machine(policy: Any = vmm.POLICIES["drain"], **parts: Any) -> vmm.Machine:
    return vmm.Machine(KERNEL, vmm.Bus(vmm.Tis(b"x")), KERNEL.create_vm(4096), policy, **parts)


def at(landing: Any) -> packet.Result:
    return packet.run(KERNEL, scenario(), landing)


def other_lengths() -> list[packet.Sweep]:
    longer = packet.Scenario(packet.response_of(13))
    return packet.sweep_policies(KERNEL, [scenario(), longer])


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no source": (lambda: guest.assemble(None), "takes the text of a program, not None"),
    "bytes as source": (lambda: guest.assemble(HLT), "takes the text of a program, not b'"),
    "origin nan": (
        lambda: guest.assemble("hlt", float("nan")),
        "cannot stand at nan: addresses",
    ),
    "origin text": (lambda: guest.assemble("hlt", "x"), "cannot stand at 'x': addresses"),
    "decode text": (lambda: guest.decode("f4", 0), "decode takes bytes and their address"),
    "decode nowhere": (lambda: guest.decode(HLT, None), "decode takes bytes and their address"),
    "no driver": (lambda: guest.tis_driver("x"), "unknown program 'x'; known: driver"),
    "half a byte": (lambda: packet.response_of(1.5), "1 to 4096 bytes, not 1.5"),
    "a response of text": (lambda: scenario(response="abc"), "a response is bytes, not 'abc'"),
    "a bytearray": (lambda: scenario(response=bytearray(3)), "a response is bytes, not bytearray"),
    "no response": (lambda: scenario(response=None), "a response is bytes, not None"),
    **{
        f"no {part}": (lambda part=part: scenario(**{part: None}), f"unknown {part} None; known: ")
        for part in ("device", "policy", "compensation", "restore", "program", "saved")
    },
    "landing 0": (lambda: at(packet.Landing(0, data_only=True)), "landings count from 1, not 0"),
    "landing 1.5": (lambda: at(packet.Landing(1.5)), "landings count from 1, not 1.5"),
    "phase by name": (
        lambda: at(packet.Landing(1, "served")),
        "a phase is one of Phase.U",
    ),
    "a number": (lambda: at(5), r"a landing is Landing.exit, phase., not 5"),
    "no landing": (
        lambda: packet.machine_at(KERNEL, scenario(), None),
        r"a landing is Landing.exit, phase., not None",
    ),
    "sweeps of two lengths": (other_lengths, "differ in more than how they stop"),
    "a restore": (lambda: machine(restore="here"), "unknown restore 'here'; known: new-vm, "),
    "what is saved": (lambda: machine(saved="all"), "unknown way to save 'all'; known: whole, "),
    "a policy's name": (lambda: machine("drain"), "stops by a Policy, not by 'drain': POLICIES"),
    "a TPM of text": (lambda: vmm.Tis("abc"), "a response is bytes, not 'abc'"),
    "past_end": (lambda: vmm.Tis(b"x", 256), "past_end is a byte, 0 to 255, not 256"),
    "kick": (lambda: list(packet.kick_races([])), r"unknown kick \[\]; known: "),
    "two vCPUs": (lambda: packet.survives(0, two_phases=True), "landings count from 1, not 0"),
    "suspends": (lambda: packet.long_test(scenario(), 1.5), "at least one suspend, not 1.5"),
    "seed": (lambda: packet.long_test(scenario(), 1, [1]), r"a seed is an integer, not \[1\]"),
    "race": (lambda: packet.race(KERNEL, scenario(), 1), "a race is run on real KVM, not on <Sim"),
    "clock": (
        lambda: packet.simulate(scenario(), packet.Cycle(), 0),
        "at least one suspend, not 0",
    ),
    "period": (lambda: packet.Cycle(period=-1), "period is a number of seconds, not -1"),
    "think": (lambda: packet.Cycle(think=float("nan")), "think is a number of seconds, not nan"),
    "outside": (lambda: packet.Costs(outside=2), "outside is a share, 0 to 1, not 2"),
    "round trip": (lambda: packet.Costs(round_trip=0), "round_trip is seconds above 0, not 0"),
    "code of text": (lambda: probe.Case("x", "f4"), "code is bytes, not 'f4'"),
    "registers": (lambda: probe.Case("x", HLT, None), "registers are a dict of names, not None"),
    "a register 5": (lambda: probe.Case("x", HLT, {5: 1}), "no register 5; known: "),
    "half a register": (lambda: probe.Case("x", HLT, {"eax": 1.5}), "eax is an integer, not 1.5"),
    "ram": (lambda: probe.Case("x", HLT, {}, ((0, "a"),)), "ram has pairs of an address and bytes"),
    "case of bytes": (lambda: probe.case("x", HLT), "takes the text of a program, not b'"),
    "restored": (
        lambda: probe.probe(KERNEL, probe.case("x", "nop"), "here"),
        "unknown restore 'here'; known: new-vm, same-vcpu",
    ),
    "saved": (
        lambda: probe.probe(KERNEL, probe.case("x", "nop"), saved="all"),
        "unknown way to save 'all'; known: whole, ",
    ),
    "recording": (lambda: RecordedKernel(None), "a recording is the path of a file, not None"),
}


@pytest.mark.parametrize("asked", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_sentence(asked: tuple[Callable[[], object], str]) -> None:
    with pytest.raises(KvmExitError, match=asked[1]) as error:
        asked[0]()
    assert "\n" not in str(error.value)


def test_no_scenario_is_no_sweep() -> None:
    assert packet.sweep_policies(KERNEL, []) == []


def test_an_error_quotes_a_value_in_one_line() -> None:
    assert said("a\nb") == r"'a\nb'" and said([0] * 1000).endswith(", 0...")
    assert said(type("Two", (), {"__repr__": lambda _: "a\n  b"})()) == "a b"
    assert said(10**5000) == "<int that cannot be shown>"


def test_a_guest_that_points_astray_has_a_message_all_the_same() -> None:
    def astray(vcpu: Any, bus: Any) -> None:
        vmm.drain(vcpu, bus)
        vcpu.set_state(
            vcpu.get_state().replace(rip=guest.tis_driver().origin + LAST, esi=0xFFFF0000)
        )

    LAST = guest.tis_driver().code.rindex(HLT)
    policy = vmm.Policy("astray", astray)
    result = packet.run(KERNEL, scenario(policy=policy), packet.Landing(20))
    assert result.ending.message == ""


@pytest.mark.parametrize("name", ["nowhere/x.json", "", "/dev/full"])
def test_a_recording_that_cannot_be_written(name: str) -> None:
    with pytest.raises(KvmExitError, match="cannot be written: "):
        Recorder(KERNEL).save(name, "nothing")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"format":"kvmexit recording 2","host":{},"nodes":[],"results":[],"roots":{},"states":[]}',
    ],
    ids=["deep", "of nobody knows where"],
)
def test_a_recording_that_is_damaged(tmp_path: Any, text: str) -> None:
    (tmp_path / "damaged.json").write_text(text)
    with pytest.raises(KvmExitError, match="damaged.json is cut short or damaged"):
        RecordedKernel(tmp_path / "damaged.json")
