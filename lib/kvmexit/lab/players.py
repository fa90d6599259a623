"""The referee's side of the pipe: hands over the answer, calls it, outlives it.

Whatever the student's code does (loop, end its process, flood the pipe, send nonsense) comes
back as a :class:`~kvmexit.lab.words.StudentError` with a sentence for the student.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.lab import jail, wire
from kvmexit.lab.process import Child, used
from kvmexit.lab.words import NOT_ANSWERED, Blocked, Hopeless, StudentError

CALL_SECONDS, CALL_CPU = 6.0, 3.0
"""How long one call of the student's code may wait for something, and how long it may compute.
Time in which it lacks a processor is not counted."""
PLAY_SECONDS, PLAY_CPU = 10.0, 10.0
"""The same for all calls of one question."""
CELL_SECONDS, CELL_CPU = 3.0, 3.0
LOAD_SECONDS = 20.0
"""The same for one cell while the answer is loaded, and for all of them, computed and waited."""
QUESTION_SECONDS = 60.0
"""What all processes of an answer may compute and wait for, together, while one question is judged:
`Device` is loaded in many."""
BUSY_SECONDS = 300.0
"""After that much on the clock, whatever it was that was slow."""
MOST_ACTS = 100_000
"""How often one call may ask, or hand over an act: who is heard no more can still fill the pipe,
and costs the referee more than itself."""
ENDS = (Blocked, KvmExitError)
"""After these a call has no further act."""
LOOK_SECONDS, UNSEEN_SECONDS = 0.01, 0.1
"""How often a process that does not answer is looked at, and how long one that does may be waited
for, a little each time, without a look."""

Answer = Callable[[str, list[Any]], Any]


def refuse(act: str, arguments: list[Any]) -> Any:
    """Answers a call during which the student's code has nothing to ask for."""
    raise Blocked("asked for a machine where there is none")


class Spent:
    """What a process has computed and idled away since it was first looked at, and what it may."""

    def __init__(self, cpu: float, idle: float) -> None:
        self.cpu, self.idle = cpu, idle
        self.idled = 0.0
        self.since: float | None = None

    def why(self, computed: float, idled: float) -> str | None:
        """Why that is too long, or None, after it has ``computed`` so much in all, and has
        ``idled`` so much since the last look."""
        if self.since is None:
            self.since = computed
        self.idled += idled
        if computed - self.since > self.cpu:
            return f"used up its {self.cpu:.0f} s of CPU time: does it loop for ever?"
        if self.idled > self.idle:
            return f"did not return within {self.idle:.0f} s: does it wait or loop for ever?"
        return None


class Total:
    """What all processes of an answer have computed and idled away while one question is judged."""

    def __init__(self) -> None:
        self.used = 0.0

    def why(self, more: float) -> str | None:
        """Why that is too long, or None, after ``more`` seconds."""
        self.used += more
        if self.used <= QUESTION_SECONDS:
            return None
        return (
            f"took more than {QUESTION_SECONDS:.0f} s in all its processes: do its cells compute?"
        )


class Player:
    """A student's process. ``problems`` says what went wrong while the answer was loaded.

    ``names`` are the names of the answer; the value is empty where it can be called, else its
    type. ``printed`` keeps what the code printed during the last call of a name, and during the
    calls of its objects' methods since. ``again()`` makes a process that knows nothing of this.
    """

    def __init__(
        self,
        process: Child,
        reading: int,
        writing: int,
        again: Callable[[], Player],
        total: Total | None = None,
    ) -> None:
        self.process, self._in, self._out = process, reading, writing
        self.again = again
        self._total = total or Total()
        self._waited = self._unseen = self._idled = self._computed = 0.0
        self._lacked = used()[1]
        self._buffer = b""
        self._death: str | None = None
        self.printed = ""
        self.problems: list[str] = []
        self.is_locked = False
        self.names: Mapping[str, str] = {}
        self._play = Spent(PLAY_CPU, PLAY_SECONDS)
        self._spent = [self._play]

    def start(self, has_cells: bool = False) -> None:
        """Wait until it is ready to be called."""
        self._spent = [Spent(LOAD_SECONDS, LOAD_SECONDS)]
        if has_cells:
            self._send(["play"])
        kind, *rest = self._receive()
        if kind != "ready" or [type(part) for part in rest] != [bool, dict]:
            raise self._end("its process spoke out of turn")
        self._play.since = self.process.used()[0]
        self.is_locked = rest[0]
        self.names = {printable(name): printable(what) for name, what in rest[1].items()}

    def load(self, number: int, source: str, all_cells: Spent) -> str | None:
        """Have a cell executed; what is wrong with it, or None. Hopeless if that has ended the
        process, or must end it."""
        cell = Spent(CELL_CPU, CELL_SECONDS)
        self._spent = [cell, all_cells]
        self._send(["cell", number, source])
        try:
            kind, *rest = self._receive(interrupt=True)
        finally:
            self._spent = []
        if kind != "loaded" or len(rest) != 1 or not isinstance(rest[0], str | None):
            raise self._end("its process spoke out of turn")
        return rest[0] and printable(rest[0])

    def call(
        self,
        name: str,
        *arguments: Any,
        answer: Answer = refuse,
        target: int | None = None,
        keep: str = "value",
    ) -> Any:
        """Call a name of the answer, or a method of the object ``target``. ``keep`` is what
        becomes of the value: :mod:`kvmexit.lab.worker` has the words."""
        self._spent = [Spent(CALL_CPU, CALL_SECONDS), self._play]
        if target is None:
            self.printed = ""
        self._send(["call", target, name, list(arguments), keep])
        wrong: Exception | None = None  # with an act, to be said at the next occasion
        for said in count():
            kind, *rest = self._message()
            if kind in ("ask", "post"):
                if said > MOST_ACTS:
                    raise self._end(f"asked for {MOST_ACTS} things in one call: for ever?")
                value = None
                if not isinstance(wrong, ENDS):
                    try:
                        value = answer(str(rest[0]), list(rest[1]))
                    except (StudentError, KvmExitError) as problem:
                        wrong = problem
                if kind == "ask":
                    self._send(["stop", str(wrong)] if wrong else ["value", value])
                    wrong = wrong if isinstance(wrong, ENDS) else None
                continue
            self.printed = printable(self.printed + str(rest[1]))
            if isinstance(wrong, ENDS):
                raise wrong
            if kind == "raise":
                text = printable(rest[0])
                if text == NOT_ANSWERED:
                    raise Hopeless(text)
                if text.startswith("raised MemoryError"):
                    raise Hopeless(f"{text}: it has {jail.MEMORY >> 20} MiB")
                raise StudentError(text)
            if wrong is not None:
                raise wrong
            return rest[0]

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._in < 0:
            return
        if not self._death:
            self._look()
        self.process.end()
        for fd in (self._in, self._out):
            os.close(fd)
        self._in = self._out = -1

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the pipe -----------------------------------------------------------------------

    def _message(self) -> list[Any]:
        message = self._receive()
        shapes = {"ask": 3, "post": 3, "return": 3, "raise": 3}
        if shapes.get(message[0]) != len(message) or not isinstance(message[-1], list | str):
            raise self._end("its process spoke out of turn")
        return message

    def _send(self, value: Any) -> None:
        if self._death:
            raise Hopeless(self._death)
        data = wire.dumps(value, limit=None)
        try:
            while data:
                self._until(lambda seconds: bool(select.select([], [self._out], [], seconds)[1]))
                data = data[os.write(self._out, data[: select.PIPE_BUF]) :]
        except BrokenPipeError:
            raise self._end(None) from None

    def _receive(self, interrupt: bool = False) -> list[Any]:
        while b"\n" not in self._buffer:
            if len(self._buffer) > wire.LONGEST_LINE:
                raise self._end("flooded the pipe to the referee")
            self._until(
                lambda seconds: bool(select.select([self._in], [], [], seconds)[0]), interrupt
            )
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

    def _until(self, is_ready: Callable[[float], bool], interrupt: bool = False) -> None:
        """Wait for the process, as long as it may take. With ``interrupt`` it is asked to come
        back before it is ended."""
        began = last = time.monotonic()
        asked: str | None = None  # to come back, and why
        while True:
            is_there = is_ready(LOOK_SECONDS)
            now = time.monotonic()
            self._waited += now - last
            self._unseen += now - last
            last = now
            if is_there and self._unseen < UNSEEN_SECONDS:
                return
            why = self._look()
            if now > began + BUSY_SECONDS:
                why = f"took more than {BUSY_SECONDS:.0f} s"
            if why is not None and interrupt and not asked:
                self.process.signal(signal.SIGALRM)
                asked = why
                self._spent = [Spent(1.0, 1.0)]
            elif why is not None:
                raise self._end(asked or why)
            if is_there:
                return

    def _look(self) -> str | None:
        """Why the process has had its time, or None. It has idled away what it was waited for and
        has not computed, but for the time in which it lacked a processor, or who waits for it
        did. One that lacks a processor just now is not judged."""
        self._unseen = 0.0
        computed, lacked = self.process.used()
        idled = 0.0
        if self.process.sleeps():
            before = self._idled
            self._idled = max(before, self._waited - computed - lacked - used()[1] + self._lacked)
            idled = self._idled - before
        more = idled + max(0.0, computed - self._computed)
        self._computed = max(computed, self._computed)
        whys = [spent.why(computed, idled) for spent in self._spent]
        return next(filter(None, [*whys, self._total.why(more)]), None)

    def _end(self, why: str | None) -> Hopeless:
        """The process is dead, or is killed now; ``why`` None asks the kernel for the reason."""
        if why is None:
            status = self.process.status(1.0)
            why = "closed its pipe to the referee and went on" if status is None else _cause(status)
        self.process.end()
        self._death = why
        return Hopeless(why)


def printable(text: object) -> str:
    """A student's text without what would move the cursor of whoever reads it."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in str(text)[:2000])


def _cause(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number in (signal.SIGXCPU, signal.SIGKILL):
            return f"used up its {PLAY_CPU:.0f} s of CPU time: does it loop for ever?"
        return f"its process was ended by {signal.Signals(number).name}"
    return f"ended its own process (status {os.WEXITSTATUS(status)}) instead of returning"
