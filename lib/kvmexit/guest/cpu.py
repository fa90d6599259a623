"""The guest's side of the machine: registers, operands, and the accesses an instruction makes.

An instruction is a generator. It yields each :data:`Access` that it makes and is sent the
answer; what it yields says nothing about RAM or devices, because the guest cannot know.
Whoever drives the generator decides. A generator that waits for its answer *is* the pending
operation of the simulated kernel: it can be resumed, it cannot be saved.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from kvmexit.exits import GPR_NAMES

EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)

CF, PF, AF, ZF, SF, DF, OF = 0x001, 0x004, 0x010, 0x040, 0x080, 0x400, 0x800
ARITHMETIC = CF | PF | AF | ZF | SF | OF
FIXED, TF, IF, RF, VM = 0x2, 0x100, 0x200, 0x10000, 0x20000
"""A bit that is always set; single step; interrupts on; resume; virtual-8086 mode."""

DIVIDE_ERROR, DEBUG, INVALID_OPCODE, DOUBLE_FAULT, GENERAL_PROTECTION = 0, 1, 6, 8, 13
"""Vectors of exceptions."""
BEHIND_MOV_SS, BEHIND_STI = 1, 2
"""Interrupt shadows, as KVM_GET_VCPU_EVENTS has them."""
SEGMENT_NAMES = ("es", "cs", "ss", "ds", "fs", "gs")
"""Segment registers in the order of their numbers in machine code."""

MASK = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFFFFFF, 8: (1 << 64) - 1, 16: (1 << 128) - 1}
REGISTER_NAMES = {
    1: ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"),
    2: tuple(name[1:] for name in GPR_NAMES),
    4: GPR_NAMES,
    16: tuple(f"xmm{n}" for n in range(8)),
}

READ_AHEAD = 1024
"""Bytes that KVM's emulator asks a port for at most in one exit of ``rep ins``."""


@dataclass(slots=True)
class Load:
    """``size`` bytes from a linear address. Answer: the bytes. ``behind`` are the bytes that the
    instruction, or this round of it, has read already: KVM keeps all in one buffer."""

    address: int
    size: int
    behind: int = 0


@dataclass(slots=True)
class LoadTable:
    """The six bytes of a descriptor table's limit and base, which KVM reads past its own way to
    a device. Answer: the bytes, or nothing where there is no RAM."""

    address: int


@dataclass(slots=True)
class Store:
    """``data`` to a linear address. Answer: True if it went to a device, which must see it
    before the next access of a repeated instruction."""

    address: int
    data: bytes


@dataclass(slots=True)
class In:
    """``count`` items of ``size`` bytes from an I/O port. Answer: the bytes."""

    port: int
    size: int
    count: int


@dataclass(slots=True)
class Out:
    """One item to an I/O port. Answer: True, as for a store to a device."""

    port: int
    data: bytes


@dataclass(slots=True)
class ReadMsr:
    """A model-specific register. Answer: eight bytes."""

    index: int


@dataclass(slots=True)
class WriteMsr:
    """A model-specific register gets a 64-bit value. Answer: nothing."""

    index: int
    value: int


@dataclass(slots=True)
class Halt:
    """The guest has nothing to do. Answer: nothing."""


Access: TypeAlias = Load | LoadTable | Store | In | Out | ReadMsr | WriteMsr | Halt
Execution: TypeAlias = Generator[Access, Any, int | None]
"""A running instruction. It returns where to go on, or None for the next instruction."""


class Fault(Exception):
    """An instruction cannot be done: exception ``vector`` takes its place, with the error code
    that goes with it. What the instruction has written to registers is taken back."""

    def __init__(self, vector: int, error_code: int | None = None) -> None:
        super().__init__(vector, error_code)
        self.vector, self.error_code = vector, error_code


class NotEmulated(Exception):
    """KVM's emulator does not know this instruction: KVM_EXIT_INTERNAL_ERROR takes its place."""


RESET_EDX, RESET_RIP = 0x600, 0xFFF0
"""After a reset, as KVM makes it for a CPU of family 6 (kvm_vcpu_reset, arch/x86/kvm/x86.c)."""


class Cpu:
    """The registers that the guest's instructions work on.

    ``reloaded`` is set while an instruction is finished whose registers userspace has
    replaced in the middle: the kernel then no longer knows which register was to get the
    result, and the result is dropped. ``read_ahead`` is the buffer of the port input
    instructions; it keeps what was last in it. ``shadow`` is that of the last instruction, and
    ``casts`` the one that the instruction at hand will leave behind it. ``null`` are the null
    selectors that were loaded, by the number of the segment register.
    """

    __slots__ = ("casts", "flags", "gpr", "null", "read_ahead", "reloaded", "rip", "shadow", "xmm")

    def __init__(self) -> None:
        self.gpr = [0] * 8
        self.rip = 0
        self.flags = 2
        self.xmm = [0] * 8
        self.reloaded = False
        self.shadow = self.casts = 0
        self.null: dict[int, int] = {}
        self.read_ahead = bytearray(READ_AHEAD)

    def reset(self) -> None:
        """As after a reset: the revision in edx, rip where the first instruction is. The segments
        of that state are none that this CPU knows: nothing can be executed from there."""
        self.__init__()  # type: ignore[misc]  # all of it anew
        self.gpr[2], self.rip = RESET_EDX, RESET_RIP

    def advance(self, register: int, by: int) -> None:
        """Add to a register that an instruction counts with (esi, edi, ecx, esp)."""
        self.gpr[register] = (self.gpr[register] + by) & MASK[4]


class Register:
    """A register as an operand: ``number`` as in machine code, ``size`` 1, 2, 4 or 16 bytes."""

    __slots__ = ("high", "number", "size", "slot")
    in_memory = False

    def __init__(self, number: int, size: int) -> None:
        self.number, self.size = number, size
        self.high = size == 1 and number >= 4
        self.slot = number & 3 if self.high else number

    def get(self, cpu: Cpu) -> int:
        if self.size == 16:
            return cpu.xmm[self.slot]
        value = cpu.gpr[self.slot]
        return (value >> 8 if self.high else value) & MASK[self.size]

    def put(self, cpu: Cpu, value: int) -> None:
        """Write the operand; ignored after a reload, except for xmm, which KVM writes directly."""
        if self.size == 16:
            cpu.xmm[self.slot] = value
        elif not cpu.reloaded:
            self.force(cpu, value)

    def force(self, cpu: Cpu, value: int) -> None:
        """Write the register whatever happened in between."""
        shift = 8 if self.high else 0
        mask = MASK[self.size] << shift
        cpu.gpr[self.slot] = (cpu.gpr[self.slot] & ~mask) | (value << shift & mask)

    def __str__(self) -> str:
        return REGISTER_NAMES[self.size][self.number]


class Segment(Register):
    """A segment register: its selector, ``number`` as in machine code.

    It holds what a new VM has in it, or a null selector. Nothing else can be loaded: there is no
    descriptor table.
    """

    def __init__(self, number: int) -> None:
        if number >= len(SEGMENT_NAMES):
            raise ValueError(number)
        super().__init__(number, 2)

    def get(self, cpu: Cpu) -> int:
        return cpu.null.get(self.number, 8 if SEGMENT_NAMES[self.number] == "cs" else 16)

    def __str__(self) -> str:
        return SEGMENT_NAMES[self.number]


class Immediate:
    """A constant in the instruction."""

    __slots__ = ("size", "value")
    in_memory = False

    def __init__(self, value: int, size: int) -> None:
        self.value, self.size = value & MASK[size], size

    def get(self, cpu: Cpu) -> int:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:#x}"


class Place:
    """A memory operand whose address has been computed."""

    __slots__ = ("address", "size")
    in_memory = True

    def __init__(self, address: int, size: int) -> None:
        self.address, self.size = address, size


class Memory:
    """A memory operand: ``[base + index * scale + displacement]``, ``size`` bytes."""

    __slots__ = ("base", "displacement", "index", "scale", "size")
    in_memory = True

    def __init__(
        self, displacement: int, base: int | None, index: int | None, scale: int, size: int
    ) -> None:
        self.displacement, self.base, self.index = displacement, base, index
        self.scale, self.size = scale, size

    def place(self, cpu: Cpu) -> Place:
        """Where it is with the registers of now. Addresses wrap at 4 GiB."""
        address = self.displacement
        if self.base is not None:
            address += cpu.gpr[self.base]
        if self.index is not None:
            address += cpu.gpr[self.index] * self.scale
        return Place(address & MASK[4], self.size)

    def __str__(self) -> str:
        parts = [] if self.base is None else [GPR_NAMES[self.base]]
        if self.index is not None:
            scale = "" if parts and self.scale == 1 else f"*{self.scale}"
            parts.append(GPR_NAMES[self.index] + scale)
        text = "+".join(parts)
        if not parts:
            return f"[{self.displacement & MASK[4]:#x}]"
        sign = "-" if self.displacement < 0 else "+"
        return f"[{text}{sign}{abs(self.displacement):#x}]" if self.displacement else f"[{text}]"


class Relative:
    """A jump target, as a distance from the end of the instruction."""

    __slots__ = ("distance", "size")
    in_memory = False

    def __init__(self, distance: int, size: int) -> None:
        self.distance, self.size = distance, size


Operand: TypeAlias = Register | Immediate | Memory | Relative
Located: TypeAlias = Register | Immediate | Place


def fetch(cpu: Cpu, operand: Located) -> Generator[Access, Any, int]:
    """The value of an operand, by an access if it is in memory."""
    if isinstance(operand, Place):
        return int.from_bytes((yield Load(operand.address, operand.size)), "little")
    return operand.get(cpu)


def write(cpu: Cpu, operand: Located, value: int) -> Generator[Access, Any, bool]:
    """Give an operand its value; True if that went to a device."""
    if isinstance(operand, Place):
        data = (value & MASK[operand.size]).to_bytes(operand.size, "little")
        return bool((yield Store(operand.address, data)))
    assert isinstance(operand, Register)
    operand.put(cpu, value)
    return False
