"""Three ways to start a student's code: jailed and clean, forked from a notebook, or in place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kvmexit
from kvmexit.errors import KvmExitError
from kvmexit.lab import jail, wire
from kvmexit.lab.client import ROLES
from kvmexit.lab.imports import OPEN_MODULES, STANDARD, borrowed, is_open
from kvmexit.lab.players import NOT_ANSWERED, Answer, Player, refuse
from kvmexit.lab.words import Hopeless, Role, StudentError

CAN_FORK = hasattr(os, "fork") and sys.platform != "emscripten"
"""Python in a browser has the function, and no processes."""
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
    for name in (*STANDARD, *OPEN_MODULES, "kvmexit.lab.worker"):
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
        from kvmexit.lab.worker import in_words

        def ask(act: str, *more: Any) -> Any:
            return wire.loads(wire.dumps(answer(act, list(more))))

        given = [ROLES[a.name](ask, ask) if isinstance(a, Role) else a for a in arguments]
        try:
            if target is not None:
                return getattr(self.objects[target], name)(*given)
            function = self.namespace[name]
            if (inside := borrowed(function)) is not None:
                raise StudentError(inside)
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
    for name in [n for n in sys.modules if not is_open(n)]:
        del sys.modules[name]  # what the notebook has imported, and the grader will not
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
