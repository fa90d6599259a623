"""Recordings: what was asked is answered again, what was not is refused, damage is named."""

from __future__ import annotations

import gzip
import json
from itertools import product
from pathlib import Path

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR, Hlt, MmioRead, VcpuState
from kvmexit.kernel.protocol import Kernel
from kvmexit.kernel.real import RealKernel
from kvmexit.kernel.recorded import RecordedKernel, shipped
from kvmexit.kernel.recorder import Recorder
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Landing, Phase, Scenario, response_of, run
from kvmexit.vmm.devices import DEVICES
from kvmexit.vmm.machine import POLICIES, RESTORES

SCENARIO = Scenario(response=response_of(12))
START = 0x1000
CODE = bytes.fromhex("a02400d4fe a200300000 f4")  # mov al, [FIFO]; mov [0x3000], al; hlt


def boot(kernel: Kernel, size: int = 0x10000, eax: int = 0) -> object:
    vm = kernel.create_vm(size)
    vm.memory[START : START + len(CODE)] = CODE
    vm.vcpu.set_state(VcpuState(gpr=(eax, *[0] * 7), rip=START))
    return vm


def one_read(kernel: Kernel, answer: bytes = b"\x5a") -> tuple[object, ...]:
    """The whole life of a small guest; everything that userspace can see of it."""
    vm = boot(kernel)
    vcpu, seen = vm.vcpu, []
    seen.append(vcpu.run())
    seen.append(vcpu.get_state())
    vcpu.kvm_run.answer(answer)
    vcpu.kvm_run.immediate_exit = 1
    seen += [vcpu.run(), vcpu.kvm_run.exit_reason, vcpu.get_state()]
    vcpu.kvm_run.immediate_exit = 0
    seen += [vcpu.run(), vcpu.get_state(), bytes(vm.memory[0x3000:0x3002])]
    vm.close()
    return tuple(seen)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """One life of a guest on the simulated kernel, written down."""
    recorder = Recorder(SimulatedKernel())
    one_read(recorder)
    recorder.save(tmp_path / "one.json", "one read")
    return tmp_path / "one.json"


def test_a_recorded_life_is_lived_again(recording: Path) -> None:
    original = one_read(SimulatedKernel())
    assert original[0] == MmioRead(0xFED40024, 1)
    assert original[2] is EINTR
    assert original[5] == Hlt()
    for _ in range(2):
        replayed = one_read(RecordedKernel(recording))
        assert replayed == original
        assert replayed[2] is EINTR


def test_the_real_kernel_is_recorded_too(kernel: RealKernel, tmp_path: Path) -> None:
    recorder = Recorder(kernel)
    original = one_read(recorder)
    recorder.save(tmp_path / "real.json.gz", "one read")
    replay = RecordedKernel(tmp_path / "real.json.gz")
    assert one_read(replay) == original
    assert "from the real kernel, Linux" in replay.provenance
    assert replay.provenance.endswith("one read.")


def test_every_landing_of_the_driver_replays(kernel: RealKernel, tmp_path: Path) -> None:
    recorder = Recorder(kernel)
    landings = [Landing(n, phase, data_only=True) for n in (1, 5, 12) for phase in Phase]
    results = [run(recorder, SCENARIO, landing) for landing in landings]
    recorder.save(tmp_path / "driver.json.gz", "a test")
    replay = RecordedKernel(tmp_path / "driver.json.gz")
    for landing, original in zip(landings, results, strict=True):
        replayed = run(replay, SCENARIO, landing)
        assert (replayed.ending, replayed.outcome) == (original.ending, original.outcome)
        assert replayed.calls == original.calls


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (
            lambda k: one_read(k, b"\x77"),
            "KVM_RUN with immediate_exit=1, answer 77, after MmioRead",
        ),
        (lambda k: boot(k, 0x2000), "a VM with 8192 bytes of memory.*65536"),
        (lambda k: boot(k, eax=1), "loading the state with rip=0x1000"),
    ],
)
def test_what_was_not_recorded_is_refused(recording: Path, ask: object, said: str) -> None:
    with pytest.raises(KvmExitError, match=f"no such run: {said}.*--kernel simulated") as error:
        ask(RecordedKernel(recording))
    assert "\n" not in str(error.value)


def test_other_memory_is_another_question(recording: Path) -> None:
    vm = boot(RecordedKernel(recording))
    vm.memory[START] = 0x90
    with pytest.raises(KvmExitError, match="no such run"):
        vm.vcpu.run()


def test_two_answers_to_one_question_are_not_recorded() -> None:
    class Moody:
        """Its guests read from another address each time."""

        name = "moody"
        count = 0

        def create_vm(self, size: int) -> object:
            Moody.count += 1
            vm = SimulatedKernel().create_vm(size)
            vm.vcpu.run = lambda: MmioRead(Moody.count, 1)
            return vm

    recorder = Recorder(Moody())
    boot(recorder).vcpu.run()
    with pytest.raises(KvmExitError, match="in two ways"):
        boot(recorder).vcpu.run()


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, answers in (("a", (b"\1", b"\2")), ("b", (b"\2", b"\1"))):
        recorder = Recorder(SimulatedKernel())
        for answer in answers:
            one_read(recorder, answer)
        recorder.save(tmp_path / f"{name}.json.gz", "two reads")
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_equal_futures_are_stored_once(tmp_path: Path) -> None:
    recorder = Recorder(SimulatedKernel())
    for length in range(1, 40):
        run(recorder, SCENARIO, Landing(min(length, 12), data_only=True))
    recorder.save(tmp_path / "many.json", "many")
    recorder = Recorder(SimulatedKernel())
    run(recorder, SCENARIO)
    recorder.save(tmp_path / "one.json", "one")
    many, one = ((tmp_path / f"{name}.json").stat().st_size for name in ("many", "one"))
    assert many < 8 * one


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_the_recording_that_is_shipped_knows_todays_driver(policy: str) -> None:
    """Needs no KVM. It fails when the guest or the VMM has changed: then record anew."""
    replay = RecordedKernel(shipped("driver"))
    assert "from the real kernel" in replay.provenance
    for device, restore in product(DEVICES, RESTORES):
        scenario = Scenario(device=device, policy=policy, restore=restore)
        for phase in (Phase.UNSERVED, Phase.SERVED):
            landing = Landing(13, phase, data_only=True)
            replayed, simulated = (run(k, scenario, landing) for k in (replay, SimulatedKernel()))
            assert replayed.ending == simulated.ending


def damaged(data: bytes, how: str) -> bytes:
    return {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "noise": bytes(range(256)),
        "cut-gz": gzip.compress(data)[:-20],
        "bad-gz": gzip.compress(data)[:40] + b"xxxx" + gzip.compress(data)[44:],
        "foreign": b'{"format": "something else"}',
        "list": b"[]",
        "hollow": json.dumps({"format": json.loads(data)["format"]}).encode(),
        "dangling": data.replace(b'"states":[[', b'"states":[],"x":[['),
    }[how]


@pytest.mark.parametrize(
    "how", ["cut", "empty", "noise", "cut-gz", "bad-gz", "foreign", "list", "hollow", "dangling"]
)
def test_damage_is_one_line(recording: Path, how: str) -> None:
    recording.write_bytes(damaged(recording.read_bytes(), how))
    with pytest.raises(KvmExitError, match=r"recording .*record it anew") as error:
        RecordedKernel(recording)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KvmExitError, match="none.json.*No such file"):
        RecordedKernel(tmp_path / "none.json")
    with pytest.raises(KvmExitError, match="no recording 'nothing'"):
        shipped("nothing")
