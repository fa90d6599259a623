"""Which format is this? Told from the first lines that look like one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Protocol

from kvmexit.errors import KvmExitError
from kvmexit.tracelint.events import Event
from kvmexit.tracelint.qemu import Qemu
from kvmexit.tracelint.strace import Strace
from kvmexit.tracelint.tracefs import HEADER, Tracefs


class Reader(Protocol):
    """What turns lines of one format into events."""

    shows_ioctls: bool

    def feed(self, lines: list[bytes], first: int, whole: bool = True) -> Iterator[Event]: ...

    def end(self) -> Iterator[Event]: ...


READERS: dict[str, Callable[[], Reader]] = {
    "strace": Strace,
    "tracefs": Tracefs,
    "perf": lambda: Tracefs(perf=True),
    "qemu": Qemu,
}
_QEMU = re.compile(rb"^(\d+@\d+\.\d+:\w+ |kvm_(vcpu_ioctl|run_exit|vm_ioctl|ioctl) )")
_PERF = re.compile(rb"\[\d+\]\s+\d+\.\d+:\s+(?:\d+ )?(kvm|syscalls|raw_syscalls|kvmmmu):\w+:")
_STRACE = re.compile(
    rb"ioctl\(\S+, [A-Z_0-9a-z]+|<\.\.\. \w+ resumed>|\+\+\+ (exited|killed)"
    rb"|^\W*(\d+ +)?\w+\(.*\) += "
)


def kind_of(line: bytes) -> str:
    """The format that ``line`` has, or ``""``."""
    if _QEMU.match(line):
        return "qemu"
    if HEADER.match(line):
        return "perf" if _PERF.search(line) else "tracefs"
    if line.startswith(b"# tracer:") or line.startswith(b"cpus="):
        return "tracefs"
    return "strace" if _STRACE.search(line) else ""


def detect(name: str, head: bytes) -> str:
    """The format of the log ``name`` that begins with ``head``."""
    votes: dict[str, int] = {}
    for line in head.split(b"\n")[:2000]:
        kind = kind_of(line[:400])
        if kind:
            votes[kind] = votes.get(kind, 0) + 1
    if not votes:
        known = ", ".join(READERS)
        raise KvmExitError(
            f"{name}: not a log that lint knows ({known}); see `kvmexit lint --help`"
        )
    return max(votes, key=lambda kind: votes[kind])
