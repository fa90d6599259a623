"""The simulated kernel: KVM's contract with userspace, with nothing behind it but Python.

Here is KVM_RUN and what else userspace can ask; what happens inside is in
:mod:`kvmexit.kernel.emulator`.
"""

from __future__ import annotations

import threading
from collections.abc import Generator

from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    EINTR,
    InternalError,
    Interrupted,
    Lane,
    OtherExit,
    Reason,
    Step,
    VcpuExit,
    VcpuState,
    What,
)
from kvmexit.guest.cpu import FIXED, VM, Fault
from kvmexit.kernel.emulator import Emulator
from kvmexit.kernel.registers import fitted
from kvmexit.kernel.retirement import EMULATOR, Retirement


class SimulatedVcpu(Emulator):
    """One vCPU. ``watched`` makes ``walk`` show the guest's instructions as they come.

    Threads wait for one another, as for the mutex of a vCPU in KVM. A ``walk`` that has begun
    is in KVM_RUN until it ends or is closed: to enter it again or to load registers meanwhile
    is refused, for the one who would have to wait is the one who walks.
    """

    def __init__(self, memory: bytearray, retirement: Retirement, limit: int) -> None:
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
                self._walking = False

    def _walk(self) -> Generator[Step, None, VcpuExit | Interrupted]:
        """KVM_RUN in its documented order: complete, then look, then execute."""
        page, cpu = self.kvm_run, self._cpu
        self._in_guest = True
        try:
            if (pending := self._pending) is not None:
                if self.watched:
                    yield Step(Lane.KERNEL, What.COMPLETE, pending.pieces[pending.done])
                if (exit := self._complete(pending)) is not None:
                    return page.report(exit)
            if page.immediate_exit:
                return EINTR
            for _ in range(self._limit):
                if self._kicked:
                    page.report(OtherExit(Reason.INTR))
                    return EINTR
                if self._exception is not None:
                    return page.report(self._shut_down())
                try:
                    insn = self._fetch()
                    if insn is None:
                        return page.report(InternalError(1))
                    if self.watched:
                        yield Step(Lane.GUEST, What.EXECUTE, (cpu.rip, insn.text(cpu.rip)))
                        if self._kicked:
                            continue
                    exit = self._execute(insn)
                except Fault as fault:
                    self._exception = fault.vector
                    continue
                if exit is not None:
                    return page.report(exit)
            raise self._overdue()
        finally:
            self._in_guest = self._kicked = False

    def get_state(self) -> VcpuState:
        if self._walking:
            return self._state()
        with self._mutex:
            return self._state()

    def _state(self) -> VcpuState:
        cpu = self._cpu
        return VcpuState(tuple(cpu.gpr), cpu.rip, cpu.flags, tuple(cpu.xmm))

    def set_state(self, state: VcpuState) -> None:
        """Bit 1 of rflags is always set; VM is dropped, as kvm_pvm does. An exception that has
        not been delivered is forgotten (``__set_regs``, arch/x86/kvm/x86.c)."""
        if self._walking:
            raise _in_walk()
        state, cpu = fitted(state), self._cpu
        with self._mutex:
            cpu.gpr, cpu.xmm = list(state.gpr), list(state.xmm)
            cpu.rip, cpu.flags = state.rip, state.rflags & ~VM | FIXED
            self._exception = None
            if self._pending is not None:
                self._pending.reloaded = True

    def kick(self) -> None:
        self.kvm_run.immediate_exit = 1
        self._kicked = self._in_guest

    @property
    def is_fresh(self) -> bool:
        """Is the exit at hand the first of its operation, with registers nobody has touched?

        Then the state, the exit and the memory determine all that follows.
        """
        pending = self._pending
        return pending is not None and pending.done == 0 and not pending.reloaded

    def _overdue(self) -> KvmExitError:
        return KvmExitError(
            f"the guest did not leave for {self._limit} instructions and is at"
            f" {self._cpu.rip:#x}: it loops without an exit; give SimulatedKernel(limit=...) more"
            " instructions if that is meant"
        )


def _in_walk() -> KvmExitError:
    return KvmExitError("this vCPU is in KVM_RUN: let its walk() come to its end first")


class SimulatedVm:
    """Memory and a vCPU. Nothing to give back."""

    def __init__(self, memory_size: int, retirement: Retirement, limit: int) -> None:
        self.memory = bytearray(memory_size)
        self.vcpu = SimulatedVcpu(self.memory, retirement, limit)

    def close(self) -> None:
        pass

    def __enter__(self) -> SimulatedVm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SimulatedKernel:
    """KVM as userspace meets it; ``retirement`` says after which machine's rules, ``limit`` how
    many instructions one KVM_RUN may execute."""

    name = "simulated"

    def __init__(self, retirement: Retirement = EMULATOR, limit: int = 5_000_000) -> None:
        self.retirement = retirement
        self.limit = limit

    def create_vm(self, memory_size: int) -> SimulatedVm:
        """A new VM; ``memory_size`` in bytes, a multiple of the page size."""
        return SimulatedVm(memory_size, self.retirement, self.limit)
