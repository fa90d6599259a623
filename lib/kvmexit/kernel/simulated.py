"""The simulated kernel: KVM's contract with userspace, with nothing behind it but Python.

What is pending lives here in one of two shapes:

- a *paused instruction*: a generator that waits for the answer to a read;
- *posted pieces*: the rest of a write whose instruction has gone on to its end.

Neither is in :class:`VcpuState`. A generator could not be put there if one wanted to.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from types import GeneratorType
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    EINTR,
    Hlt,
    InternalError,
    Interrupted,
    Lane,
    MmioRead,
    MmioWrite,
    OtherExit,
    PioIn,
    PioOut,
    Rdmsr,
    Reason,
    Step,
    VcpuExit,
    VcpuState,
    What,
    Wrmsr,
)
from kvmexit.guest.cpu import (
    ECX,
    Access,
    Cpu,
    Halt,
    In,
    Load,
    Out,
    ReadMsr,
    Store,
    WriteMsr,
)
from kvmexit.guest.forms import Insn
from kvmexit.guest.x86 import decode
from kvmexit.kernel import arguments
from kvmexit.kernel.pending import Pending, fragments, mmio_read
from kvmexit.kernel.ram import PAGE, HeapRam
from kvmexit.kernel.retirement import EMULATOR, MACHINES, Pc, Retirement
from kvmexit.kernel.simulated_page import WIDEST, SimulatedRun
from kvmexit.kernel.vm import OneVcpuVm, OpenKernel, shown

LONGEST_INSTRUCTION = 15


@dataclass(frozen=True, slots=True)
class MemoryAccess:
    """One access to RAM, for those who ask what a run depends on."""

    address: int
    data: bytes
    is_write: bool


class SimulatedVcpu:
    """One vCPU. ``watched`` makes ``walk`` show the guest's instructions as they come;
    ``trace``, if there is one, collects the guest's accesses to RAM.
    """

    def __init__(self, memory: memoryview, retirement: Retirement, limit: int) -> None:
        self.kvm_run = SimulatedRun()
        self.watched = False
        self.trace: list[MemoryAccess] | None = None
        self._memory = memory
        self._retirement = retirement
        self._limit = limit
        self._cpu = Cpu()
        self._pending: Pending | None = None
        self._posted: list[VcpuExit] = []
        self._read = bytearray(2 * WIDEST)  # the emulator's read buffer: keeps what was in it
        self._unread = False
        self._kicked = False
        self._in_guest = False

    # -- what userspace can ask ---------------------------------------------------------

    def run(self) -> VcpuExit | Interrupted:
        walk = self.walk()
        try:
            while True:
                next(walk)
        except StopIteration as end:
            result: VcpuExit | Interrupted = end.value
            return result

    def walk(self) -> Generator[Step, None, VcpuExit | Interrupted]:
        """KVM_RUN in its documented order: complete, then look, then execute."""
        page, cpu = self.kvm_run, self._cpu
        self._in_guest = True
        try:
            if (pending := self._pending) is not None:
                if self.watched:
                    yield Step(Lane.KERNEL, What.COMPLETE, pending.pieces[pending.done])
                if (exit := self._complete(pending)) is not None:
                    return page.report(exit)
            if page.stop:
                return EINTR
            for _ in range(self._limit):
                if self._kicked:
                    page.report(OtherExit(Reason.INTR))
                    return EINTR
                exit, insn = None, self._fetch()
                if insn is None:
                    exit = InternalError(1)
                else:
                    if self.watched:
                        yield Step(Lane.GUEST, What.EXECUTE, (cpu.rip, insn.text(cpu.rip)))
                        if self._kicked:
                            continue
                    exit = self._execute(insn)
                if exit is not None:
                    return page.report(exit)
            raise self._overdue()
        finally:
            self._in_guest = self._kicked = False

    def get_state(self) -> VcpuState:
        cpu = self._cpu
        return VcpuState(tuple(cpu.gpr), cpu.rip, cpu.flags, tuple(cpu.xmm))

    def set_state(self, state: VcpuState) -> None:
        cpu = self._cpu
        cpu.gpr, cpu.xmm = list(state.gpr), list(state.xmm)
        cpu.rip, cpu.flags = state.rip, state.rflags
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

    def __repr__(self) -> str:
        return shown(self, self.kvm_run)

    # -- executing ----------------------------------------------------------------------

    def _fetch(self) -> Insn | None:
        """The instruction at rip, or None where there is no RAM to fetch it from."""
        rip = self._cpu.rip
        code = bytes(self._memory[rip : rip + LONGEST_INSTRUCTION])
        if not code:
            return None
        insn = _DECODED.get(code)
        if insn is None:
            if len(_DECODED) > 100_000:
                _DECODED.clear()
            insn = _DECODED[code] = decode(code, rip)
        return insn

    def _execute(self, insn: Insn) -> VcpuExit | None:
        cpu = self._cpu
        cpu.reloaded = False
        if insn.form.plain:
            target = insn.form.run(cpu, insn)
            cpu.rip = insn.after(cpu) if target is None else target
            return None
        running = insn.form.run(cpu, insn)
        operation = Pending([], cpu.rip, insn.after(cpu), cpu.flags, running, insn.rep)
        operation.string = insn.form.string
        operation.locked = insn.lock or insn.form.name == "xchg"
        return self._go_on(operation, None)

    def _go_on(self, operation: Pending, answer: Any) -> VcpuExit | None:
        """Drive a running instruction until it needs userspace or retires."""
        running = operation.running
        assert isinstance(running, GeneratorType)
        try:
            access = running.send(answer)
            while True:
                result = self._access(access, operation)
                if result is None:  # a read that only userspace can satisfy
                    return self._pause(operation)
                access = running.send(result)
        except StopIteration as end:
            self._cpu.rip = operation.after if end.value is None else end.value
        return self._deliver_posted(operation) if self._posted else None

    def _access(self, access: Access, operation: Pending) -> Any:
        """Answer an access, or note what it asks of userspace and return None."""
        if isinstance(access, Load):
            return self._load(access.address, access.size, operation)
        if isinstance(access, Store):
            return self._store(access.address, access.data)
        match access:
            case In(port, size, count):
                operation.ask(PioIn(port, size, count), size * count)
            case ReadMsr(index):
                operation.ask(Rdmsr(index), 8)
            case WriteMsr(index, value):
                operation.ask(Wrmsr(index, value), None)
            case Out(port, data):
                self._posted = [PioOut(port, len(data), 1, data)]
                return True
            case Halt():
                self._posted = [Hlt()]
                return True
        return None

    def _load(self, address: int, size: int, operation: Pending) -> bytes | None:
        memory = self._memory
        if self._unread:
            self._unread = False
            # A locked store to RAM finds that this is not what lies there, and all is done again.
            in_ram = address + size <= len(memory) and address % PAGE + size <= PAGE
            if not (operation.locked and in_ram):
                return bytes(self._read[:size])
        if address + size <= len(memory):
            data = self._read[:size] = bytes(memory[address : address + size])
            if self.trace is not None:
                self.trace.append(MemoryAccess(address, data, False))
            return data
        if size <= WIDEST and address % PAGE + size <= PAGE:
            operation.ask(mmio_read(address, size), size)
            return None
        buffer, pieces, slots = bytearray(size), [], []
        for slot, where, length in fragments(address, size, len(memory)):
            if where + length <= len(memory):
                buffer[slot : slot + length] = memory[where : where + length]
            else:
                pieces.append(mmio_read(where, length))
                slots.append(slot)
        if not pieces:
            self._read[:size] = buffer
            return bytes(buffer)
        operation.pieces, operation.data, operation.slots = [*pieces], buffer, tuple(slots)
        return None

    def _store(self, address: int, data: bytes) -> bool:
        memory = self._memory
        if address + len(data) <= len(memory):
            memory[address : address + len(data)] = data
            if self.trace is not None:
                self.trace.append(MemoryAccess(address, data, True))
            return False
        posted: list[VcpuExit] = []
        for slot, where, length in fragments(address, len(data), len(memory)):
            piece = data[slot : slot + length]
            if where + length <= len(memory):
                memory[where : where + length] = piece
            else:
                posted.append(MmioWrite(where, piece))
        if posted:
            # There is room for one access only: a second one of the same instruction
            # replaces the first, as `pusha` onto a device shows.
            self._posted = posted
        return bool(posted)

    def _pause(self, operation: Pending) -> VcpuExit:
        operation.done = 0
        exit = operation.pieces[0]
        if isinstance(exit, MmioRead) and self._retirement.mmio_read is Pc.PAST:
            self._cpu.rip = operation.after
        self._pending = operation
        return exit

    def _deliver_posted(self, operation: Pending) -> VcpuExit:
        exit, posted = self._posted[0], self._posted
        self._posted = []
        if isinstance(exit, Hlt):
            return exit
        late = self._retirement.late(exit, string=operation.string)
        after = self._cpu.rip
        if late:
            self._cpu.rip = operation.address
        self._pending = Pending(posted, operation.address, after, operation.flags, moves_pc=late)
        return exit

    def _overdue(self) -> KvmExitError:
        return KvmExitError(
            f"the guest did not leave for {self._limit} instructions and is at"
            f" {self._cpu.rip:#x}: it loops without an exit; give SimulatedKernel(limit=...) more"
            " instructions if that is meant"
        )

    # -- completing ---------------------------------------------------------------------

    def _complete(self, pending: Pending) -> VcpuExit | None:
        """Take the answer to the last piece; the next piece, or the rest of the instruction."""
        cpu, piece = self._cpu, pending.pieces[pending.done]
        if pending.data is not None and pending.running is not None:
            answer = self.kvm_run.answered(piece)
            slot = pending.slots[pending.done]
            pending.data[slot : slot + len(answer)] = answer
        pending.done += 1
        if pending.done < len(pending.pieces):
            return pending.pieces[pending.done]
        self._pending = None
        if pending.running is None:
            if pending.moves_pc and cpu.rip == pending.address:
                cpu.rip = pending.after
            return None
        result = True if pending.data is None else bytes(pending.data)
        if pending.data is not None and isinstance(piece, MmioRead):
            self._read[: len(pending.data)] = pending.data
        if not pending.reloaded:
            return self._go_on(pending, result)
        if self._retirement.fast_in and isinstance(piece, PioIn) and not pending.string:
            return self._go_on(pending, result) if cpu.rip == pending.address else None
        if pending.rep and cpu.gpr[ECX] == 0:
            return self._nothing_left(pending)
        # The kernel goes on with the flags and the address it remembers, in the registers
        # that userspace has put there. Flags are written only when the instruction retires.
        loaded, cpu.flags, cpu.reloaded = cpu.flags, pending.flags, True
        exit = self._go_on(pending, result)
        if self._pending is pending:
            pending.flags, cpu.flags = cpu.flags, loaded
        return exit

    def _nothing_left(self, pending: Pending) -> VcpuExit | None:
        """Userspace has set ecx to 0 under a repeated instruction: it ends before it looks at
        its answer. An MMIO answer stays behind for the next load; a port stays pending."""
        if isinstance(pending.pieces[0], PioIn):
            pending.done, self._pending = 0, pending
            return pending.pieces[0]
        self._cpu.rip, self._cpu.flags = pending.after, pending.flags
        self._unread = True
        return None


_DECODED: dict[bytes, Insn] = {}


class SimulatedVm(OneVcpuVm):
    """RAM and a vCPU, in this process."""

    vcpu: SimulatedVcpu

    def __init__(self, ram: HeapRam, retirement: Retirement, limit: int) -> None:
        super().__init__(ram)
        # A view: as long as there is one, the RAM cannot change its size.
        self.vcpu = SimulatedVcpu(memoryview(ram), retirement, limit)


class SimulatedKernel(OpenKernel):
    """KVM as userspace meets it; ``retirement`` says after which machine's rules, ``limit`` how
    many instructions one KVM_RUN may execute."""

    name = "simulated"

    def __init__(self, retirement: Retirement = EMULATOR, limit: int = 5_000_000) -> None:
        if not isinstance(retirement, Retirement):
            raise KvmExitError(
                f"retirement is a row of MACHINES ({', '.join(MACHINES)}), not {retirement!r}:"
                " take MACHINES[name]"
            )
        self.retirement = retirement
        self.limit: int = arguments.limit(limit, "instructions")

    def create_vm(self, memory_size: int) -> SimulatedVm:
        """A new VM; ``memory_size`` in bytes, a multiple of the page size."""
        ram = HeapRam(arguments.memory_size(memory_size))
        return SimulatedVm(ram, self.retirement, self.limit)

    def __repr__(self) -> str:
        return f"<SimulatedKernel, {self.retirement.name}>"
