"""The simulated kernel: KVM's contract with userspace, with nothing behind it but Python.

Here is KVM_RUN and what else userspace can ask; what happens inside is in
:mod:`kvmexit.kernel.emulator`.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import NamedTuple

from kvmexit.errors import KvmExitError, said
from kvmexit.exits import (
    EINTR,
    Events,
    Interrupted,
    Lane,
    OtherExit,
    Reason,
    Shutdown,
    Step,
    VcpuExit,
    VcpuState,
    What,
)
from kvmexit.guest.cpu import FIXED, VM, Fault, NotEmulated
from kvmexit.kernel import arguments
from kvmexit.kernel.emulator import Emulator
from kvmexit.kernel.lifetime import Unique, is_closed
from kvmexit.kernel.raised import SOFT, Raised
from kvmexit.kernel.ram import HeapRam
from kvmexit.kernel.registers import fitted
from kvmexit.kernel.retirement import EMULATOR, MACHINES, Retirement
from kvmexit.kernel.vm import OneVcpuVm, OpenKernel, end_vcpu, shown


class Null(NamedTuple):
    """The kernel's own part of a saved state: segment registers that hold a null selector."""

    segments: bytes
    selectors: bytes


class SimulatedVcpu(Unique, Emulator):
    """One vCPU. ``watched`` makes ``walk`` show the guest's instructions as they come.

    Threads wait for one another, as for the mutex of a vCPU in KVM. A ``walk`` that has begun
    is in KVM_RUN until it ends or is closed: to enter it again or to load registers meanwhile
    is refused, for the one who would have to wait is the one who walks.
    """

    def __init__(self, memory: memoryview, retirement: Retirement, limit: int) -> None:
        super().__init__(memory, retirement)
        self.watched = False
        self._limit = limit
        self._kicked = False
        self._in_guest = False
        self._mutex = threading.Lock()
        self._walking = False

    def run(self) -> VcpuExit | Interrupted:
        if self._walking:
            raise _in_walk()
        with self._mutex:
            walk = self._walk()
            try:
                while True:
                    next(walk)
            except StopIteration as end:
                result: VcpuExit | Interrupted = end.value
                return result

    def walk(self) -> Generator[Step, None, VcpuExit | Interrupted]:
        """``run``, watched. Raises KvmExitError if another walk of this vCPU has not ended."""
        if self._walking:
            raise _in_walk()
        with self._mutex:
            self._walking = True
            try:
                return (yield from self._walk())
            finally:
                if not is_closed(self):
                    self._walking = False

    def _walk(self) -> Generator[Step, None, VcpuExit | Interrupted]:
        """KVM_RUN in its documented order: complete, then look, then execute."""
        page, cpu = self.kvm_run, self._cpu
        self._in_guest = True
        try:
            if (pending := self._pending) is not None:
                if self.watched:
                    yield Step(Lane.KERNEL, What.COMPLETE, pending.pieces[pending.done])
                try:
                    exit = self._complete(pending)
                except Fault as fault:
                    self._fault(fault)
                else:
                    if exit is not None:
                        return page.report(exit)
            if page.stop:
                return EINTR
            if self._triple_fault:  # only a completion can bring it about
                self._triple_fault = False
                return page.report(Shutdown())
            for _ in range(self._limit):
                if self._kicked:
                    page.report(OtherExit(int(Reason.INTR)))
                    return EINTR
                if self._exception is not None:
                    return page.report(self._shut_down(self._exception))
                try:
                    insn = self._fetch()
                    if insn is None:
                        return page.report(self._cannot_emulate())
                    if self.watched:
                        yield Step(Lane.GUEST, What.EXECUTE, (cpu.rip, insn.text(cpu.rip)))
                        if self._kicked:
                            continue
                    exit = self._execute(insn)
                except Fault as fault:
                    self._fault(fault)
                    continue
                except NotEmulated:
                    return page.report(self._cannot_emulate())
                if exit is not None:
                    return page.report(exit)
            raise self._overdue()
        finally:
            try:
                self._in_guest = self._kicked = False
            except KvmExitError:
                pass  # closed meanwhile: who goes on with this walk is told so, not who gives it up

    def get_state(self) -> VcpuState:
        if self._walking:
            return self._state()
        with self._mutex:
            return self._state()

    def _state(self) -> VcpuState:
        cpu, raised = self._cpu, self._exception
        self._shown[:] = cpu.gpr
        events = Events(shadow=cpu.shadow)
        if raised is not None and raised.vector not in SOFT:
            events = Events(*raised, cpu.shadow)
        null = Null(bytes(cpu.null), bytes(cpu.null.values())) if cpu.null else None
        return VcpuState(tuple(cpu.gpr), cpu.rip, cpu.flags, tuple(cpu.xmm), events, null)

    def set_state(self, state: VcpuState) -> None:
        """Bit 1 of rflags is always set; VM is dropped, as kvm_pvm does.

        The registers first: with them an exception that has not been delivered is forgotten
        (``__set_regs``, arch/x86/kvm/x86.c). Then the events, if somebody has saved them.
        """
        if self._walking:
            raise _in_walk()
        state, cpu = fitted(state), self._cpu
        with self._mutex:
            cpu.gpr, cpu.xmm = list(state.gpr), list(state.xmm)
            cpu.rip, cpu.flags = state.rip, state.rflags & ~VM | FIXED
            self._at_reset = False
            self._shown[:] = cpu.gpr
            cpu.null = dict(zip(*state.rest)) if isinstance(state.rest, Null) else {}
            if self._exception is not None and not self._exception.injected:
                self._exception = None
            if (events := state.events) is not None:
                cpu.shadow, raised = events.shadow, events.exception
                self._exception = None
                if raised is not None:
                    self._exception = Raised(raised, events.error_code, events.injected)
            if self._pending is not None:
                self._pending.reloaded = True

    def kick(self) -> None:
        self.kvm_run.immediate_exit = 1
        self.interrupt()

    def interrupt(self) -> None:
        """Half a kick: a signal for the thread of this vCPU. It ends a KVM_RUN that has begun; to
        a thread that is outside it does nothing, and is spent."""
        self._kicked = self._in_guest

    @property
    def is_fresh(self) -> bool:
        """Is the exit at hand the first of its instruction, with registers nobody has touched?

        Then the state, the exit and the memory determine all that follows.
        """
        pending = self._pending
        return pending is not None and pending.done == 0 and pending.first and not pending.reloaded

    def __repr__(self) -> str:
        return shown(self, self.kvm_run)

    def _overdue(self) -> KvmExitError:
        return KvmExitError(
            f"the guest did not leave for {self._limit} instructions and is at"
            f" {self._cpu.rip:#x}: it loops without an exit; give SimulatedKernel(limit=...) more"
            " instructions if that is meant"
        )


def _in_walk() -> KvmExitError:
    return KvmExitError("this vCPU is in KVM_RUN: let its walk() come to its end first")


class SimulatedVm(OneVcpuVm):
    """RAM and a vCPU, in this process."""

    vcpu: SimulatedVcpu

    def __init__(self, ram: HeapRam, retirement: Retirement, limit: int) -> None:
        super().__init__(ram)
        # A view: as long as there is one, the RAM cannot change its size.
        self.vcpu = SimulatedVcpu(memoryview(ram), retirement, limit)
        self._more = retirement, limit
        self._others: list[SimulatedVcpu] = []

    def create_vcpu(self) -> SimulatedVcpu:
        """Another vCPU on the same RAM, in the state of a new one. It runs when its ``run`` is
        called; nothing but RAM connects it with the others."""
        self._others.append(SimulatedVcpu(memoryview(self._ram), *self._more))
        return self._others[-1]

    def close(self) -> None:
        """Close all of its vCPUs, too. Closing twice is allowed."""
        others = self._others
        super().close()
        for vcpu in others:
            end_vcpu(vcpu)


class SimulatedKernel(OpenKernel):
    """KVM as userspace meets it; ``retirement`` says after which machine's rules, ``limit`` how
    many instructions one KVM_RUN may execute."""

    name = "simulated"

    def __init__(self, retirement: Retirement = EMULATOR, limit: int = 5_000_000) -> None:
        if not isinstance(retirement, Retirement):
            raise KvmExitError(
                f"retirement is a row of MACHINES ({', '.join(MACHINES)}), not {said(retirement)}:"
                " take MACHINES[name]"
            )
        self.retirement = retirement
        self.limit: int = arguments.limit(limit, "instructions")

    def create_vm(self, memory_size: int) -> SimulatedVm:
        """A new VM; ``memory_size`` in bytes, a multiple of the page size."""
        size, rules, limit = arguments.memory_size(memory_size), self.retirement, self.limit
        try:
            return SimulatedVm(HeapRam(size), rules, limit)
        except MemoryError:
            raise KvmExitError(
                f"no room for a VM with memory of {size:#x} bytes: take less"
            ) from None

    def __repr__(self) -> str:
        return f"<SimulatedKernel, {self.retirement.name}>"
