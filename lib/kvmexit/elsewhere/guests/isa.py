"""What the three machines share: where their guests' devices and RAM lie, and how one instruction
of theirs is told to a kernel.

An instruction here makes at most one access, so it needs no generator as those of x86 do: it
changes the registers and returns None, or returns the :class:`Access` that it makes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

from kvmexit.errors import KvmExitError
from kvmexit.exits import OtherExit, Reason, VcpuState
from kvmexit.probe.cases import ORIGIN, Case

FIFO = 0xD0020
"""The device: one byte of a packet for each read."""
ALIGNED = 0xD0040
"""A place in MMIO for accesses of 16 bytes."""
PAGE_END = 0xD1000
END = 0xE0000
"""A store here is the end of a guest, as ``hlt`` is on x86: the kernels of this package report it
so, and no device sees it."""
BUFFER = 0x3000
"""RAM that a guest reads from or writes to; it begins as :data:`BYTES`."""
BYTES = bytes(range(0x81, 0x91))
WORD = (1 << 64) - 1
NISV = "nisv"
"""The processor does not describe this access: it cannot be emulated from its syndrome."""


@dataclass(frozen=True, slots=True)
class Access:
    """Something that only a kernel can do for the guest.

    ``data`` is what a store writes, None for a load; ``put`` takes what a load was answered,
    piece by piece (its number, its bytes). ``pieces`` are the sizes of its exits. ``call`` is set
    for what is no access to memory: how the guest asks, and for what. ``refused`` says why the
    kernel does not emulate it, if it does not: an errno, or :data:`NISV`.
    """

    address: int = 0
    data: bytes | None = None
    put: Callable[[int, bytes], None] = lambda number, data: None
    pieces: tuple[int, ...] = ()
    call: tuple[Reason, int] | None = None
    refused: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Failed(OtherExit):
    """KVM_RUN failed, and not with EINTR. ``exit_reason`` is stale."""

    errno: str

    def __repr__(self) -> str:
        return f"KVM_RUN: {self.errno}"


@dataclass(slots=True)
class Cpu:
    """Registers by number, vectors by number, the counter; ``length`` is that of the instruction
    at hand, ``jump`` where it goes on, if not behind itself."""

    gpr: list[int]
    xmm: list[int]
    pc: int = 0
    length: int = 4
    jump: int | None = None

    def load(self, at: int, sign: int = 0, end: str = "little") -> Callable[[int, bytes], None]:
        """What puts a load's bytes into register ``at``: widened with zeros, or with the sign of
        the load to ``sign`` bits."""

        def put(number: int, data: bytes) -> None:
            value = int.from_bytes(data, "little" if end == "little" else "big", signed=sign > 0)
            self.gpr[at] = value & ((1 << sign) - 1 if sign else WORD)

        return put


Step = Callable[[Cpu, int], Access | None]
"""Executes the instruction whose first four bytes are given, little-endian."""


@dataclass(frozen=True, slots=True)
class Isa:
    """A machine of this package: its registers, and its guests as (name, text, machine code)."""

    name: str
    row: str
    state: type[ForeignState]
    accumulator: str
    begin: dict[str, int]
    step: Step
    accesses: tuple[tuple[str, str, str], ...]
    packet: tuple[str, str]
    end: str
    nop: str

    def cases(self) -> list[ForeignCase]:
        """Every access of this machine's atlas."""
        return [self.case(*access) for access in self.accesses]

    def case(self, name: str, text: str, code: str, before: str = "") -> ForeignCase:
        """A guest that makes one access and ends. ``before`` is code in front of it."""
        whole = bytes.fromhex(before + code + self.end)
        return ForeignCase(name, whole, {}, ((BUFFER, BYTES),), text=text, isa=self)

    def packet_case(self) -> ForeignCase:
        """The guest that reads a packet: ten bytes, then as many as the sixth of them says."""
        return self.case("packet", *self.packet)


class ForeignState(VcpuState):
    """What can be saved of a vCPU of these machines: general registers, the program counter,
    vectors. A class for each machine names them."""

    __slots__ = ()
    counter: ClassVar[str] = "pc"
    vectors: ClassVar[tuple[str, ...]] = ()

    def __getitem__(self, name: str) -> int:
        """One register by name."""
        if name == self.counter:
            return self.rip
        if name in self.names:
            return self.gpr[self.names.index(name)]
        if name in self.vectors:
            return self.xmm[self.vectors.index(name)]
        raise KvmExitError(f"no register {name!r}; known: {self.counter}, {', '.join(self.names)}")

    def replace(self, **registers: int) -> VcpuState:
        """The same state but for some registers."""
        for name in registers:
            self[name]
        gpr = tuple(registers.get(name, self[name]) for name in self.names)
        pc = registers.get(self.counter, self.rip)
        return type(self)(gpr, pc, self.rflags, self.xmm, self.events, self.rest)


@dataclass(frozen=True, slots=True)
class ForeignCase(Case):
    """A guest in the machine code of ``isa``; ``text`` is what an assembler made it of."""

    text: str = field(kw_only=True)
    isa: Isa = field(kw_only=True)

    def state(self) -> VcpuState:
        """The registers at the first instruction."""
        kind, begin = self.isa.state, self.isa.begin | self.registers
        gpr = tuple(begin.get(name, 0) for name in kind.names)
        xmm = tuple(begin.get(name, 0) for name in kind.vectors)
        return kind(gpr, begin.get(kind.counter, ORIGIN), 0, xmm)

    def listing(self) -> str:
        """Address, bytes, text."""
        return f"  {ORIGIN:04x}  {self.code.hex(' ', -4)}  {self.text}"


def bits(word: int, high: int, low: int) -> int:
    """A field of an instruction."""
    return word >> low & (1 << high - low + 1) - 1


def signed(value: int, width: int) -> int:
    """A field read as a signed number."""
    return value - (1 << width) if value >> width - 1 else value


def unknown(word: int, cpu: Cpu) -> KvmExitError:
    """The error for an instruction that no guest of this package has."""
    return KvmExitError(
        f"the instruction {word:#010x} at {cpu.pc:#x} is in no guest of this package:"
        " it is simulated for the accesses of its atlas alone"
    )
