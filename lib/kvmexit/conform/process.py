"""One process of a VMM: started in a group of its own, ended with all its children.

What it says on standard error is kept, so that whatever goes wrong ends with its own last words.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kvmexit.errors import KvmExitError

_LAST = 300
"""Characters of a VMM's last words that are shown."""


def program(binary: str) -> str:
    """The path of ``binary``. KvmExitError if there is no such program."""
    found = shutil.which(binary)
    if found is None:
        raise KvmExitError(f"{binary}: {_lacking(binary)}")
    return found


def _lacking(binary: str) -> str:
    """Why there is no program ``binary``."""
    if "/" not in binary:
        return "no such program on PATH; give its path with --binary"
    path = Path(binary)
    if path.is_dir():
        return "this is a folder; give the program in it"
    return "this file is not executable" if path.exists() else "there is no such file"


@contextmanager
def ctrl_c_later() -> Iterator[None]:
    """A Ctrl-C that comes in here is heard at the end: whoever is to end a process that has been
    started must know it first."""
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if heard:
            signal.raise_signal(signal.SIGINT)


class Process:
    """A VMM's process. ``stdin`` and ``stdout`` are descriptors; both stay the caller's."""

    limit = 20.0
    """Seconds that one act of a VMM may take."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        stdin: int,
        stdout: int,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._errors = folder / "stderr"
        with self._errors.open("wb") as errors:
            try:
                self._child = subprocess.Popen(
                    command,
                    stdin=stdin,
                    stdout=stdout,
                    stderr=errors,
                    env={**os.environ, **(environment or {})},
                    start_new_session=True,
                )
            except OSError as error:
                raise KvmExitError(
                    f"{command[0]} cannot be started: {os.strerror(error.errno or 0)}"
                ) from None
        self.command = tuple(command)

    @property
    def pid(self) -> int:
        """The process's number, which is its group's as well."""
        return self._child.pid

    def last_words(self) -> str:
        """The end of what it said on standard error, on one line."""
        try:
            said = self._errors.read_bytes().decode("utf-8", "replace")
        except OSError:
            return "it said nothing"
        line = " ".join(said.split())[-_LAST:]
        return f"its last words: {line}" if line else "it said nothing"

    def check(self) -> None:
        """Raise KvmExitError if the process is no longer there."""
        status = self._child.poll()
        if status is not None:
            how = f"by signal {-status}" if status < 0 else f"with status {status}"
            raise KvmExitError(f"the VMM ended {how}; {self.last_words()}")

    def wait_for(
        self,
        look: Callable[[], bool],
        what: str,
        hint: Callable[[], str] = str,
        patience: int = 1,
    ) -> None:
        """Look until it is there. KvmExitError if the process ends, or after ``patience`` times
        ``limit`` seconds, with a ``hint``."""
        end = time.monotonic() + patience * self.limit
        while not look():
            self.check()
            if time.monotonic() > end:
                raise self.silent(what, hint(), patience)
            time.sleep(0.002)

    def silent(self, what: str, hint: str = "", patience: int = 1) -> KvmExitError:
        """The error of a VMM that does not answer."""
        asked = f": {hint}" if hint else ""
        return KvmExitError(
            f"the VMM was given {patience * self.limit:g} s for {what}, and nothing came{asked};"
            f" {self.last_words()}"
        )

    def ended_within(self, seconds: float) -> None:
        """Give a process that is ending the time to do so."""
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(seconds)

    def members(self) -> list[int]:
        """Every process of its session, itself first: what a wrapper has started, too."""
        return sorted(_session(self.pid), key=lambda pid: pid != self.pid)

    def end_gently(self) -> None:
        """End those below a recorder, and give it the time to write its log to the end."""
        for pid in self.members()[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.ended_within(5)

    def end(self) -> None:
        """End the whole group, at once; again is allowed."""
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._child.wait()


def _session(leader: int) -> list[int]:
    """The processes whose session ``leader`` began."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rsplit(")", 1)[1].split()[3]) == leader:
                found.append(int(stat.parent.name))
    return found
