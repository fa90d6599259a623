"""Two vCPUs, stopped and read one after the other, or in two phases.

The first vCPU starts the second by a write to a register of the VMM's, as a boot processor does
where userspace has the interrupt controller (a SIPI) or the firmware's calls (PSCI's CPU_ON). To
serve that exit is to change the *other* vCPU. A VMM that has read the other one before has read
what is no longer so.

Left out: the two do not run at the same time. After each exit of the first, the second, once it
has been started, runs to its own next exit.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvmexit.errors import KvmExitError, said
from kvmexit.exits import DATA_EXITS, EINTR, MmioWrite, VcpuState
from kvmexit.guest.assembler import assemble
from kvmexit.kernel.arguments import whole
from kvmexit.kernel.simulated import SimulatedKernel, SimulatedVcpu, SimulatedVm

RAM, START, STATUS = 0x4000, 0xD0000, 0xD0004
"""Bytes of RAM; the register that starts the second vCPU, and one that is only read."""
ORIGIN, SECOND = 0x1000, 0x2000
FIRST_CODE = """
        mov dword [START], SECOND
wait:
        mov al, [STATUS]
        cmp byte [0x3000], 1
        jne wait
        hlt
"""
SECOND_CODE = """
        mov byte [0x3000], 1
        hlt
"""
POLLS = 20
"""Exits of the first vCPU after which nobody will answer it any more."""


@dataclass(slots=True)
class Pair:
    """A VM with two vCPUs. ``started`` is the VMM's own knowledge of the second."""

    vm: SimulatedVm
    second: SimulatedVcpu
    started: bool = False
    ended: bool = False

    @property
    def first(self) -> SimulatedVcpu:
        return self.vm.vcpu

    def serve(self) -> None:
        """The exit at hand of the first vCPU. A write to START sets the registers of the second."""
        page = self.first.kvm_run
        exit = page.exit()
        if isinstance(exit, MmioWrite):
            self.started = True
            self.second.set_state(VcpuState(rip=int.from_bytes(exit.data, "little")))
        else:
            page.answer(bytes(1))

    def run(self, exits: int) -> int:
        """Go on until the first vCPU has halted, or has made ``exits`` exits, the last one not
        served; returns how many it has made."""
        for made in range(1, exits + 1):
            if self.started:
                self.second.run()
            if not isinstance(self.first.run(), DATA_EXITS):
                self.ended = True
                return made - 1
            if made < exits:
                self.serve()
        return exits

    def drain(self) -> None:
        """Serve the exit at hand of the first vCPU and drain it. The second has none."""
        self.serve()
        self.first.kvm_run.immediate_exit = 1
        while self.first.run() is not EINTR:
            self.serve()
        self.first.kvm_run.immediate_exit = 0


def pair(ram: bytes | None = None) -> Pair:
    """Both vCPUs at their beginning, or on ``ram``."""
    vm = SimulatedKernel().create_vm(RAM)
    if ram is None:
        vm.load(ORIGIN, assemble(FIRST_CODE, ORIGIN, START=START, STATUS=STATUS, SECOND=SECOND))
        vm.load(SECOND, assemble(SECOND_CODE, SECOND))
        vm.vcpu.set_state(VcpuState(rip=ORIGIN))
    else:
        vm.memory[:] = ram
    return Pair(vm, vm.create_vcpu())


def undisturbed() -> int:
    """How many exits the first vCPU makes when nobody stops it."""
    return pair().run(POLLS)


def survives(landing: int, *, two_phases: bool) -> bool:
    """Stop both at the ``landing``-th exit of the first (from 1), move them, let them go on: does
    the first come to its end?

    In two phases both are drained before one is read. Otherwise each is drained and read in its
    turn, the second vCPU first.
    """
    if not whole(landing) or landing < 1:
        raise KvmExitError(f"landings count from 1, not {said(landing)}")
    source = pair()
    source.run(landing)
    if two_phases:
        source.drain()
    second, started = source.second.get_state(), source.started
    if not two_phases:
        source.drain()
    target = pair(bytes(source.vm.memory))
    target.first.set_state(source.first.get_state())
    target.second.set_state(second)
    target.started = started
    target.run(POLLS)
    return target.ended
