"""The student's side of the pipe: goes to jail, loads the answer, does what it is asked.

A fork of :mod:`kvmexit.lab.nursery`, or of a notebook's kernel. The referee sends
``("cell", number, source)``, each answered by ``("loaded", problem)``, and then
``("call", target, name, arguments, keep)``; until the answer ``("return", value, printed)`` or
``("raise", text, printed)`` it serves what the student's code asks in between: ``("ask", act,
...)``. ``keep`` says what becomes of the value: it is handed over (``value``), kept here under a
number (``object``), or of no use (``nothing``).
"""

from __future__ import annotations
import __future__

import ast
import builtins
import functools
import io
import operator
import os
import signal
import sys
import traceback
from collections.abc import AsyncGenerator, Coroutine, Generator
from types import CodeType, ModuleType
from typing import Any

from kvmexit.lab import jail, wire
from kvmexit.lab.cells import SAYS
from kvmexit.lab.client import ROLES
from kvmexit.lab.imports import (
    OPEN_MODULES,
    Absent,
    Gate,
    Refused,
    borrowed,
    in_use,
    loading,
    said_by_a_magic,
)
from kvmexit.lab.words import NOT_ANSWERED, TIMED_OUT, Role, StudentError

NOISE, KEPT = 2_000, 64
NAMES, LONGEST_NAME = 2_000, 60
"""How many names of an answer the referee hears of, and how long one may be."""
FUTURE = functools.reduce(
    operator.or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)


class Printed(io.TextIOBase):
    """What the student's code prints: the first characters are kept."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += str(text)[: max(0, NOISE - len(self.text))]
        return len(text)

    def take(self) -> str:
        text, self.text = self.text, ""
        return text


class Pipe:
    """Both ends as unbuffered descriptors; a line is a value."""

    def __init__(self, reading: int, writing: int) -> None:
        self._in = open(reading, "rb", buffering=wire.LONGEST_LINE)
        self._out = writing
        self._posted = b""

    def post(self, act: str, *arguments: Any) -> None:
        """Hand over an act that has no result, together with whatever is sent next."""
        self._posted += wire.dumps(["post", act, list(arguments)])
        if len(self._posted) > 4096:
            self._flush(b"")

    def send(self, *parts: Any) -> None:
        self._flush(wire.dumps(list(parts)))

    def _flush(self, data: bytes) -> None:
        data, self._posted = self._posted + data, b""
        while data:
            data = data[os.write(self._out, data) :]

    def receive(self) -> Any:
        line = self._in.readline()
        if not line:
            os._exit(0)
        return wire.loads(line)

    def ask(self, act: str, *arguments: Any) -> Any:
        """Hand an act to the referee and wait for its result."""
        self.send("ask", act, list(arguments))
        kind, value = self.receive()
        if kind == "stop":
            raise StudentError(value)
        return value


def closed_library() -> None:
    """Leave only the open modules in ``sys.modules``, and a ``kvmexit.lab`` without checks."""
    lab = ModuleType("kvmexit.lab")
    from kvmexit.lab.words import Snapshot

    def nothing(*_: Any, **__: Any) -> None:
        """Checks and problems are silent while an answer is graded."""

    def nobody(*_: Any) -> str:
        raise EOFError("nobody is there to type")

    for name in NOTEBOOKS:
        setattr(lab, name, nothing)
    lab.__path__ = []  # so that a part of it can be imported, if nobody uses it
    lab.Snapshot = Snapshot  # type: ignore[attr-defined]  # a module made just now
    kept = {name: sys.modules.get(name) for name in OPEN_MODULES}
    package: Any = kept["kvmexit"]
    for name in [n for n in sys.modules if n == "kvmexit" or n.startswith("kvmexit.")]:
        sys.modules.pop(name)
        home, _, attribute = name.rpartition(".")
        if name not in OPEN_MODULES and kept.get(home) is not None:
            vars(kept[home]).pop(attribute, None)
    for name, kept_module in kept.items():
        if kept_module is not None:
            sys.modules[name] = kept_module
    sys.modules["kvmexit.lab"] = package.lab = lab
    in_notebook: Any = builtins
    in_notebook.display, in_notebook.get_ipython = print, lambda: said_by_a_magic("get_ipython()")
    setattr(builtins, SAYS, said_by_a_magic)
    builtins.input, sys.breakpointhook = nobody, nothing
    sys.meta_path[:] = [Gate()]


class TooLong(BaseException):
    """A cell has had its time; the referee says so by a signal."""


class Loading:
    """Executes the answer's cells as they come; a cell that fails does not stop the next."""

    def __init__(self, pipe: Pipe, namespace: dict[str, Any]) -> None:
        self.pipe, self.namespace = pipe, namespace
        self.is_running = False
        self.flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        signal.signal(signal.SIGALRM, self.interrupt)

    def interrupt(self, *_: Any) -> None:
        if self.is_running:
            raise TooLong

    def all_cells(self) -> None:
        """Until the referee says that there are no more."""
        loading[0] = True
        while (message := self.pipe.receive())[0] == "cell":
            self.pipe.send("loaded", self.one(*message[1:]))
        loading[0] = False
        signal.signal(signal.SIGALRM, signal.SIG_IGN)

    def one(self, number: int, source: str) -> str | None:
        try:
            self.is_running = True
            code: CodeType = compile(
                source, f"cell {number}", "exec", self.flags, dont_inherit=True
            )
            self.flags |= code.co_flags & FUTURE  # as in a notebook, for the cells that follow
            value = eval(code, self.namespace)
            if isinstance(value, Coroutine):
                value.send(None)
                raise RuntimeError("it waits for something, and nobody else runs here")
        except StopIteration:
            pass  # a cell with `await`, at its end
        except TooLong:
            self.is_running = False
            return TIMED_OUT
        except BaseException as problem:  # SystemExit in a cell is the student's, not ours
            self.is_running = False
            return in_words(problem)
        finally:
            self.is_running = False
        return None


NOTEBOOKS = ("check", "mark", "problem", "answer", "limits")
"""What a notebook has of the lab, and an answer has not."""


def in_words(problem: BaseException) -> str:
    """An exception in one line, with the student's line number where there is one."""
    if isinstance(problem, StudentError | Refused):
        return str(problem)
    where = ""
    for frame in traceback.extract_tb(problem.__traceback__):
        if frame.filename.startswith(("cell ", "<ipython", "/tmp/ipykernel")):
            where = f" in line {frame.lineno} of {frame.name}"
    if isinstance(problem, SyntaxError) and problem.lineno:
        where = f" in line {problem.lineno}"
    elif type(problem) is NotImplementedError:
        return NOT_ANSWERED
    try:
        own = (
            problem.msg if isinstance(problem, SyntaxError) else problem
        )  # without the cell's number
        text = " ".join(str(own).split())[:160]
    except BaseException:  # the student's own __str__
        text = ""
    return f"raised {type(problem).__name__}{f' ({text})' if text else ''}{where}"


class Worker:
    """Answers the referee's calls with the student's names."""

    def __init__(self, pipe: Pipe, namespace: dict[str, Any]) -> None:
        self.pipe, self.namespace = pipe, namespace
        self.objects: dict[int, Any] = {}
        self.made = 0
        self.passed: Any = None
        self.printed = Printed()

    def serve(self, is_locked: bool) -> None:
        """Until the referee hangs up."""
        sys.stdout = sys.stderr = self.printed
        self.pipe.send("ready", is_locked, described_all(self.namespace))
        while True:
            _, target, name, arguments, keep = self.pipe.receive()
            try:
                value = self.call(target, name, arguments, keep)
                self.reply("return", value)
            except BaseException as problem:
                self.reply("raise", in_words(problem))

    def reply(self, kind: str, value: Any) -> None:
        try:
            self.pipe.send(kind, value, self.printed.take())
        except StudentError as problem:
            self.pipe.send("raise", str(problem), "")
        except BaseException as problem:  # what is said of itself by a value of the student's
            self.pipe.send("raise", in_words(problem), "")

    def call(self, target: int | None, name: str, arguments: list[Any], keep: str) -> Any:
        """A name of the answer, or a method of an object that it has made."""
        given = [
            ROLES[a.name](self.pipe.ask, self.pipe.post) if isinstance(a, Role) else a
            for a in arguments
        ]
        if target is not None:
            function = getattr(self.objects[target], name)
        else:
            function = self.namespace[name]
            if function is not self.passed and (inside := borrowed(function)) is not None:
                raise StudentError(inside)
            self.passed = function
        value = ran(name, function(*given))
        if keep == "object":
            self.made += 1
            self.objects[self.made] = value
            self.objects.pop(self.made - KEPT, None)
            return self.made
        return None if keep == "nothing" else value


def described(value: Any) -> str:
    """What a name of the answer stands for: nothing that can be called is said by its type."""
    return "" if callable(value) else type(value).__name__[:LONGEST_NAME]


def described_all(namespace: dict[str, Any]) -> dict[str, str]:
    """The names of an answer: of many, such as those of a table, those that can be called."""
    names = {
        name: described(value)
        for name, value in namespace.items()
        if isinstance(name, str) and len(name) <= LONGEST_NAME
    }
    return dict(sorted(names.items(), key=lambda item: item[1] != "")[:NAMES])


def ran(name: str, value: Any) -> Any:
    """``value``, if the call that gave it has run to its end, and no missing module is in it."""
    if isinstance(value, Absent):
        raise StudentError(in_use(value.__module__, value.__name__))
    if isinstance(value, Generator | Coroutine | AsyncGenerator) and not has_ended(value):
        raise StudentError(
            f"{name}() gave a {type(value).__name__}, of which nothing has run yet: write it"
            " as a plain function, without yield and without async"
        )
    return value


def has_ended(value: Any) -> bool:
    """Has all of a generator or a coroutine run?"""
    return all(
        getattr(value, frame, None) is None for frame in ("gi_frame", "cr_frame", "ag_frame")
    )


def jailed(reading: int, writing: int) -> None:
    """In a fork that has nothing of anybody: go to jail, load the cells, serve."""
    pipe = Pipe(reading, writing)
    jail.limit()
    is_locked = jail.lock()
    closed_library()
    main = sys.modules["__main__"] = ModuleType("__main__")  # where pickle and typing look
    main.__file__ = "answer.py"
    namespace = vars(main)
    worker = Worker(pipe, namespace)
    sys.stdout = sys.stderr = worker.printed
    Loading(pipe, namespace).all_cells()
    worker.serve(is_locked)
