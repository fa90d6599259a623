"""The simulated KVM of arm64, riscv and powerpc: their machine code, after a row's rules.

It answers as :class:`kvmexit.kernel.simulated.SimulatedKernel` does for x86, and with a row of
another machine it answers as that machine would: so a test can hold the wrong rules against a
recording, and see that they fail.
"""

from __future__ import annotations

from collections.abc import Generator

from kvmexit.elsewhere.guests.isa import END, NISV, Access, Cpu, Failed, Isa
from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    EINTR,
    Events,
    Hlt,
    Hypercall,
    Interrupted,
    MmioRead,
    MmioWrite,
    OtherExit,
    Reason,
    Step,
    VcpuExit,
    VcpuState,
)
from kvmexit.kernel import arguments
from kvmexit.kernel.ram import HeapRam
from kvmexit.kernel.retirement import MACHINES, Pc, Retirement
from kvmexit.kernel.simulated_page import SimulatedRun, put
from kvmexit.kernel.vm import OneVcpuVm, OpenKernel, shown

LIMIT = 100_000
"""Instructions of one KVM_RUN: no guest of this package needs a hundredth."""


class ForeignRun(SimulatedRun):
    """The shared page; the answer to a hypercall lies where an MSR's does on x86."""

    __slots__ = ()

    def answer(self, data: bytes) -> None:
        if isinstance(self.exit(), Hypercall):
            put(self._msr, arguments.answer(data), 8)
        else:
            super().answer(data)


class ForeignVcpu:
    """One vCPU. What is pending lies beside the registers, and no question shows it."""

    def __init__(self, memory: memoryview, isa: Isa, row: Retirement) -> None:
        self.kvm_run = ForeignRun()
        self._memory, self._isa, self._row = memory, isa, row
        kind = isa.state
        self._cpu = Cpu([0] * len(kind.names), [0] * len(kind.vectors))
        self._pending: Access | None = None
        self._piece = 0
        self._dropped = False

    def run(self) -> VcpuExit | Interrupted:
        page = self.kvm_run
        if self._pending is not None:
            exit = self._complete(self._pending)
            if exit is not None:
                return page.report(exit)
        if page.stop:
            return EINTR
        cpu = self._cpu
        for _ in range(LIMIT):
            word = int.from_bytes(self._memory[cpu.pc : cpu.pc + 4], "little")
            access = self._isa.step(cpu, word)
            if access is None:
                self._advance()
            elif access.call is None and access.address < len(self._memory):
                self._in_ram(access)
            elif access.refused == NISV:
                return page.report(OtherExit(int(Reason.ARM_NISV)))
            elif access.refused:
                return Failed(page.exit_reason, access.refused)
            else:
                return page.report(self._pause(access))
        raise KvmExitError(f"a guest of {self._isa.name} did not leave for {LIMIT} instructions")

    def walk(self) -> Generator[Step, None, VcpuExit | Interrupted]:
        """``run``: nothing of its inside is shown."""
        return self.run()
        yield

    def _advance(self) -> None:
        cpu = self._cpu
        cpu.pc = cpu.pc + cpu.length if cpu.jump is None else cpu.jump
        cpu.jump = None

    def _in_ram(self, access: Access) -> None:
        size = sum(access.pieces)
        if access.data is None:
            access.put(0, bytes(self._memory[access.address : access.address + size]))
        else:
            self._memory[access.address : access.address + size] = access.data
        self._advance()

    def _pause(self, access: Access) -> VcpuExit:
        """The exit of an access; the counter is where the row says."""
        exit = self._exit(access, 0)
        if exit == Hlt():
            return exit
        self._pending, self._piece, self._dropped = access, 0, False
        if self._where(access) is Pc.PAST:
            self._cpu.pc += self._cpu.length
        return exit

    def _where(self, access: Access) -> Pc:
        return self._row.mmio_read if access.data is None else self._row.mmio_write

    def _exit(self, access: Access, number: int) -> VcpuExit:
        if access.call is not None:
            return Hypercall(*access.call)
        before = sum(access.pieces[:number])
        size, gpa = access.pieces[number], access.address + before
        if access.data is None:
            return MmioRead(gpa, size)
        return Hlt() if gpa == END else MmioWrite(gpa, access.data[before : before + size])

    def _complete(self, access: Access) -> VcpuExit | None:
        """Take the answer to a piece; the exit of the next, or nothing."""
        exit = self._exit(access, self._piece)
        if self._row.asks_page and not self.kvm_run.names(exit):
            self._pending = None
            return None
        if access.data is None and not self._dropped:
            access.put(self._piece, self.kvm_run.answered(exit))
        self._piece += 1
        if self._piece < len(access.pieces):
            return self._exit(access, self._piece)
        self._pending = None
        if self._where(access) is Pc.AT:
            self._cpu.pc += self._cpu.length
        return None

    def get_state(self) -> VcpuState:
        cpu = self._cpu
        return self._isa.state(tuple(cpu.gpr), cpu.pc, 0, tuple(cpu.xmm), Events())

    def set_state(self, state: VcpuState) -> None:
        """The registers. What that does to an answer on its way, the row says."""
        cpu = self._cpu
        cpu.gpr[:], cpu.xmm[:], cpu.pc = state.gpr, state.xmm, state.rip
        self._dropped = not self._row.keeps_answer

    def kick(self) -> None:
        """Set ``immediate_exit``: these guests are never found running."""
        self.kvm_run.immediate_exit = 1

    def __repr__(self) -> str:
        return shown(self, self.kvm_run)


class ForeignVm(OneVcpuVm):
    """RAM and a vCPU."""

    vcpu: ForeignVcpu

    def __init__(self, ram: HeapRam, isa: Isa, row: Retirement) -> None:
        super().__init__(ram)
        self.vcpu = ForeignVcpu(memoryview(ram), isa, row)


class ForeignKernel(OpenKernel):
    """KVM of ``isa``, after the rules of ``row``: its own, unless another is given."""

    name = "simulated"

    def __init__(self, isa: Isa, row: Retirement | None = None) -> None:
        self.isa = isa
        self.retirement = row or MACHINES[isa.row]

    def create_vm(self, memory_size: int) -> ForeignVm:
        """A new VM; ``memory_size`` in bytes."""
        return ForeignVm(HeapRam(arguments.memory_size(memory_size)), self.isa, self.retirement)

    def __repr__(self) -> str:
        return f"<ForeignKernel, {self.isa.name} after the rules of {self.retirement.name}>"
