"""The guest that is a Linux of the reader's own distribution, unchanged.

Its only program is ours: the first process, which prints a counter, line by line, on its console.
The kernel brings the characters to the serial port by its own driver, with its own interrupts. So
what breaks here breaks in guests that people run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kvmexit.conform import lines
from kvmexit.conform.guests import PUT, Boot, Guest
from kvmexit.conform.image import LOAD, elf
from kvmexit.conform.landing import Access
from kvmexit.conform.sequence import Break, Kind
from kvmexit.conform.vmlinux import packed, unpacked
from kvmexit.elsewhere.initramfs import Cpio
from kvmexit.errors import KvmExitError
from kvmexit.guest.assembler import assemble

COMMAND_LINE = "console=ttyS0 loglevel=1 panic=-1 reboot=k"
"""Its console is the serial port; it keeps its messages for itself; where it cannot go on, it ends
the VMM, if that ends at a reset."""
MEMORY = 128
"""MiB."""
OWN = Path("/boot") / f"vmlinuz-{os.uname().release}"
"""The kernel of this machine."""
_WRITE = """
        mov eax, 1                  ; write
        mov edi, 1
        db 0x0f, 0x05               ; syscall
"""
INIT = f"""
        mov esi, greeting
        mov edx, GREETING
        {_WRITE}
print:  mov esi, line
        mov edx, line_end-line
        {_WRITE}
        mov edi, line_end-2         ; the last digit
count:  mov al, [edi]
        add al, 1
        mov [edi], al
        cmp al, 0x3a                ; behind 9
        jne print
        mov al, 0x30
        mov [edi], al
        sub edi, 1
        jmp count
greeting: db "kvmexit linux", 0x0a
line:   db "00000000", 0x0a
line_end:
"""
"""The first process: a program of Linux in 64 bits, made of instructions whose bytes are those of
32 (``bodies.py``)."""


def initramfs() -> bytes:
    """An archive with the console and the first process. The file of a guest without an operating
    system is a program of Linux as well: it is entered at its first byte."""
    archive = Cpio()
    archive.folder("dev")
    archive.put("dev/console", 0o020600, device=(5, 1))
    archive.file("init", elf(assemble(INIT, LOAD, GREETING=len("kvmexit linux\n"))), 0o755)
    return archive.end()


@dataclass(frozen=True, kw_only=True)
class Linux(Guest):
    """A guest whose ``kernel`` is a file of the reader's: a bzImage, or an ELF file."""

    name: str = "linux"
    reads: bool = False
    pending: frozenset[Access] = PUT
    finds: str = (
        "a character of a console that is doubled or lost, where KVM completes an out at the next"
        " entry"
    )
    misses: str = (
        "anything on a KVM whose out has retired at its exit; a byte on its way in; a read"
        " that is made again, unless the console falls silent by it"
    )
    around: int = 2 * lines.LONG
    more: int = 20 * lines.LONG
    """Right behind a load it has other things to do: faults, and timers that are due."""
    patience: int = 5
    kernel: Path = OWN

    @property
    def greeting(self) -> bytes:
        return b"kvmexit linux\r\n"

    @property
    def does(self) -> str:
        return "is an unchanged Linux, whose first process prints a counter on its console,"

    @property
    def words(self) -> str:
        return f"--guest {self.name} --kernel {self.kernel}"

    def boot(self, folder: Path, linux: str) -> Boot:
        """KvmExitError if the adapter boots none, or the kernel is in no form that it boots."""
        if not linux:
            raise KvmExitError(
                "this adapter boots no Linux: let its start() take self.initrd, self.command_line"
                ' and self.memory, and say linux = "bzImage" or linux = "vmlinux" in its class'
            )
        image = _read(self.kernel)
        if linux == "vmlinux" and packed(image, self.kernel):
            image = unpacked(image, self.kernel)
        kernel, initrd = folder / "kernel", folder / "initrd"
        kernel.write_bytes(image)
        initrd.write_bytes(initramfs())
        return Boot(kernel, initrd, COMMAND_LINE, MEMORY)

    def breaks(self, heard: bytes) -> list[Break]:
        return lines.breaks(heard)

    def shown(self, said: bytes) -> str:
        return repr(said.decode("latin-1"))

    def value(self, byte: int) -> str:
        return repr(chr(byte))

    def one(self, kind: Kind) -> str:
        """Whole lines are missing or come twice; all else is of characters."""
        return "line" if kind in (Kind.MISSING, Kind.TWICE) else "character"


def _read(kernel: Path) -> bytes:
    try:
        return kernel.read_bytes()
    except OSError as problem:
        raise KvmExitError(
            f"{kernel} cannot be read ({problem.strerror}): give a kernel with --kernel, a bzImage"
            " of your distribution, say, or Debian's, which `kvmexit elsewhere svm` fetches into"
            " .cache/elsewhere/kernel/svm/vmlinux"
        ) from None
