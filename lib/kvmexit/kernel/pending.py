"""What is pending, and the pieces that one access falls into."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from kvmexit.exits import MmioRead, VcpuExit
from kvmexit.guest.cpu import Execution
from kvmexit.kernel.ram import PAGE
from kvmexit.kernel.simulated_page import WIDEST


@dataclass(slots=True)
class Pending:
    """Half an operation. ``pieces`` are the exits it takes, ``done`` how many were made.

    ``running`` is the paused instruction, or None if it has retired and only posted pieces
    are left. ``string`` says that it is a string instruction, ``rep`` that it repeats until
    ecx is 0, ``locked`` that it stores only if what it loaded is still there. ``data`` collects
    a read; ``slots`` say where in it each piece belongs, ``behind`` how much the
    instruction had read before it. ``first``: the instruction holds nothing yet that it read.
    """

    pieces: list[VcpuExit]
    address: int
    after: int
    flags: int
    running: Execution | None = None
    rep: bool = False
    string: bool = False
    locked: bool = False
    data: bytearray | None = None
    slots: tuple[int, ...] = ()
    done: int = 0
    reloaded: bool = False
    moves_pc: bool = False
    behind: int = 0
    first: bool = True

    def ask(self, exit: VcpuExit, size: int | None) -> None:
        """One exit, answered by ``size`` bytes, or by nothing but the next entry."""
        self.pieces, self.slots = [exit], (0,)
        self.data = None if size is None else bytearray(size)


@lru_cache(maxsize=4096)
def mmio_read(gpa: int, size: int) -> MmioRead:
    """The read exit, made once."""
    return MmioRead(gpa, size)


def fragments(address: int, size: int, ram: int) -> list[tuple[int, int, int]]:
    """Cut an access at page boundaries, and pieces outside RAM to at most eight bytes.

    Returns (offset in the access, address, length) for each piece; addresses wrap at 4 GiB.
    Source: ``emulator_read_write`` and ``complete_emulated_mmio``, arch/x86/kvm/x86.c.
    """
    if size <= WIDEST and address % PAGE + size <= PAGE:
        return [(0, address, size)]
    pieces = []
    done = 0
    while done < size:
        where = (address + done) & 0xFFFFFFFF
        length = min(size - done, PAGE - where % PAGE)
        if where >= ram:
            length = min(length, WIDEST)
        pieces.append((done, where, length))
        done += length
    return pieces
