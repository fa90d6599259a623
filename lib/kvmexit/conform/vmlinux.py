"""A bzImage, and the ELF file that is packed in it, which some VMMs start instead.

Source: Documentation/arch/x86/boot.rst (the setup header) and scripts/extract-vmlinux of Linux;
LZ4's doc/lz4_Block_format.md, and doc/lz4_Frame_format.md for the legacy frame that Linux uses.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from struct import unpack_from

from kvmexit.errors import KvmExitError

_ELF = b"\x7fELF"
_SECTOR = 512
_SIZE = 4
"""Bytes at the end of what is packed, which say how long it is unpacked."""


def packed(image: bytes, name: Path) -> bool:
    """Is ``image``, the file ``name``, a bzImage? If not, it is an ELF file; KvmExitError if it is
    none of both."""
    if image[:4] == _ELF:
        return False
    if image[0x202:0x206] != b"HdrS":
        raise KvmExitError(f"{name} is no kernel of Linux for x86: neither a bzImage nor an ELF")
    return True


def unpacked(image: bytes, name: Path) -> bytes:
    """The ELF file that a bzImage holds. KvmExitError if this Python cannot unpack it."""
    sectors = image[0x1F1] or 4
    offset, length = unpack_from("<II", image, 0x248)
    start = (sectors + 1) * _SECTOR + offset
    payload = image[start : start + length - _SIZE]
    rows = (row for magic, row in _WAYS.items() if payload.startswith(magic))
    how, unpack = next(rows, ("in a way", _unknown))
    try:
        (size,) = unpack_from("<I", image, start + len(payload))
        found = unpack(payload)
    except ImportError:
        raise KvmExitError(
            f"{name} is packed {how} that this Python cannot unpack: let the script"
            " extract-vmlinux of Linux do it, and give --kernel what it writes"
        ) from None
    except Exception:  # each way has errors of its own
        found, size = b"", 0
    if found[:4] != _ELF or len(found) != size:
        raise KvmExitError(f"{name} is damaged: what is packed in it is not a whole kernel")
    return found


def _lz4(payload: bytes) -> bytes:
    """The legacy frame: blocks, each behind its length, of which none refers to another."""
    found, at = bytearray(), 4
    while at < len(payload):
        (size,) = unpack_from("<I", payload, at)
        found += _block(payload[at + 4 : at + 4 + size])
        at += 4 + size
    return bytes(found)


def _block(source: bytes) -> bytearray:
    """Bytes as they are, then a copy of earlier ones, in turn; it ends with bytes."""
    found, at = bytearray(), 0
    while True:
        token = source[at]
        count, at = _length(source, at + 1, token >> 4)
        found += source[at : at + count]
        at += count
        if at >= len(source):
            return found
        back = source[at] | source[at + 1] << 8
        count, at = _length(source, at + 2, token & 15)
        count += 4
        start = len(found) - back
        piece = found[start : start + count]
        found += piece if back >= count else (piece * (count // back + 1))[:count]


def _length(source: bytes, at: int, count: int) -> tuple[int, int]:
    """A length that may go on in further bytes, and where it ends."""
    if count == 15:
        more = 255
        while more == 255:
            more = source[at]
            count, at = count + more, at + 1
    return count, at


def _by(module: str, name: str, *words: int) -> Callable[[bytes], bytes]:
    """The way of a module of the standard library, which this Python may lack."""

    def unpack(payload: bytes) -> bytes:
        found: bytes = getattr(import_module(module), name)(*words).decompress(payload)
        return found

    return unpack


def _unknown(payload: bytes) -> bytes:
    raise ImportError


_WAYS: dict[bytes, tuple[str, Callable[[bytes], bytes]]] = {
    b"\x1f\x8b": ("with gzip", _by("zlib", "decompressobj", 31)),
    b"\xfd7zXZ": ("with xz", _by("lzma", "LZMADecompressor")),
    b"\x5d\0\0": ("with lzma", _by("lzma", "LZMADecompressor")),
    b"BZh": ("with bzip2", _by("bz2", "BZ2Decompressor")),
    b"\x02\x21\x4c\x18": ("with LZ4", _lz4),
    b"\x28\xb5\x2f\xfd": ("with Zstandard", _by("compression.zstd", "ZstdDecompressor")),
}
"""How it begins, and what it is; Python has Zstandard since 3.14."""
