"""Differential fuzzing: the simulated kernel against the real one, and the fuzz itself."""

from collections import Counter

import pytest
from kvmexit.commands.fuzz import left
from kvmexit.exits import MmioWrite, PioIn
from kvmexit.faults.faults import FAULTS
from kvmexit.guest.cpu import DF, FIXED, RF, TF, VM
from kvmexit.guest.forms import FORMS
from kvmexit.guest.x86 import decode
from kvmexit.kernel import emulator, msrs, simulated
from kvmexit.kernel.emulator import Emulator
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.cases import RAM
from kvmexit.probe.fuzz import run
from kvmexit.probe.fuzz.anomalies import ANOMALIES
from kvmexit.probe.fuzz.compare import Runner
from kvmexit.probe.fuzz.programs import Program, program
from kvmexit.probe.fuzz.run import Pair, describe, fuzz
from kvmexit.probe.fuzz.shrink import shrink
from kvmexit.probe.report import retirement_of
from patience import PATIENCE, draws

FIRST = 1_000_000
"""Seeds of the share that every test run does."""


@pytest.fixture(scope="module")
def real():
    from kvmexit.kernel.doctor import kvm_status
    from kvmexit.kernel.real import RealKernel

    status = kvm_status()
    if not status.works:
        pytest.skip(f"no /dev/kvm: {status.reason}")
    with RealKernel(limit=PATIENCE) as kernel:
        yield kernel


def simulated_like(real) -> SimulatedKernel:
    return SimulatedKernel(retirement_of(real), limit=100_000)


def test_thousands_of_programs_run_alike(real) -> None:
    programs = draws(2000, in_ci=20_000)
    tally = fuzz(real, range(FIRST, FIRST + programs), one=simulated_like(real))
    assert tally.divergence is None, describe(tally.divergence, ("simulated", "real"))
    assert tally.programs == programs
    assert tally.left.total() < tally.programs / 50


@pytest.mark.parametrize("anomaly", ANOMALIES, ids=lambda anomaly: anomaly.name)
def test_an_anomaly_of_the_real_emulator_is_mirrored(real, anomaly) -> None:
    pair = Pair(simulated_like(real), real)
    found = pair.divergence(anomaly.program)
    pair.close()
    assert found is None, describe(found, ("simulated", "real"))


def test_port_data_is_lost_when_nobody_suspends_anything() -> None:
    (anomaly,) = [one for one in ANOMALIES if one.name == "rep ins downward onto a device"]
    *_, (_, _, log) = Runner(SimulatedKernel()).run(anomaly.program).events
    taken = b"".join(data for exit, data in log if isinstance(exit, PioIn))
    arrived = b"".join(data for exit, data in log if isinstance(exit, MmioWrite))
    assert (len(taken), len(arrived)) == (6, 3)


def test_every_encoding_comes_up() -> None:
    seen = set()
    for seed in range(3000):
        for code in program(seed).instructions:
            at = 0
            while at < len(code):
                insn = decode(code[at:], 0)
                seen.add(id(insn.form))
                at += insn.length
    missing = [form for form in FORMS if id(form) not in seen]
    assert not missing


def test_the_fuzz_looks_at_every_flag_and_at_the_ends() -> None:
    programs = [program(seed) for seed in range(3000)]
    begun = [one.registers["rflags"] for one in programs]
    loaded = [s.registers["rflags"] for p in programs for s in p.saves if "rflags" in s.registers]
    for flag in (TF, RF, VM, DF, 0x200, 0x1000, 0x2000, 0x4000, 0x40000, 0x200000):
        assert any(flags & flag for flags in begun) and any(flags & flag for flags in loaded)
    assert not all(flags & FIXED for flags in loaded)
    assert {one.again for one in programs} == {0, 1, 2}
    assert {one.fill for one in programs} == {b"\xf4", b"\0"}
    ends = {address + len(code) for one in programs for address, code in one.ram}
    starts = {one.registers["rip"] for one in programs if "rip" in one.registers}
    assert RAM in ends and starts == set(range(RAM - 15, RAM))


def test_the_fuzz_draws_msrs_of_all_kinds() -> None:
    indices: dict[bytes, set[int]] = {b"\x0f\x32": set(), b"\x0f\x30": set()}
    for code in (code for seed in range(20_000) for code in program(seed).instructions):
        for access, drawn in indices.items():
            if code[0] == 0xB9 and access in code:
                drawn.add(int.from_bytes(code[1:5], "little"))
    read, written = indices.values()
    assert {msrs.read(index) for index in read} == set(msrs.Reply)
    for row in msrs.COMMON:
        members = set(range(row.first, row.last + 1))
        assert members & read and members & written


def test_what_left_the_subset_is_counted_by_its_bytes_and_by_what_the_other_did(
    real, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = ["0f0b", "0f0b", "f0 8903", "90", "3f", "66 0f a2 a2 2400d4fe"]
    programs = [Program(n, (bytes.fromhex(code),), {}, (), ()) for n, code in enumerate(codes)]
    monkeypatch.setattr(run, "program", programs.__getitem__)
    tally = fuzz(real, range(len(codes)), one=simulated_like(real))
    assert tally.divergence is None
    assert tally.left == {
        ("0f 0b", "Shutdown"): 2,
        ("f0 89", "Shutdown"): 1,
        ("3f", "InternalError"): 1,
        ("66 0f a2", "MmioWrite"): 1,
    }
    said = left(tally.left)
    assert "5 programs left the subset, all equal up to there" in said
    assert "Shutdown 3, InternalError 1, MmioWrite 1; at which bytes: 0f 0b 2, f0 89 1" in said
    assert left(Counter()).startswith("no program left the subset")


UNSEEN = {
    "an MSR that the kernel keeps exits": (msrs, "read", lambda index: msrs.Reply.UNKNOWN),
    "an MSR takes any value": (
        msrs,
        "write",
        lambda index, value: (
            msrs.Reply.UNKNOWN if msrs.read(index) is msrs.Reply.UNKNOWN else msrs.Reply.KEPT
        ),
    ),
    "TF and RF are left alone": (Emulator, "_retire", lambda *args, **more: None),
    "a fault sets no flag": (emulator, "RF", 0),
    "VM stays": (simulated, "VM", 0),
    "bit 1 may be clear": (simulated, "FIXED", 0),
    "RAM goes on behind its end": (
        emulator,
        "decode",
        lambda code, rip: decode(code + bytes(15), rip),
    ),
}


@pytest.mark.parametrize("name", UNSEEN)
def test_the_fuzz_sees_what_it_once_did_not(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(one: Program) -> bool:
        emulator._DECODED.clear()
        sound = _events(one)
        with monkeypatch.context() as broken:
            broken.setattr(*UNSEEN[name])
            emulator._DECODED.clear()
            return _events(one) != sound

    assert any(map(breaks, map(program, range(4000))))
    emulator._DECODED.clear()


def test_a_number_is_always_the_same_program() -> None:
    assert program(7) == program(7) != program(8)


BROKEN = [
    "immediate_exit is looked at before completion",
    "only the first fragment of a write is delivered",
    "every fragment of a read lands in the first place",
    "an answer survives the loading of registers",
    "port input is not read ahead",
]


@pytest.mark.parametrize("name", BROKEN)
def test_the_fuzz_finds_a_fault_and_makes_it_small(name: str) -> None:
    """Recorded first with a sound kernel: a fault is a patch, and would break both."""
    (fault,) = [fault for fault in FAULTS if fault.name == name]

    def diverges(one: Program) -> bool:
        sound = _events(one)
        with fault.make():
            return _events(one) != sound

    failing = next(one for one in map(program, range(3000)) if diverges(one))
    small = shrink(failing, diverges)
    assert diverges(small)
    assert len(small.instructions) <= 2
    assert len(small.instructions) <= len(failing.instructions)


def _events(one: Program) -> list:
    return Runner(SimulatedKernel(limit=100_000)).run(one).events


def test_a_divergence_is_printed_ready_for_probe() -> None:
    from kvmexit.kernel.retirement import ARM64

    tally = fuzz(SimulatedKernel(ARM64, limit=100_000), range(200))
    assert tally.divergence is not None
    text = describe(tally.divergence, ("simulated", "other"))
    assert "kvmexit probe --code " in text
    assert "simulated: result " in text
    assert len(tally.divergence.program.instructions) == 1
