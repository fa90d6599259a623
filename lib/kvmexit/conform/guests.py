"""The guests: what each does to the serial port, and what it can and cannot find.

A guest that is *bare* has no operating system. It greets, and then does one thing for ever. Every
byte that it sends carries the guest's own count in its top bit, which changes with each: so a
byte that the VMM wrote twice is told from one that the guest read twice. The seven other bits go
round and round from 1 to 126: 0 and 127 are sent by nobody, and read from a device that has
nothing. The guest that has one stands in ``linux.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kvmexit.conform import bodies, sequence
from kvmexit.conform.image import LOAD, elf
from kvmexit.conform.landing import Access
from kvmexit.conform.sequence import Break, Kind
from kvmexit.guest.assembler import Program, assemble

POP = frozenset({Access(True, bodies.PORT)})
PUT = frozenset({Access(False, bodies.PORT)})


@dataclass(frozen=True)
class Boot:
    """What a VMM is to start: a kernel, for a Linux also its initramfs and its command line, and
    how much memory it takes, in MiB."""

    kernel: Path
    initrd: Path | None = None
    command_line: str = ""
    memory: int = 64


@dataclass(frozen=True, kw_only=True)
class Guest(ABC):
    """One guest. ``finds`` and ``misses`` say what a run of it shows."""

    name: str
    reads: bool
    """Is it fed, and says again what it reads? If not, it says something by itself."""
    pending: frozenset[Access]
    """The accesses of which none may be pending at a save."""
    finds: str
    misses: str
    forgives: str = ""
    """Why it says nothing if this guest is not broken, where that is so: a save at once does not
    show in what it says, or nobody knows how often it would."""
    around: int = 4
    """How many bytes before and behind a break are shown."""
    more: int = 8
    """Bytes that it is to say after a stop, so that it is known to run."""
    patience: int = 1
    """How many times the limit of one act its first word may take."""

    @property
    def greeting(self) -> bytes:
        """What it says first; what a firmware has said before it is passed over."""
        return f"kvmexit {self.name}\n".encode()

    @property
    def does(self) -> str:
        """What it does, for a sentence that begins with *a guest that*."""
        return f"{'reads' if self.reads else 'writes'} its serial port in sequence"

    @property
    def words(self) -> str:
        """How the command line names it."""
        return f"--guest {self.name}"

    @abstractmethod
    def boot(self, folder: Path, linux: str) -> Boot:
        """Its files, in ``folder``. ``linux`` is the adapter's form of a kernel of Linux."""

    @abstractmethod
    def breaks(self, heard: bytes) -> list[Break]:
        """Every break in what it said after its greeting."""

    @abstractmethod
    def shown(self, said: bytes) -> str:
        """A piece of what it said, for people."""

    @abstractmethod
    def value(self, byte: int) -> str:
        """One byte of it, likewise."""

    @abstractmethod
    def one(self, kind: Kind) -> str:
        """What such a break is counted in: a byte, say."""


@dataclass(frozen=True, kw_only=True)
class Bare(Guest):
    """A guest without an operating system, whose ``body`` is in the library's own assembly."""

    body: str

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

    @cached_property
    def image(self) -> bytes:
        """The file that a VMM is given as its kernel."""
        return elf(self.program)

    def boot(self, folder: Path, linux: str) -> Boot:
        kernel = folder / "guest"
        kernel.write_bytes(self.image)
        return Boot(kernel)

    def breaks(self, heard: bytes) -> list[Break]:
        return sequence.breaks(heard)

    def shown(self, said: bytes) -> str:
        """In hex, without the count's bit."""
        return bytes(byte & ~bodies.COUNT_BIT & 0xFF for byte in said).hex(" ")

    def value(self, byte: int) -> str:
        return f"{byte:#04x}"

    def one(self, kind: Kind) -> str:
        return "byte"


GUESTS = {
    guest.name: guest
    for guest in (
        Bare(
            name="reader",
            body=bodies.READER,
            reads=True,
            pending=POP,
            finds="a byte that is lost because the read which popped it was saved uncompleted",
            misses="a second exit of one access; a write that is made twice",
        ),
        Bare(
            name="writer",
            body=bodies.WRITER,
            reads=False,
            pending=PUT,
            finds="a byte that is written again, where KVM completes an out at the next entry",
            misses="anything on a KVM whose out has retired at its exit; any read",
        ),
        Bare(
            name="string",
            body=bodies.STRING,
            reads=True,
            pending=POP,
            finds="what reader finds, and a byte that the completion stored in memory too late",
            misses="a second exit of one access; a write that is made twice",
        ),
        Bare(
            name="wide",
            body=bodies.WIDE,
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
        Bare(
            name="polling",
            body=bodies.POLLING,
            reads=True,
            pending=POP,
            finds="what reader finds, sooner: there is no other read than the one that pops",
            misses="a byte that is read as 0 in its place: it is missing, as any other",
            forgives="a read that finds nothing may be pending too, and pops nothing, so nobody"
            " knows how many stops it takes: the reader's whole is one",
        ),
        Bare(
            name="divide",
            body=bodies.DIVIDE,
            reads=True,
            pending=POP,
            finds="what reader finds; where a byte is read as 0 it divides by it, and is gone",
            misses="a second exit of one access; a write that is made twice",
        ),
        Bare(
            name="burst",
            body=bodies.BURST,
            reads=False,
            pending=PUT,
            finds="a rep outsb of which a byte is lost, in a VMM that saves before it has served",
            misses="a save after the byte was served, which has retired at its exit on x86",
            forgives="an outsb has retired at its exit, so that a VMM which saves at once loses"
            " nothing; its log tells (--trace)",
        ),
        Bare(
            name="update",
            body=bodies.UPDATE,
            reads=False,
            pending=frozenset(Access(read, bodies.NOWHERE, memory=True) for read in (True, False)),
            finds="by its log alone (--trace): a read and a write of one instruction, of which"
            " the write was left",
            misses="anything by what it says: no device is there that would mind",
            forgives="nothing answers where this guest reads and writes, so it cannot tell an"
            " update that is repeated; its log can (--trace)",
        ),
        Bare(
            name="indexed",
            body=bodies.INDEXED,
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
