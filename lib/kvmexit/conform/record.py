"""Records each process of a run, for ``lint``: with strace, or in a tracefs instance of our own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from kvmexit.errors import KvmExitError
from kvmexit.tracelint import Report, lint

STRACE = ("-f", "-y", "-e", "trace=ioctl", "-e", "kvm=vcpu", "-e", "signal=none")
TRACEFS = Path("/sys/kernel/tracing")
EVENTS = (
    "kvm",
    "syscalls/sys_enter_ioctl",
    "syscalls/sys_exit_ioctl",
    "syscalls/sys_enter_tgkill",
)
_BUFFER = 16384
"""KiB a processor. When it is full the oldest lines go, and the save is in the newest."""


class Recorder(Protocol):
    """Puts itself before each process, and has its log when that has ended."""

    logs: list[Path]
    parent: bool
    """Is it the VMM's parent, which has a log to write when the VMM has ended?"""

    def before(self, command: list[str], number: int) -> list[str]:
        """The command that runs ``command`` and records it; ``number`` counts from 0."""

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
        self._folder, self.logs = folder, list[Path]()

    def before(self, command: list[str], number: int) -> list[str]:
        log = self._folder / f"{number}.strace"
        self.logs.append(log)
        return [str(self._strace), *STRACE, "-o", str(log), "--", *command]

    def after(self) -> None:
        """strace has written its log when it ended."""

    def close(self) -> None:
        """There is nothing else."""


class Tracefs:
    """One log a process, from an instance that only follows what we start. Needs root."""

    parent = False

    def __init__(self, folder: Path) -> None:
        self._folder, self.logs = folder, list[Path]()
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

    def after(self) -> None:
        """Stop, and write what was recorded."""
        self._put("tracing_on", "0")
        with (self._instance / "trace").open("rb") as trace, self.logs[-1].open("wb") as log:
            shutil.copyfileobj(trace, log)

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


def read(logs: list[Path]) -> list[Report | KvmExitError]:
    """What ``lint`` says of each log, or why it cannot."""
    said: list[Report | KvmExitError] = []
    for log in logs:
        try:
            said.append(lint(str(log)))
        except KvmExitError as problem:
            said.append(problem)
    return said
