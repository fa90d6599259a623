"""Three ways to start a student's code: jailed and clean, forked from a notebook, or in place."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import kvmexit
from kvmexit.errors import KvmExitError
from kvmexit.lab import jail, nursery, wire
from kvmexit.lab.client import ROLES
from kvmexit.lab.imports import BEHIND, OPEN_MODULES, STANDARD, borrowed, gone, is_elsewhere
from kvmexit.lab.players import (
    LOAD_SECONDS,
    Answer,
    Player,
    Spent,
    Total,
    printable,
    refuse,
)
from kvmexit.lab.process import Child, Ward
from kvmexit.lab.words import NOT_ANSWERED, TIMED_OUT, Hopeless, Role, StudentError

CAN_FORK = hasattr(os, "fork") and sys.platform != "emscripten"
"""Python in a browser has the function, and no processes."""
_LIBRARY = str(Path(kvmexit.__file__).parents[1])
_START = f"import sys; sys.path.append({_LIBRARY!r}); import kvmexit.lab.nursery as n; n.main()"
LARGEST_CODE = 1 << 20
"""Bytes of code in all cells of an answer."""
RESTARTS = 6
"""How many cells may end their process while they are loaded."""


class Answers:
    """The cells of one answer, and what loading them has shown: which of them are left out."""

    def __init__(self, cells: Iterable[str]) -> None:
        self.cells = tuple(cells)
        self.left_out: dict[int, str] = {}
        self.total = Total()
        size = sum(len(cell.encode("utf-8", "replace")) for cell in self.cells)
        self.problem = None
        if size > LARGEST_CODE:
            self.problem = f"its cells hold more than {LARGEST_CODE >> 20} MiB of code"

    def leave_out(self, number: int, why: str) -> str:
        """Do not load cell ``number`` again. Returns that in words, the same in every notebook."""
        first = self.cells[number - 1].strip().split("\n")[0]
        said = f"the cell that begins with `{printable(first[:40])}` {why}, and is left out"
        self.left_out[number] = said
        return said


def spawn(cells: Sequence[str] | Answers) -> Player:
    """A clean process that loads ``cells``; this is how answers are graded.

    A cell that takes too long, or ends its process, is left out, and the others have their try.
    """
    if not jail.available():
        raise KvmExitError(
            "grading needs Linux on x86-64 or arm64: the jail for students' code is made of"
            " seccomp; grade in a virtual machine or a container with such a system"
        )
    answers = cells if isinstance(cells, Answers) else Answers(cells)
    known = len(answers.left_out)
    while True:
        player = _with_pipes(_ward, partial(spawn, answers), answers.total)
        if _loaded(player, answers) or len(answers.left_out) - known >= RESTARTS:
            return player
        player.close()


def _loaded(player: Player, answers: Answers) -> bool:
    """Load what is not left out; False if a cell has ended the process, and is left out now."""
    all_cells = Spent(LOAD_SECONDS, LOAD_SECONDS)
    number = 0
    try:
        for number, source in enumerate(answers.cells, start=1):
            problem = answers.left_out.get(number)
            if problem is None and source.strip():
                problem = player.load(number, source, all_cells)
                if problem == TIMED_OUT:
                    problem = answers.leave_out(number, problem)
            if problem is not None:
                player.problems.append(problem)
        number = 0
        player.start(has_cells=True)
    except Hopeless as why:
        player.problems = [str(why)]
        if not number:
            return True
        answers.leave_out(number, str(why))
        return False
    except BaseException:
        player.close()
        raise
    return True


def _with_pipes(
    start: Callable[[int, int], Child], again: Callable[[], Player], total: Total | None = None
) -> Player:
    theirs_in, out = os.pipe()
    into, theirs_out = os.pipe()
    try:
        return Player(start(theirs_in, theirs_out), into, out, again, total)
    except BaseException:
        os.close(into)
        os.close(out)
        raise
    finally:
        os.close(theirs_in)
        os.close(theirs_out)


# ------------------------------------------------------------------------ jailed and clean

_nursery: list[socket.socket] = []


def open_nursery() -> socket.socket:
    """The nursery of this process and of those that it forks, started when first needed."""
    if not _nursery:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        process = subprocess.Popen(
            [sys.executable, "-I", "-c", _START, str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
        )
        theirs.close()
        _nursery.append(ours)
        atexit.register(_close, ours, process, os.getpid())
    return _nursery[0]


def _close(ours: socket.socket, process: subprocess.Popen[bytes], owner: int) -> None:
    ours.close()
    if os.getpid() == owner:
        process.wait()


def _ward(reading: int, writing: int) -> Child:
    """A process of the nursery. A nursery that has ended is replaced, once."""
    for is_last in (False, True):
        life, theirs = os.pipe()
        try:
            socket.send_fds(open_nursery(), [nursery.FORK], [reading, writing, theirs])
            os.close(theirs)
            theirs = -1
            return Ward(open_nursery(), life)
        except OSError:
            os.close(life)
            _nursery.clear()
            if is_last:
                raise
        finally:
            if theirs >= 0:
                os.close(theirs)
    raise AssertionError


# ------------------------------------------------------------------------ forked, in a notebook


def fork(namespace: dict[str, Any]) -> Player:
    """A fork of this process, which knows its functions; this is how a notebook checks where
    there are no cells to be read."""
    for name in (*STANDARD, *BEHIND, *OPEN_MODULES, "kvmexit.lab.worker"):
        __import__(name)

    def start(reading: int, writing: int) -> Child:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads: the child has none
            pid = os.fork()
        if pid == 0:
            try:
                _be_worker(reading, writing, namespace)
            finally:
                os._exit(1)
        return Child(pid)

    player = _with_pipes(start, partial(fork, namespace))
    try:
        player.start()
    except Hopeless as problem:
        player.problems = [str(problem)]
    except BaseException:
        player.close()
        raise
    return player


class Direct:
    """Calls the answer in this process, where there is no other: in a browser, on Windows.

    Nothing bounds what it does: a check for the student, and never a mark.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        from kvmexit.lab.worker import described

        self.names = {name: described(value) for name, value in namespace.items()}
        self.problems: list[str] = []
        self.printed = ""
        self.is_locked = False
        self.objects: list[Any] = []

    def again(self) -> Direct:
        """There is no other process: the same one."""
        return self

    def close(self) -> None:
        """Nothing to end."""

    def call(
        self,
        name: str,
        *arguments: Any,
        answer: Answer = refuse,
        target: int | None = None,
        keep: str = "value",
    ) -> Any:
        """As :meth:`Player.call`."""
        from kvmexit.lab.worker import in_words, ran

        def ask(act: str, *more: Any) -> Any:
            return wire.loads(wire.dumps(answer(act, list(more))))

        given = [ROLES[a.name](ask, ask) if isinstance(a, Role) else a for a in arguments]
        try:
            if target is not None:
                return wire.loads(wire.dumps(getattr(self.objects[target], name)(*given)))
            function = self.namespace[name]
            if (inside := borrowed(function)) is not None:
                raise StudentError(inside)
            value = ran(name, function(*given))
            if keep == "value":
                return wire.loads(wire.dumps(value))
        except StudentError:
            raise
        except Exception as problem:
            if type(problem) is NotImplementedError:
                raise Hopeless(NOT_ANSWERED) from None
            raise StudentError(in_words(problem)) from None
        if keep == "object":
            self.objects.append(value)
        return len(self.objects) - 1

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
    gone.update(filter(is_elsewhere, sys.modules))
    for name in gone:
        del sys.modules[name]  # what the notebook has imported, and the grader will not
    worker.Worker(worker.Pipe(reading, writing), namespace).serve(is_locked)


def _in_use() -> int:
    """Address space of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")
