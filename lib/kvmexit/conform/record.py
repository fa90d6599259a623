"""Records each process of a run, for ``lint``: with strace, or in a tracefs instance of our own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kvmexit.errors import KvmExitError
from kvmexit.tracelint import Report, Verdict, lint
from kvmexit.tracelint.record import OPTIONS

TRACEFS = Path("/sys/kernel/tracing")
EVENTS = (
    "kvm",
    "syscalls/sys_enter_ioctl",
    "syscalls/sys_exit_ioctl",
    "syscalls/sys_enter_tgkill",
)
_BUFFER = 16384
"""KiB a processor. When it is full the oldest lines go, and the save is in the newest."""


_MARK = "kvmexit: the first stop"


class Recorder(Protocol):
    """Puts itself before each process, and has its log when that has ended."""

    logs: list[Path]
    marks: dict[Path, int]
    """Of each log whose process was paused, how many lines it had before its first pause."""
    parent: bool
    """Is it the VMM's parent, which has a log to write when the VMM has ended?"""

    def before(self, command: list[str], number: int) -> list[str]:
        """The command that runs ``command`` and records it; ``number`` counts from 0."""

    def pausing(self) -> None:
        """The process is about to be paused."""

    def after(self) -> None:
        """The process is gone."""

    def close(self) -> None:
        """Leave nothing behind but the logs."""


class Strace:
    """One log a process, written by strace."""

    parent = True

    def __init__(self, folder: Path) -> None:
        self._strace = shutil.which("strace")
        if self._strace is None:
            raise KvmExitError("strace is not installed; install it, or take --trace tracefs")
        self._folder, self.logs, self.marks = folder, list[Path](), dict[Path, int]()

    def before(self, command: list[str], number: int) -> list[str]:
        log = self._folder / f"{number}.strace"
        self.logs.append(log)
        return [str(self._strace), *OPTIONS, "-o", str(log), "--", *command]

    def pausing(self) -> None:
        """strace hands on each line when it is whole."""
        if (log := self.logs[-1]) not in self.marks:
            self.marks[log] = _lines(log, lambda _: False)

    def after(self) -> None:
        """strace has written its log when it ended."""

    def close(self) -> None:
        """There is nothing else."""


class Tracefs:
    """One log a process, from an instance that only follows what we start. Needs root."""

    parent = False

    def __init__(self, folder: Path) -> None:
        self._folder, self.logs, self.marks = folder, list[Path](), dict[Path, int]()
        self._instance = TRACEFS / "instances" / f"kvmexit-{os.getpid()}"
        try:
            self._instance.mkdir()
        except OSError as error:
            raise KvmExitError(
                f"no tracefs instance can be made ({os.strerror(error.errno or 0)}): be root, and"
                f" mount -t tracefs tracefs {TRACEFS}; or take --trace strace"
            ) from None
        try:
            self._put("tracing_on", "0")
            self._put("buffer_size_kb", str(_BUFFER))
            self._put("options/event-fork", "1")
            for event in EVENTS:
                self._put(f"events/{event}/enable", "1")
        except BaseException:
            self.close()
            raise

    def before(self, command: list[str], number: int) -> list[str]:
        """Nothing is recorded until the instance knows whom to follow: whoever else uses KVM
        meanwhile must not be in the log."""
        self.logs.append(self._folder / f"{number}.ftrace")
        self._put("trace", "")
        us = f'echo $$ > "{self._instance}/set_event_pid" && echo 1 > "{self._instance}/tracing_on"'
        return ["/bin/sh", "-c", f'{us} && exec "$@"', "sh", *command]

    def pausing(self) -> None:
        """A line of ours in the log."""
        if self.logs[-1] not in self.marks:
            self._put("trace_marker", _MARK)
            self.marks[self.logs[-1]] = 0

    def after(self) -> None:
        """Stop, and write what was recorded."""
        self._put("tracing_on", "0")
        with (self._instance / "trace").open("rb") as trace, self.logs[-1].open("wb") as log:
            shutil.copyfileobj(trace, log)
        if self.logs[-1] in self.marks:
            self.marks[self.logs[-1]] = _lines(self.logs[-1], lambda line: _MARK.encode() in line)

    def close(self) -> None:
        with suppress(OSError):
            self._instance.rmdir()

    def _put(self, name: str, value: str) -> None:
        try:
            (self._instance / name).write_text(value)
        except OSError as error:
            raise KvmExitError(
                f"tracefs refuses {name} ({os.strerror(error.errno or 0)}): is KVM loaded, and its"
                " kernel built with its trace events?"
            ) from None


RECORDERS: dict[str, Callable[[Path], Recorder]] = {"strace": Strace, "tracefs": Tracefs}


def _lines(log: Path, last: Callable[[bytes], bool]) -> int:
    """How many lines ``log`` has, up to the ``last``."""
    count = 0
    with log.open("rb") as lines:
        for line in lines:
            count += 1
            if last(line):
                break
    return count


@dataclass(frozen=True, slots=True)
class Log:
    """One process's log: the ``name`` of its file, and what lint ``said`` of it or why it cannot.

    ``mark`` is the number of its last line before the first pause; None: nobody paused it. What
    lies before is not of a stop: QEMU's kvmvapic, say, reads state while a guest boots.
    """

    name: str
    said: Report | KvmExitError
    mark: int | None

    @property
    def before(self) -> int:
        """Findings before the first pause."""
        if not isinstance(self.said, Report):
            return 0
        end = float("inf") if self.mark is None else self.mark
        # One that goes on behind the pause is the stop's.
        return sum(one.lines[-1].number <= end for one in self.said.findings)

    @property
    def found(self) -> bool:
        """Did lint find that a stop's save came too early?"""
        said = self.said
        if not isinstance(said, Report) or said.verdict is not Verdict.FINDINGS:
            return False
        return self.mark is not None and said.count > self.before


def read(recorder: Recorder) -> list[Log]:
    """What ``lint`` says of each log."""
    return [Log(log.name, _linted(log), recorder.marks.get(log)) for log in recorder.logs]


def _linted(log: Path) -> Report | KvmExitError:
    try:
        return lint(str(log))
    except KvmExitError as problem:
        return problem
