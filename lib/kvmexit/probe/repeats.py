"""How long a drain of a repeated instruction takes, on any kernel.

The recording ``repeats`` holds what real KVM answered to each of :data:`COUNTS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kvmexit.exits import DATA_EXITS, Interrupted
from kvmexit.kernel.protocol import Kernel
from kvmexit.kernel.recorder import Recorder
from kvmexit.probe.cases import case
from kvmexit.probe.verdict import Feed, begin
from kvmexit.vmm.bus import unhandled

DEVICE, TARGET = 0xD0024, 0x2000
COUNTS = (8, 1024, 1025, 1030, 3000)
"""Values of ecx: below the break, on it, and behind it."""


@dataclass(frozen=True, slots=True)
class Drain:
    """The drain at the first exit of ``rep movsb`` from MMIO to RAM.

    ``kvm_runs`` counts entries up to and with the one that says EINTR; ``ecx`` is what is left
    then; ``ram`` the bytes of RAM that were written.
    """

    count: int
    kvm_runs: int
    ecx: int
    ram: int


def drain_repeat(kernel: Kernel, count: int) -> Drain:
    """Stop ``rep movsb`` with ``ecx = count`` at its first exit, and drain."""
    repeat = case("rep movsb", "rep movsb", esi=DEVICE, edi=TARGET, ecx=count)
    vm, feed = begin(kernel, repeat), Feed()
    try:
        page, before, kvm_runs = vm.vcpu.kvm_run, bytes(vm.memory), 0
        result = vm.vcpu.run()
        page.immediate_exit = 1
        while isinstance(result, DATA_EXITS):
            feed.serve(page)
            result = vm.vcpu.run()
            kvm_runs += 1
        if not isinstance(result, Interrupted):
            raise unhandled(result)
        ram = vm.memory[TARGET : TARGET + len(feed.log)]
        assert bytes(ram) == b"".join(data for _, data in feed.log)
        assert bytes(vm.memory[TARGET + len(ram) :]) == before[TARGET + len(ram) :]
        return Drain(count, kvm_runs, vm.vcpu.get_state()["ecx"], len(ram))
    finally:
        vm.close()


def record(kernel: Kernel, path: Path) -> None:
    """Write down what ``kernel`` answers to all of :data:`COUNTS`."""
    recorder = Recorder(kernel)
    for count in COUNTS:
        drain_repeat(recorder, count)
    recorder.save(path, "rep movsb from a device, drained at its first exit")
