"""Which format is this? Told from the first lines that look like one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol

from kvmexit.errors import KvmExitError
from kvmexit.tracelint import wrapping
from kvmexit.tracelint.events import Event
from kvmexit.tracelint.qemu import LINE, Qemu
from kvmexit.tracelint.strace import Strace
from kvmexit.tracelint.strace_line import OTHER, head_of, is_piece
from kvmexit.tracelint.tracefs import HEADER, Tracefs

_SAMPLE = 2000
_ENOUGH = 200
_START = 1 << 14  # bytes in which what is no log shows itself


class Reader(Protocol):
    """What turns lines of one format into events. ``classes`` are the event classes that a log of
    kernel events has; ``None`` where nothing is told from their absence. ``single``: it may be the
    file of one thread of several."""

    shows_ioctls: bool
    machine: str

    @property
    def single(self) -> bool: ...

    @property
    def classes(self) -> frozenset[str] | None: ...

    def feed(self, lines: list[bytes], first: int, whole: bool = True) -> Iterator[Event]: ...

    def end(self) -> Iterator[Event]: ...


READERS: dict[str, Callable[[], Reader]] = {
    "strace": Strace,
    "tracefs": Tracefs,
    "perf": lambda: Tracefs(perf=True),
    "qemu": Qemu,
}
_QEMU = re.compile(rb"(?:cpu_index|index:?|type|fd) ")
_QEMU_OTHER = re.compile(rb"\d{1,10}@\d+\.\d+:\w+ ")
_TRACE_CMD = re.compile(rb"cpus=\d+$")
_CALL = re.compile(rb"ioctl\(|\+\+\+ (?:exited|killed)")
_PERF = re.compile(rb"\[\d+\]\s+\d+\.\d+:\s+(?:\d+ )?(kvm|syscalls|raw_syscalls|kvmmmu):\w+:")


def kind_of(line: bytes) -> str:
    """The format that ``line`` has, from its first byte on, or ``""``."""
    qemu = LINE.match(line)
    if qemu and (_QEMU.match(qemu["rest"] or b"") or qemu["thread"]):
        return "qemu"
    if _QEMU_OTHER.match(line):
        return "qemu"
    if HEADER.match(line):
        return "perf" if _PERF.search(line) else "tracefs"
    if line.startswith(b"# tracer:") or _TRACE_CMD.match(line):
        return "tracefs"
    call = OTHER.search(line) or _CALL.search(line)
    if call and head_of(line[: call.start()]):
        return "strace"
    return ""


def detect(name: str, head: bytes, unwrap: wrapping.Unwrap | None) -> str:
    """The format of the log ``name`` that begins with ``head``, as ``unwrap`` leaves its lines.

    Raises :class:`KvmExitError` for what is no log, in words that say what it is if that is known.
    """
    start = head[:_START]
    if what := wrapping.encoded(start):
        raise KvmExitError(f"{name}: is {what}")
    votes: dict[str, int] = {}
    lines = head.split(b"\n")[:_SAMPLE]
    for line in unwrap(lines) if unwrap else lines:
        kind = kind_of(line[:400])
        if kind:
            votes[kind] = votes.get(kind, 0) + 1
            if votes[kind] == _ENOUGH:
                break
    if not votes or set(votes) == {"strace"}:
        what = wrapping.foreign(start)
        if what:
            raise KvmExitError(f"{name}: is {what}")
    if votes:
        return max(votes, key=lambda kind: votes[kind])
    if any(is_piece(line) for line in lines):  # cut at both ends, or as nobody has seen it
        return "strace"
    known = ", ".join(READERS)
    raise KvmExitError(f"{name}: not a log that lint knows ({known}); see `kvmexit lint --help`")
