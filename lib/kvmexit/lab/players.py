"""The referee's side of the pipe: starts the student's process, calls it, outlives it.

Whatever the student's code does (loop, end its process, flood the pipe, send nonsense) comes
back as a :class:`~kvmexit.lab.words.StudentError` with a sentence for the student.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kvmexit.lab import jail, wire
from kvmexit.lab.words import Blocked, Hopeless, StudentError

CALL_SECONDS, START_SECONDS = 6.0, 30.0
"""Wall time that one call of the student's code may take, and the start of its process."""
BUSY_SECONDS = 300.0
"""Wall time added while the process computes, or would if the machine were less busy. Its CPU
time is limited by the jail."""

NOT_ANSWERED = "not answered yet"

Answer = Callable[[str, list[Any]], Any]


def refuse(act: str, arguments: list[Any]) -> Any:
    """Answers a call during which the student's code has nothing to ask for."""
    raise Blocked("asked for a machine where there is none")


class Player:
    """A student's process. ``problems`` says what went wrong while the answer was loaded.

    ``printed`` keeps what the code printed during the last call of a name of the answer, and
    during the calls of its object's methods since.
    """

    def __init__(self, pid: int, reading: int, writing: int) -> None:
        self._pid, self._in, self._out = pid, reading, writing
        self._buffer = b""
        self._death: str | None = None
        self.printed = ""
        self.problems: list[str] = []
        self.is_locked = False
        self.names: frozenset[str] = frozenset()

    def start(self, cells: Sequence[str] | None) -> None:
        """Hand over the cells, if any, and wait until they are loaded."""
        deadline = time.monotonic() + START_SECONDS
        if cells is not None:
            self._send(list(cells), deadline)
        kind, *rest = self._receive(deadline)
        if kind != "ready" or [type(part) for part in rest] != [list, bool, list]:
            raise self._end("its process spoke out of turn")
        self.problems, self.is_locked = [printable(p) for p in rest[0]], rest[1]
        self.names = frozenset(str(name) for name in rest[2])

    def call(
        self, name: str, *arguments: Any, answer: Answer = refuse, target: int | None = None
    ) -> Any:
        """Call a name of the answer, or a method of the object ``target``."""
        deadline = time.monotonic() + CALL_SECONDS
        if target is None:
            self.printed = ""
        self._send(["call", target, name, list(arguments)], deadline)
        wrong: StudentError | None = None  # with an act, to be said at the next occasion
        while True:
            kind, *rest = self._message(deadline)
            if kind in ("ask", "post"):
                value = None
                if not isinstance(wrong, Blocked):
                    try:
                        value = answer(str(rest[0]), list(rest[1]))
                    except StudentError as problem:
                        wrong = problem
                if kind == "ask":
                    self._send(["stop", str(wrong)] if wrong else ["value", value], deadline)
                    wrong = wrong if isinstance(wrong, Blocked) else None
                continue
            self.printed = printable(self.printed + str(rest[1]))
            if isinstance(wrong, Blocked):
                raise wrong
            if kind == "raise":
                text = printable(rest[0])
                if text.startswith("raised NotImplementedError"):
                    raise Hopeless(NOT_ANSWERED)
                if text.startswith("raised MemoryError"):
                    raise Hopeless(f"{text}: it has {jail.MEMORY >> 20} MiB")
                raise StudentError(text)
            if wrong is not None:
                raise wrong
            return rest[0]

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._reap()
        for fd in (self._in, self._out):
            if fd >= 0:
                os.close(fd)
        self._in = self._out = -1

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the pipe -----------------------------------------------------------------------

    def _message(self, deadline: float) -> list[Any]:
        message = self._receive(deadline)
        shapes = {"ask": 3, "post": 3, "return": 3, "raise": 3}
        if shapes.get(message[0]) != len(message) or not isinstance(message[-1], list | str):
            raise self._end("its process spoke out of turn")
        return message

    def _send(self, value: Any, deadline: float) -> None:
        if self._death:
            raise Hopeless(self._death)
        data = wire.dumps(value)
        try:
            while data:
                if not select.select([], [self._out], [], max(0.0, deadline - time.monotonic()))[1]:
                    raise self._end(self._too_long())
                data = data[os.write(self._out, data[: select.PIPE_BUF]) :]
        except BrokenPipeError:
            raise self._end(None) from None

    def _receive(self, deadline: float) -> list[Any]:
        while b"\n" not in self._buffer:
            if len(self._buffer) > wire.LONGEST_LINE:
                raise self._end("flooded the pipe to the referee")
            if not self._speaks(deadline):
                raise self._end(self._too_long())
            data = os.read(self._in, 65536)
            if not data:
                raise self._end(None)
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = wire.loads(line)
        except StudentError as problem:
            raise self._end(str(problem)) from None
        if not isinstance(message, list) or not message or not isinstance(message[0], str):
            raise self._end("its process spoke out of turn")
        return message

    def _speaks(self, deadline: float) -> bool:
        """Wait for something to read. Not for a process that sleeps at the ``deadline``."""
        while not select.select([self._in], [], [], max(0.1, deadline - time.monotonic()))[0]:
            if time.monotonic() > deadline + BUSY_SECONDS or not self._is_runnable():
                return bool(select.select([self._in], [], [], 0)[0])
        return True

    def _is_runnable(self) -> bool:
        """Does the process compute, or wait for a processor or a disk? proc_pid_stat(5)."""
        try:
            stat = Path(f"/proc/{self._pid}/stat").read_text()
        except OSError:  # no such process, or no Linux
            return False
        return stat.rpartition(")")[2].split()[0] in ("R", "D")

    def _end(self, why: str | None) -> Hopeless:
        """The process is dead, or is killed now; ``why`` None asks the kernel for the reason."""
        if why is not None and self._pid:
            os.kill(self._pid, signal.SIGKILL)
        status = self._reap()
        self._death = why or _cause(status)
        return Hopeless(self._death)

    def _too_long(self) -> str:
        seconds = CALL_SECONDS if self.names else START_SECONDS
        return f"did not return within {seconds:.0f} s: does it wait or loop for ever?"

    def _reap(self) -> int:
        if not self._pid:
            return 0
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return status


def printable(text: object) -> str:
    """A student's text without what would move the cursor of whoever reads it."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in str(text)[:2000])


def _cause(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGXCPU, signal.SIGKILL):
            return f"used up its {jail.CPU_SECONDS} s of CPU time: does it loop for ever?"
        return f"its process was ended by {signal.Signals(number).name}"
    return f"ended its own process (status {os.WEXITSTATUS(status)}) instead of returning"
