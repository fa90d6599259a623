"""What the tests of small guests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvmexit.exits import (
    DATA_EXITS,
    Hlt,
    MmioRead,
    MmioWrite,
    PioIn,
    PioOut,
    VcpuState,
    answer_size,
)
from kvmexit.kernel.protocol import Kernel, Vcpu, Vm
from kvmexit.probe.cases import Case
from kvmexit.probe.verdict import begin

START = 0x1000
"""Where a guest's code lies, in its memory."""
Boot = Callable[..., Vm]
"""The fixture ``boot``."""
RF = 1 << 16 if Path("/sys/module/kvm_intel").exists() else 0
"""The one flag that KVM_GET_REGS may show at the exit of an MMIO read with VMX: the processor sets
it at the fault that becomes the exit. Seen in Bochs; with anything else no flag may be shown."""
SVM = Path("/sys/module/kvm_amd").exists()
"""There KVM makes the vCPU one after INIT where the processor shuts down."""


def without_rf(state: VcpuState) -> VcpuState:
    """``state``, but for what the processor may have set."""
    return state.replace(rflags=state["rflags"] & ~RF)


def finish(vcpu: Vcpu) -> object:
    """One KVM_RUN that completes and executes nothing; ``immediate_exit`` is 0 afterwards."""
    vcpu.kvm_run.immediate_exit = 1
    result = vcpu.run()
    vcpu.kvm_run.immediate_exit = 0
    return result


CELLS = 0xD0000
"""Where a device that behaves as memory usually begins."""


@dataclass
class Ended:
    """A guest that has halted: its registers, its RAM, its device's bytes, what it asked."""

    state: VcpuState
    ram: bytes
    cells: dict[int, int]
    exits: list[Any]

    def at(self, address: int, size: int) -> int:
        """The number of ``size`` bytes at ``address``, in RAM or in the device."""
        held = (
            self.ram[place] if place < len(self.ram) else self.cells.get(place, 0)
            for place in range(address, address + size)
        )
        return int.from_bytes(bytes(held), "little")


def to_the_end(kernel: Kernel, case: Case, cells: bytes = b"", at: int = CELLS) -> Ended:
    """Run ``case`` until it halts, beside a device that behaves as memory wherever RAM is not.

    ``cells`` lie at ``at`` in the beginning. Each port keeps the last byte that was sent to
    it, and gives it to whoever reads.
    """
    held, ports = dict(enumerate(cells, at)), dict[int, int]()
    vm, exits = begin(kernel, case), list[Any]()
    try:
        while isinstance(exit := vm.vcpu.run(), DATA_EXITS):
            exits.append(exit)
            match exit:
                case MmioRead(gpa, size):
                    answer = bytes(held.get(place, 0) for place in range(gpa, gpa + size))
                    vm.vcpu.kvm_run.answer(answer)
                case MmioWrite(gpa, data):
                    held |= dict(enumerate(data, gpa))
                case PioOut(port, _, _, data):
                    ports[port] = data[-1]
                case PioIn(port, _, _):
                    vm.vcpu.kvm_run.answer(bytes([ports.get(port, 0)]) * answer_size(exit))
        assert exit == Hlt()
        return Ended(vm.vcpu.get_state(), bytes(vm.memory), held, exits)
    finally:
        vm.close()
