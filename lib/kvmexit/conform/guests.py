"""The guests: what each does to the serial port, and what it can and cannot find.

A guest has no operating system. It greets, and then does one thing for ever. Every byte that it
sends carries the guest's own count in its top bit, which changes with each: so a byte that the
VMM wrote twice is told from one that the guest read twice. The seven other bits go round and
round from 1 to 126: 0 and 127 are sent by nobody, and read from a device that has nothing.

The bytes of these programs mean the same in 32 and in 64 bits: no stack, no absolute address,
none of the short forms whose bytes became prefixes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from kvmexit.conform.image import LOAD, elf
from kvmexit.conform.landing import Access
from kvmexit.guest.assembler import Program, assemble

PORT, FIFO_CONTROL, LINE_STATUS = 0x3F8, 0x3FA, 0x3FD
"""The first serial port of a PC: data, FIFO control, line status."""
FIRST, LAST = 1, 126
"""The values that are fed and written, in order, round and round."""
COUNT_BIT = 0x80
POP = frozenset({Access(True, PORT)})
NOWHERE = 0xD0000FFE
"""Four bytes from here cross a page, and no device of these machines answers there."""

GREET = """
        mov dx, FIFO_CONTROL
        mov al, 1                   ; FIFOs on
        out dx, al
        mov dx, PORT
        mov esi, greeting
greet:  mov al, [esi]
        out dx, al
        add esi, 1
        cmp al, 0x0a
        jne greet
        mov ebx, 0                  ; bl: the count's bit, bh: the next value
        mov bh, 1
next:
"""

READER = """
        mov dx, LINE_STATUS
wait:   in al, dx
        test al, 1                  ; a byte is there
        je wait
        mov dx, PORT
        in al, dx                   ; and is popped
        and al, 0x7f
        xor al, bl
        out dx, al
        xor bl, 0x80
        jmp next
"""

WRITER = """
        mov dx, PORT
        mov al, bh
        xor al, bl
        out dx, al
        xor bl, 0x80
        add bh, 1
        cmp bh, LAST+1
        jne next
        mov bh, 1
        jmp next
"""


STRING = """
        mov dx, LINE_STATUS
wait:   in al, dx
        test al, 1
        je wait
        mov dx, PORT
        mov edi, cell
        insb                        ; popped, and stored by the completion
        mov esi, cell
        mov al, [esi]
        and al, 0x7f
        xor al, bl
        out dx, al
        xor bl, 0x80
        jmp next
cell:   db 0
"""

WIDE = """
        mov dx, PORT
        mov al, bh
        xor al, bl
        out dx, al
        xor bl, 0x80
        mov ecx, 64
        mov esi, NOWHERE
load:   mov eax, [esi]              ; two exits
        sub ecx, 1
        jne load
        add bh, 1
        cmp bh, LAST+1
        jne next
        mov bh, 1
        jmp next
"""


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
    """Why a save at once shows nothing in what this guest says, if it never does."""

    @cached_property
    def program(self) -> Program:
        """The machine code, and where it stands."""
        greeting = f'greeting: db "kvmexit {self.name}", 0x0a'
        return assemble(
            f"{GREET}{self.body}{greeting}",
            LOAD,
            PORT=PORT,
            FIFO_CONTROL=FIFO_CONTROL,
            LINE_STATUS=LINE_STATUS,
            LAST=LAST,
            NOWHERE=NOWHERE,
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
            READER,
            reads=True,
            pending=POP,
            finds="a byte that is lost because the read which popped it was saved uncompleted",
            misses="a second exit of one access; a write that is made twice",
        ),
        Guest(
            "writer",
            WRITER,
            reads=False,
            pending=frozenset({Access(False, PORT)}),
            finds="a byte that is written again, where KVM completes an out at the next entry",
            misses="anything on a KVM whose out has retired at its exit; any read",
        ),
        Guest(
            "string",
            STRING,
            reads=True,
            pending=POP,
            finds="what reader finds, and a byte that the completion stored in memory too late",
            misses="a second exit of one access; a write that is made twice",
        ),
        Guest(
            "wide",
            WIDE,
            reads=False,
            pending=frozenset(
                {Access(True, NOWHERE, memory=True), Access(True, NOWHERE + 2, memory=True)}
            ),
            finds="by its log alone (--trace): a load in two exits of which one was served",
            misses="anything by what it says: no device is there that would mind",
            forgives="nothing answers where this guest reads, so it cannot tell a read that is"
            " repeated; its log can (--trace)",
        ),
    )
}
