"""A guest image that every VMM starts: ELF64, with the note by which a PVH kernel is entered.

QEMU, Firecracker and Cloud Hypervisor find the note and enter in 32-bit protected mode; a VMM
that knows no PVH enters at the ELF's own entry in 64 bits. Both are the first byte of the code,
so the code is made of instructions whose bytes mean the same in both modes.

Source: the ELF and program headers of elf.h; the note is XEN_ELFNOTE_PHYS32_ENTRY of Xen's
public/elfnote.h, as docs/misc/pvh.pandoc describes it.
"""

from __future__ import annotations

from struct import pack

from kvmexit.guest.assembler import Program

LOAD = 16 << 20
"""Where the image stands in guest memory: above what any of these VMMs keeps for itself."""
_HEADER, _SEGMENT = 64, 56
_CODE_AT = 0x1000
"""Offset of the code in the file: a page, as its address is aligned to one."""
_SMALLEST = 0x4000
"""Some loaders read a fixed number of bytes of the file before they look at it."""
_NOTE_TYPE = 18
_LOADED, _NOTE = 1, 4
_ALL = 7  # readable, writable, executable


def pvh_note(entry: int) -> bytes:
    """The note: owner ``Xen``, type 18, and the entry as a number of eight bytes."""
    return pack("<III4sQ", 4, 8, _NOTE_TYPE, b"Xen\0", entry)


def elf(program: Program) -> bytes:
    """``program`` as an ELF64 executable that is entered at its first byte."""
    note = pvh_note(program.origin)
    note_at = _HEADER + 2 * _SEGMENT
    size = len(program.code)
    header = pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        2,  # an executable
        62,  # x86-64
        1,
        program.origin,
        _HEADER,
        0,
        0,
        _HEADER,
        _SEGMENT,
        2,
        0,
        0,
        0,
    )
    where = program.origin
    loaded = pack("<IIQQQQQQ", _LOADED, _ALL, _CODE_AT, where, where, size, size, 0x1000)
    noted = pack("<IIQQQQQQ", _NOTE, 4, note_at, 0, 0, len(note), len(note), 4)
    image = (header + loaded + noted + note).ljust(_CODE_AT, b"\0") + program.code
    return image.ljust(_SMALLEST, b"\0")
