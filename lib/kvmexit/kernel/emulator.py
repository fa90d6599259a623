"""The emulator of the simulated kernel: it executes the guest's instructions, and completes
what an exit has left in the middle.

What is pending lives here in one of two shapes:

- a *paused instruction*: a generator that waits for the answer to a read;
- *posted pieces*: the rest of a write whose instruction has gone on to its end.

Neither is in :class:`VcpuState`. A generator could not be put there if one wanted to.

An exception finds no handler, because the guest has none: it ends in SHUTDOWN. It is raised by
an instruction (:class:`kvmexit.guest.cpu.Fault`), or by TF after one, and waits until the guest
is entered (:mod:`kvmexit.kernel.raised`). An instruction that a completion has brought to its end
can raise one: then it waits between two KVM_RUNs, in the events and in no register.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import GeneratorType
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    WRITES,
    Hlt,
    InternalError,
    MmioRead,
    MmioWrite,
    PioIn,
    PioOut,
    Rdmsr,
    Shutdown,
    VcpuExit,
    Wrmsr,
)
from kvmexit.guest.cpu import (
    DEBUG,
    DOUBLE_FAULT,
    ECX,
    FIXED,
    GENERAL_PROTECTION,
    INVALID_OPCODE,
    RF,
    TF,
    Access,
    Cpu,
    Fault,
    Halt,
    In,
    Load,
    LoadTable,
    Out,
    ReadMsr,
    Store,
    WriteMsr,
)
from kvmexit.guest.forms import OUTSIDE, Insn
from kvmexit.guest.x86 import LONGEST, TooLong, Truncated, decode
from kvmexit.kernel import msrs
from kvmexit.kernel.msrs import Reply
from kvmexit.kernel.pending import Pending, fragments, mmio_read
from kvmexit.kernel.raised import Raised, with_another
from kvmexit.kernel.ram import PAGE
from kvmexit.kernel.retirement import Pc, Retirement
from kvmexit.kernel.simulated_page import WIDEST, SimulatedRun


@dataclass(frozen=True, slots=True)
class MemoryAccess:
    """One access to RAM, for those who ask what a run depends on."""

    address: int
    data: bytes
    is_write: bool


class Emulator:
    """Registers, memory, and what is pending. ``kvm_run`` is where answers come from; ``trace``,
    if there is one, collects the guest's accesses to RAM."""

    def __init__(self, memory: memoryview, retirement: Retirement) -> None:
        self.kvm_run = SimulatedRun()
        self.trace: list[MemoryAccess] | None = None
        self._memory = memory
        self._retirement = retirement
        self._cpu = Cpu()
        self._pending: Pending | None = None
        self._posted: list[VcpuExit] = []
        self._read = bytearray(4 * WIDEST)  # the emulator's read buffer: keeps what was in it
        self._unread = False
        self._exception: Raised | None = None  # until the guest is entered
        self._triple_fault = False  # likewise; it is no exception, and takes none away
        # While an instruction is under way: the general registers and the flags as userspace may
        # know them. What the instruction has made of its flags is in Pending.flags meanwhile.
        self._shown, self._visible = [0] * 8, FIXED
        self._at_reset = False  # in real mode, at an address that is no RAM
        self._msrs: dict[int, int] = {}  # those that the kernel keeps: what was last written

    # -- executing ----------------------------------------------------------------------

    def _fetch(self) -> Insn | None:
        """The instruction at rip, or None where RAM ends before it does."""
        rip = self._cpu.rip
        if self._at_reset:
            return None
        code = bytes(self._memory[rip : rip + LONGEST + 1])
        insn = _DECODED.get(code)
        if insn is None:
            if len(_DECODED) > 100_000:
                _DECODED.clear()
            try:
                insn = _DECODED[code] = decode(code, rip)
            except TooLong:
                raise Fault(GENERAL_PROTECTION) from None
            except Truncated:
                return None
        return insn

    def _execute(self, insn: Insn) -> VcpuExit | None:
        cpu = self._cpu
        cpu.reloaded = False
        if insn.form.plain:
            target = insn.form.run(cpu, insn)
            cpu.rip = insn.after(cpu) if target is None else target
            if cpu.flags & (TF | RF) or cpu.shadow or cpu.casts:
                self._retire(cpu.flags, repeats=False)
            return None
        self._shown[:], self._visible = cpu.gpr, cpu.flags
        running = insn.form.run(cpu, insn)
        operation = Pending([], cpu.rip, insn.after(cpu), cpu.flags, running, insn.rep)
        operation.string = insn.form.string
        operation.locked = insn.lock or insn.form.name == "xchg"
        return self._go_on(operation, None)

    def _go_on(self, operation: Pending, answer: Any) -> VcpuExit | None:
        """Drive a running instruction until it needs userspace or retires."""
        running = operation.running
        assert isinstance(running, GeneratorType)
        first = answer is None
        try:
            access = running.send(answer)
            while True:
                result = self._access(access, operation)
                if result is None:  # a read that only userspace can satisfy
                    operation.first = first
                    return self._pause(operation)
                access, first = running.send(result), False
        except StopIteration as end:
            cpu = self._cpu
            target = operation.address if operation.rep else end.value
            cpu.rip = operation.after if end.value is None else target
            if operation.rep or cpu.flags & (TF | RF) or cpu.shadow or cpu.casts:
                self._retire(operation.flags, operation.rep and end.value is not None)
        return self._deliver_posted(operation) if self._posted else None

    def _retire(self, began: int, repeats: bool) -> None:
        """RF is set while an instruction repeats, else clear. TF, if it was set when the
        instruction began, traps; not behind a write to a device, where KVM leaves before it
        looks. Source: ``x86_emulate_insn``, arch/x86/kvm/emulate.c;
        ``x86_emulate_instruction``, arch/x86/kvm/x86.c."""
        self._cpu.flags = self._cpu.flags | RF if repeats else self._cpu.flags & ~RF
        self._cast_shadow()
        if began & TF and not (self._posted and isinstance(self._posted[0], WRITES)):
            self._raise(DEBUG)

    def _cast_shadow(self) -> None:
        """The shadow of the last instruction ends, that of this one begins; the second of two
        alike has none. Source: ``toggle_interruptibility``, arch/x86/kvm/x86.c."""
        cpu = self._cpu
        cpu.shadow, cpu.casts = 0 if cpu.shadow & cpu.casts else cpu.casts, 0

    def _fault(self, fault: Fault) -> None:
        """The instruction at hand ends in an exception: its registers are those that userspace
        could last see. KVM_GET_REGS in the middle of an instruction writes back what the
        emulator has changed so far (``__get_regs``, arch/x86/kvm/x86.c)."""
        self._cpu.gpr[:] = self._shown
        self._cast_shadow()
        self._raise(fault.vector, fault.error_code)

    def _raise(self, vector: int, error_code: int | None = None) -> None:
        waits = self._exception
        self._triple_fault = waits is not None and waits.vector == DOUBLE_FAULT
        self._exception = with_another(waits, Raised(vector, error_code))

    def _cannot_emulate(self) -> InternalError:
        """KVM's emulator does not know the instruction. RIP stays; a #UD may wait by now."""
        self.kvm_run.not_emulated(self._cpu.rip < len(self._memory) and not self._at_reset)
        if self._retirement.queues_ud:
            self._exception = Raised(INVALID_OPCODE)
        return InternalError(1)

    def _shut_down(self, raised: Raised) -> Shutdown:
        """Deliver the exception: there is no handler. Nothing is left of it, nor of a shadow."""
        if raised.sets_rf:
            self._cpu.flags |= RF
        self._exception, self._cpu.shadow = None, 0
        if self._retirement.shutdown_resets:
            self._cpu.reset()
            self._at_reset = True
        return Shutdown()

    def _access(self, access: Access, operation: Pending) -> Any:
        """Answer an access, or note what it asks of userspace and return None."""
        if self._cpu.null and isinstance(access, Load | Store):
            raise KvmExitError(
                f"{OUTSIDE} at {self._cpu.rip:#x}: an access to memory where a segment register"
                " holds a null selector (`kvmexit probe --kernel real` does it)"
            )
        if isinstance(access, Load):
            return self._load(access, operation)
        if isinstance(access, Store):
            return self._store(access.address, access.data)
        match access:
            case LoadTable(address):
                return bytes(self._memory[address : address + 6])
            case In(port, size, count):
                operation.ask(PioIn(port, size, count), size * count)
            case ReadMsr(index):
                if msrs.read(index) is Reply.KEPT:
                    return self._msrs.get(index, msrs.reset(index)).to_bytes(8, "little")
                operation.ask(Rdmsr(index), 8)
            case WriteMsr(index, value):
                if msrs.write(index, value) is Reply.KEPT:
                    self._msrs[index] = msrs.after(index, value)
                    return True
                operation.ask(Wrmsr(index, value), None)
            case Out(port, data):
                self._posted = [PioOut(port, len(data), 1, data)]
                return True
            case Halt():
                self._posted = [Hlt()]
                return True
        return None

    def _load(self, load: Load, operation: Pending) -> bytes | None:
        memory, address, size, at = self._memory, load.address, load.size, load.behind
        if self._unread:
            self._unread = False
            # A locked store to RAM finds that this is not what lies there, and all is done again.
            in_ram = address + size <= len(memory) and address % PAGE + size <= PAGE
            if not (operation.locked and in_ram):
                return bytes(self._read[at : at + size])
        if address + size <= len(memory):
            data = self._read[at : at + size] = bytes(memory[address : address + size])
            if self.trace is not None:
                self.trace.append(MemoryAccess(address, data, False))
            return data
        operation.behind = at
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
            self._read[at : at + size] = buffer
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
        operation.flags, self._cpu.flags = self._cpu.flags, self._visible
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

    # -- completing ---------------------------------------------------------------------

    def _complete(self, pending: Pending) -> VcpuExit | None:
        """Take the answer to the last piece; the next piece, or the rest of the instruction."""
        cpu, piece = self._cpu, pending.pieces[pending.done]
        if self._retirement.asks_page and not self.kvm_run.names(piece):
            self._pending = None
            return None
        if pending.reloaded and self._retirement.keeps_answer:
            self._follow(pending, piece)
        if pending.data is not None and pending.running is not None:
            answer = self.kvm_run.answered(piece)
            slot = pending.slots[pending.done]
            pending.data[slot : slot + len(answer)] = answer
        pending.done += 1
        if pending.done < len(pending.pieces):
            return pending.pieces[pending.done]
        self._pending = None
        if isinstance(piece, Rdmsr | Wrmsr) and self.kvm_run.refused:
            self._raise(GENERAL_PROTECTION, 0)
            return None
        if pending.running is None:
            if pending.moves_pc and cpu.rip == pending.address:
                cpu.rip = pending.after
            return None
        result = True if pending.data is None else bytes(pending.data)
        if pending.data is not None and isinstance(piece, MmioRead):
            self._read[pending.behind : pending.behind + len(pending.data)] = pending.data
        if pending.reloaded:
            if self._retirement.fast_in and isinstance(piece, PioIn) and not pending.string:
                return self._go_on(pending, result) if cpu.rip == pending.address else None
            if pending.rep and cpu.gpr[ECX] == 0:
                return self._nothing_left(pending)
            cpu.reloaded = True
        # The kernel goes on with the flags and the address it remembers, in the registers that
        # are there now. Flags are written only when the instruction retires.
        self._visible, cpu.flags = cpu.flags, pending.flags
        try:
            return self._go_on(pending, result)
        except Fault:
            cpu.flags = self._visible
            raise

    def _follow(self, pending: Pending, piece: VcpuExit) -> None:
        """Userspace has written the registers, and this machine goes on from where they are."""
        length, read = pending.after - pending.address, isinstance(piece, MmioRead)
        late = self._retirement.mmio_read is Pc.AT if read else pending.moves_pc
        pending.address = self._cpu.rip if late or not read else self._cpu.rip - length
        pending.after = pending.address + length
        pending.reloaded = False

    def _nothing_left(self, pending: Pending) -> VcpuExit | None:
        """Userspace has set ecx to 0 under a repeated instruction: it ends before it looks at
        its answer. The next load takes what lies in the read buffer; a port stays pending."""
        if isinstance(pending.pieces[0], PioIn):
            pending.done, self._pending = 0, pending
            pending.address = pending.after  # where it repeats from, if ecx is loaded once more
            return pending.pieces[0]
        self._cpu.rip, self._cpu.flags = pending.after, pending.flags
        self._retire(pending.flags, repeats=False)
        self._unread = True
        return None


_DECODED: dict[bytes, Insn] = {}
