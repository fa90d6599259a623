"""From a file, a pipe or a compressed file to batches of lines, in bounded memory."""

from __future__ import annotations

import gzip
import io
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from kvmexit.errors import KvmExitError

BLOCK = 1 << 18
_LONGEST_LINE = 1 << 20
_COLOURS = re.compile(rb"\x1b\[[0-9;:?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]")
_MARK = b"\xef\xbb\xbf"  # what some editors begin a text with
_BINARY = {
    b"PERFILE2": "a perf.data file: run `perf script --show-lost-events -i FILE > FILE.txt`"
    " and lint that",
    b"\x17\x08\x44tracing": "a trace.dat file: run `trace-cmd report FILE > FILE.txt`"
    " and lint that",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: run `zstd -dc FILE | kvmexit lint -`",
    b"\xfd7zXZ\0": "compressed with xz: run `xz -dc FILE | kvmexit lint -`",
    b"BZh": "compressed with bzip2: run `bzip2 -dc FILE | kvmexit lint -`",
}


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """The log ``name``: a path, plain or gzip; ``-`` is standard input."""
    try:
        if name == "-":
            yield _unzipped(cast("io.BufferedReader", sys.stdin.buffer))
            return
        with Path(name).open("rb") as raw:
            yield _unzipped(raw)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise KvmExitError(f"{name}: the gzip data ends early or is damaged: {error}") from None
    except OSError as error:
        why = error.strerror or str(error)
        raise KvmExitError(f"{name}: cannot be read: {why}") from None


def _unzipped(raw: io.BufferedReader) -> IO[bytes]:
    """``raw``, or what is in it if it is gzip: told without going back, which a pipe cannot."""
    zipped = raw.peek(2)[:2] == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if zipped else raw


def check_text(name: str, head: bytes) -> None:
    """Raise :class:`KvmExitError` if ``head``, the first bytes, is no text log."""
    if not head.strip():
        raise KvmExitError(f"{name}: is empty; record a log first (see `kvmexit lint --help`)")
    for magic, what in _BINARY.items():
        if head.startswith(magic):
            raise KvmExitError(f"{name}: is {what}")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise KvmExitError(f"{name}: is UTF-16; save it as plain text")
    if b"\0" in head[:4096]:
        raise KvmExitError(f"{name}: is binary; lint reads the text of strace, tracefs, perf, QEMU")


def uncoloured(data: bytes) -> bytes:
    """``data`` without the codes by which a terminal is told colours."""
    return _COLOURS.sub(b"", data) if b"\x1b" in data else data


def batches(
    read: Callable[[int], bytes], head: bytes = b""
) -> Iterator[tuple[list[bytes], bool, int]]:
    """Lists of lines, whether the last of them is whole, and the bytes they came from.

    ``head`` is what was read already. A line of more than a MiB is cut there: it is no line
    of a log, and must not fill the memory.
    """
    carry, skipping = b"", False
    block = head or read(BLOCK)
    block = block.removeprefix(_MARK)
    while block:
        size = len(block)
        if b"\r" in block:
            block = block.replace(b"\r\n", b"\n").rstrip(b"\r")
        if b"\xc2\xa0" in block:  # what some mail programs and pages make of a blank
            block = block.replace(b"\xc2\xa0", b" ")
        if skipping:
            _, newline, block = block.partition(b"\n")
            skipping = not newline
        lines = (carry + block).split(b"\n")
        carry = lines.pop()
        if b"\x1b" in block:
            lines = [uncoloured(line) for line in lines]
        if len(carry) > _LONGEST_LINE:
            lines.append(carry[:4096] + b" [a line of more than 1 MiB, cut]")
            carry, skipping = b"", True
        yield lines, True, size
        block = read(BLOCK)
    if carry:
        yield [uncoloured(carry)], False, 0
