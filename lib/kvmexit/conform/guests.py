"""The guests: what each does to the serial port, and what it can and cannot find.

A guest has no operating system. It greets, and then does one thing for ever. Every byte that it
sends carries the guest's own count in its top bit, which changes with each: so a byte that the
VMM wrote twice is told from one that the guest read twice. The seven other bits go round and
round from 1 to 126: 0 and 127 are sent by nobody, and read from a device that has nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from kvmexit.conform import bodies
from kvmexit.conform.image import LOAD, elf
from kvmexit.conform.landing import Access
from kvmexit.guest.assembler import Program, assemble

POP = frozenset({Access(True, bodies.PORT)})


@dataclass(frozen=True)
class Guest:
    """One guest: it ``reads`` the values that it is fed and says them again, or, where it does
    not read, writes them by itself. ``finds`` and ``misses`` say what a run of it shows."""

    name: str
    body: str
    reads: bool
    pending: frozenset[Access]
    """The accesses of which none may be pending at a save."""
    finds: str
    misses: str
    forgives: str = ""
    """Why it says nothing if this guest is not broken, where that is so: a save at once does not
    show in what it says, or nobody knows how often it would."""

    @cached_property
    def program(self) -> Program:
        """The machine code, and where it stands."""
        greeting = f'greeting: db "kvmexit {self.name}", 0x0a'
        return assemble(
            f"{bodies.GREET}{self.body}{greeting}",
            LOAD,
            PORT=bodies.PORT,
            FIFO_CONTROL=bodies.FIFO_CONTROL,
            LINE_CONTROL=bodies.LINE_CONTROL,
            LINE_STATUS=bodies.LINE_STATUS,
            LAST=bodies.LAST,
            NOWHERE=bodies.NOWHERE,
        )

    @property
    def greeting(self) -> bytes:
        """What it says first; what a firmware has said before it is passed over."""
        return f"kvmexit {self.name}\n".encode()

    @cached_property
    def image(self) -> bytes:
        """The file that a VMM is given as its kernel."""
        return elf(self.program)


GUESTS = {
    guest.name: guest
    for guest in (
        Guest(
            "reader",
            bodies.READER,
            reads=True,
            pending=POP,
            finds="a byte that is lost because the read which popped it was saved uncompleted",
            misses="a second exit of one access; a write that is made twice",
        ),
        Guest(
            "writer",
            bodies.WRITER,
            reads=False,
            pending=frozenset({Access(False, bodies.PORT)}),
            finds="a byte that is written again, where KVM completes an out at the next entry",
            misses="anything on a KVM whose out has retired at its exit; any read",
        ),
        Guest(
            "string",
            bodies.STRING,
            reads=True,
            pending=POP,
            finds="what reader finds, and a byte that the completion stored in memory too late",
            misses="a second exit of one access; a write that is made twice",
        ),
        Guest(
            "wide",
            bodies.WIDE,
            reads=False,
            pending=frozenset(
                {
                    Access(True, bodies.NOWHERE, memory=True),
                    Access(True, bodies.NOWHERE + 2, memory=True),
                }
            ),
            finds="by its log alone (--trace): a load in two exits of which one was served",
            misses="anything by what it says: no device is there that would mind",
            forgives="nothing answers where this guest reads, so it cannot tell a read that is"
            " repeated; its log can (--trace)",
        ),
        Guest(
            "polling",
            bodies.POLLING,
            reads=True,
            pending=POP,
            finds="what reader finds, sooner: there is no other read than the one that pops",
            misses="a byte that is read as 0 in its place: it is missing, as any other",
            forgives="a read that finds nothing may be pending too, and pops nothing, so nobody"
            " knows how many stops it takes: the reader's whole is one",
        ),
        Guest(
            "divide",
            bodies.DIVIDE,
            reads=True,
            pending=POP,
            finds="what reader finds; where a byte is read as 0 it divides by it, and is gone",
            misses="a second exit of one access; a write that is made twice",
        ),
        Guest(
            "burst",
            bodies.BURST,
            reads=False,
            pending=frozenset({Access(False, bodies.PORT)}),
            finds="a rep outsb of which a byte is lost, in a VMM that saves before it has served",
            misses="a save after the byte was served, which has retired at its exit on x86",
            forgives="an outsb has retired at its exit, so that a VMM which saves at once loses"
            " nothing; its log tells (--trace)",
        ),
        Guest(
            "update",
            bodies.UPDATE,
            reads=False,
            pending=frozenset(Access(read, bodies.NOWHERE, memory=True) for read in (True, False)),
            finds="by its log alone (--trace): a read and a write of one instruction, of which"
            " the write was left",
            misses="anything by what it says: no device is there that would mind",
            forgives="nothing answers where this guest reads and writes, so it cannot tell an"
            " update that is repeated; its log can (--trace)",
        ),
        Guest(
            "indexed",
            bodies.INDEXED,
            reads=False,
            pending=frozenset({Access(False, bodies.LINE_CONTROL), Access(False, bodies.PORT)}),
            finds="an index that is lost, in a VMM that saves before it has served: then what is"
            " meant for the divisor of the serial port is written as a byte",
            misses="a read that is made again: a divisor does not mind",
            forgives="a divisor that is read or written again is the same, so that a VMM which"
            " saves at once loses nothing; its log tells (--trace)",
        ),
    )
}
