"""What a VMM must do: the rules of :mod:`kvmexit.faults.checks` for the other side."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from kvmexit.exits import VcpuState
from kvmexit.faults.checks import MMIO, PAGE_END, check, same
from kvmexit.kernel.protocol import Kernel
from kvmexit.packet.experiment import Arrival, Landing, Phase
from kvmexit.probe.cases import Case, case
from kvmexit.probe.report import probe
from kvmexit.probe.verdict import Verdict, begin
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.machine import POLICIES, Machine


class Counter:
    """A device whose reads give 0x11, 0x12, ...; its whole state is what it gives next."""

    def __init__(self) -> None:
        self.next = 0x11

    def read(self, offset: int, size: int) -> bytes:
        """The next bytes."""
        data = bytes(self.next + i & 0xFF for i in range(size))
        self.next += size
        return data

    def write(self, offset: int, data: bytes) -> None:
        """Nothing: the bus keeps a log."""

    def save(self) -> Hashable:
        return self.next

    def load(self, state: Any) -> None:
        self.next = state


def suspended(
    kernel: Kernel, one: Case, policy: str, exit: int, restore: str = "new-vm"
) -> tuple[VcpuState, bytes, list[Any]]:
    """Run a machine, suspended at its ``exit``-th exit (0: never): how guest and device end."""
    vm = begin(kernel, one)
    bus = Bus(Counter(), base=0xD0000, size=0x10000)
    machine = Machine(kernel, bus, vm, POLICIES[policy], restore=restore)
    arrival = Arrival(Landing(exit, Phase.SERVED) if exit else None, bus)
    for step in machine.steps():
        if arrival.due(step):
            machine.request_stop()
    return machine.vm.vcpu.get_state(), bytes(machine.vm.memory), bus.log


DRAINED = (
    case("read", f"mov al, [{MMIO:#x}]; mov bl, [{MMIO:#x}]"),
    case("read and write", f"inc byte [{MMIO:#x}]"),
    case("across a page", f"add dword [{PAGE_END - 2:#x}], 0x01020304"),
    case("vector", f"movups [{PAGE_END - 4:#x}], xmm0", xmm0=0x0F0E0D0C0B0A09080706050403020100),
    case("to RAM", "rep movsb", esi=MMIO, edi=0x3000, ecx=5),
    case("push", f"push dword [{MMIO:#x}]"),
)


@check
def a_drained_save_is_never_seen(kernel: Kernel) -> None:
    for one in DRAINED:
        undisturbed = suspended(kernel, one, "drain", 0)
        for restore in ("new-vm", "same-vcpu"):
            for exit in range(1, len(undisturbed[2]) + 1):
                ended = suspended(kernel, one, "drain", exit, restore)
                same(f"{one.name}, exit {exit}, {restore}", ended, undisturbed)


@check
def each_policy_lets_go_where_the_atlas_says(kernel: Kernel) -> None:
    names = {"skip-entry": "served", "kick-once": "kick-once", "serve-once": "serve-once"}
    for one in DRAINED[:4]:
        report = probe(kernel, one)
        undisturbed = suspended(kernel, one, "drain", 0)
        for policy, column in names.items():
            for row in report.rows:
                fine = suspended(kernel, one, policy, row.k + 1) == undisturbed
                says = row.save[column] is Verdict.FINE
                same(f"{one.name}, exit {row.k}, {policy}: fine", fine, says)
