"""The referee's side of the pipe: starts the student's process, calls it, outlives it.

Whatever the student's code does (loop, end its process, flood the pipe, send nonsense) comes
back as a :class:`~kvmexit.lab.words.StudentError` with a sentence for the student.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import kvmexit
from kvmexit.errors import KvmExitError
from kvmexit.lab import jail, wire
from kvmexit.lab.words import Blocked, Hopeless, StudentError

CALL_SECONDS, START_SECONDS = 6.0, 30.0
"""Wall time that one call of the student's code may take, and the start of its process on a
busy machine. Its CPU time is limited by the jail."""

NOT_ANSWERED = "not answered yet"

Answer = Callable[[str, list[Any]], Any]


def refuse(act: str, arguments: list[Any]) -> Any:
    """Answers a call during which the student's code has nothing to ask for."""
    raise Blocked("asked for a machine where there is none")


class Player:
    """A student's process. ``problems`` says what went wrong while the answer was loaded.

    ``printed`` keeps the first thing that the code printed during a call.
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
        self._send(["call", target, name, list(arguments)], deadline)
        blocked: Blocked | None = None
        while True:
            kind, *rest = self._message(deadline)
            if kind == "ask":
                try:
                    if blocked is None:
                        reply = ["value", answer(str(rest[0]), list(rest[1]))]
                    else:
                        reply = ["stop", str(blocked)]
                except Blocked as problem:
                    blocked, reply = problem, ["stop", str(problem)]
                except StudentError as problem:
                    reply = ["stop", str(problem)]
                self._send(reply, deadline)
                continue
            self.printed = self.printed or printable(rest[1])
            if blocked is not None:
                raise blocked
            if kind == "raise":
                text = printable(rest[0])
                if text.startswith("raised NotImplementedError"):
                    raise Hopeless(NOT_ANSWERED)
                if text.startswith("raised MemoryError"):
                    raise Hopeless(f"{text}: it has {jail.MEMORY >> 20} MiB")
                raise StudentError(text)
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
        shapes = {"ask": 3, "return": 3, "raise": 3}
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
            if not select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))[0]:
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


_LIBRARY = str(Path(kvmexit.__file__).parents[1])
_START = f"import sys; sys.path.append({_LIBRARY!r}); import kvmexit.lab.worker as w; w.main()"


def spawn(cells: Sequence[str]) -> Player:
    """A clean interpreter that loads ``cells``; this is how answers are graded."""
    if not jail.available():
        raise KvmExitError(
            "grading needs Linux on x86-64 or arm64: the jail for students' code is made of"
            " seccomp; grade in a virtual machine or a container with such a system"
        )
    theirs_in, out = os.pipe()
    into, theirs_out = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _START, str(theirs_in), str(theirs_out)],
        pass_fds=(theirs_in, theirs_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
    )
    process.returncode = 0  # the player waits for it, Popen need not
    return _started(process.pid, into, out, theirs_in, theirs_out, cells)


def fork(namespace: dict[str, Any]) -> Player:
    """A fork of this process, which knows its functions; this is how a notebook checks."""
    from kvmexit.lab import worker

    for name in (*worker.STANDARD, *worker.OPEN_MODULES):
        __import__(name)
    theirs_in, out = os.pipe()
    into, theirs_out = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads: the child never uses them
        pid = os.fork()
    if pid == 0:
        try:
            _be_worker(theirs_in, theirs_out, namespace)
        finally:
            os._exit(1)
    return _started(pid, into, out, theirs_in, theirs_out, None)


class Direct:
    """Calls the answer in this process, where there is no other: in a browser, on Windows.

    Nothing bounds what it does: a check for the student, and never a mark.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.names = frozenset(namespace)
        self.problems: list[str] = []
        self.printed = ""
        self.is_locked = False
        self.objects: list[Any] = []

    def call(
        self, name: str, *arguments: Any, answer: Answer = refuse, target: int | None = None
    ) -> Any:
        """As :meth:`Player.call`."""
        from kvmexit.lab.client import ROLES
        from kvmexit.lab.words import Role
        from kvmexit.lab.worker import borrowed, in_words

        def ask(act: str, *more: Any) -> Any:
            return wire.loads(wire.dumps(answer(act, list(more))))

        given = [ROLES[a.name](ask) if isinstance(a, Role) else a for a in arguments]
        try:
            if target is not None:
                return getattr(self.objects[target], name)(*given)
            function = self.namespace[name]
            if inside := borrowed(function):
                raise StudentError(f"uses {inside}: the answer must be your own")
            value = function(*given)
        except StudentError:
            raise
        except NotImplementedError:
            raise Hopeless(NOT_ANSWERED) from None
        except Exception as problem:
            raise StudentError(in_words(problem)) from None
        if isinstance(function, type):
            self.objects.append(value)
            return len(self.objects) - 1
        return value

    def __enter__(self) -> Direct:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""


def _be_worker(reading: int, writing: int, namespace: dict[str, Any]) -> None:
    from kvmexit.lab import worker

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    jail.close_all_but(reading, writing)
    sys.settrace(None)
    jail.limit(memory=None if sys.platform != "linux" else _in_use() + jail.MEMORY)
    is_locked = jail.lock()
    worker.closed_library()
    worker.Worker(worker.Pipe(reading, writing), namespace).serve([], is_locked)


def _in_use() -> int:
    """Address space of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _started(
    pid: int, into: int, out: int, theirs_in: int, theirs_out: int, cells: Sequence[str] | None
) -> Player:
    os.close(theirs_in)
    os.close(theirs_out)
    player = Player(pid, into, out)
    try:
        player.start(cells)
    except Hopeless as problem:
        player.problems = [str(problem)]
    except BaseException:
        player.close()
        raise
    return player
