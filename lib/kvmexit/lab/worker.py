"""The student's side of the pipe: loads the answer, goes to jail, does what it is asked.

Started by :mod:`kvmexit.lab.starting` in an interpreter of its own, or in a fork of a notebook's
kernel. The referee sends ``("call", name, arguments)``; until the answer ``("return", value)``
or ``("raise", text)`` it serves what the student's code asks in between: ``("ask", act, ...)``.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
import traceback
from types import ModuleType
from typing import Any

from kvmexit.lab import jail, wire
from kvmexit.lab.client import ROLES
from kvmexit.lab.imports import OPEN_MODULES, STANDARD, Gate, Refused, borrowed
from kvmexit.lab.words import Role, StudentError

NOISE, KEPT = 2_000, 64


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

    for name in ("check", "mark", "problem", "answer"):
        setattr(lab, name, nothing)
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
    builtins.display = print  # type: ignore[attr-defined]  # the notebook's is not there
    builtins.input, sys.breakpointhook = nobody, nothing
    sys.meta_path[:] = [Gate()]


def load(cells: list[str], namespace: dict[str, Any]) -> list[str]:
    """Execute the answer's cells one by one; a cell that fails does not stop the next."""
    problems = []
    for number, source in enumerate(cells, start=1):
        try:
            exec(compile(source, f"cell {number}", "exec"), namespace)
        except BaseException as problem:  # SystemExit in a cell is the student's, not ours
            problems.append(in_words(problem))
    return problems


def in_words(problem: BaseException) -> str:
    """An exception in one line, with the student's line number where there is one."""
    if isinstance(problem, StudentError | Refused):
        return str(problem)
    where = ""
    for frame in traceback.extract_tb(problem.__traceback__):
        if frame.filename.startswith(("cell ", "<ipython", "/tmp/ipykernel")):
            where = f" in line {frame.lineno} of {frame.name}"
    if isinstance(problem, SyntaxError):
        where = f" in line {problem.lineno}"
    text = " ".join(str(problem).split())[:160]
    return f"raised {type(problem).__name__}{f' ({text})' if text else ''}{where}"


class Worker:
    """Answers the referee's calls with the student's names."""

    def __init__(self, pipe: Pipe, namespace: dict[str, Any]) -> None:
        self.pipe, self.namespace = pipe, namespace
        self.objects: dict[int, Any] = {}
        self.made = 0
        self.passed: Any = None
        self.printed = Printed()

    def serve(self, problems: list[str], is_locked: bool) -> None:
        """Until the referee hangs up."""
        sys.stdout = sys.stderr = self.printed
        names = [str(name) for name, value in self.namespace.items() if callable(value)]
        self.pipe.send("ready", problems[:5], is_locked, names[:1000])
        while True:
            _, target, name, arguments = self.pipe.receive()
            try:
                value = self.call(target, name, arguments)
                self.reply("return", value)
            except BaseException as problem:
                self.reply("raise", in_words(problem))

    def reply(self, kind: str, value: Any) -> None:
        try:
            self.pipe.send(kind, value, self.printed.take())
        except StudentError as problem:
            self.pipe.send("raise", str(problem), "")

    def call(self, target: int | None, name: str, arguments: list[Any]) -> Any:
        """A function, a class (its object is kept and its number returned), or a method."""
        given = [
            ROLES[a.name](self.pipe.ask, self.pipe.post) if isinstance(a, Role) else a
            for a in arguments
        ]
        if target is not None:
            return getattr(self.objects[target], name)(*given)
        function = self.namespace[name]
        if function is not self.passed and (inside := borrowed(function)) is not None:
            raise StudentError(inside)
        self.passed = function
        value = function(*given)
        if isinstance(function, type):
            self.made += 1
            self.objects[self.made] = value
            self.objects.pop(self.made - KEPT, None)
            return self.made
        return value


def main() -> None:
    """In a clean interpreter: read the cells, load them in jail, serve."""
    for name in (*STANDARD, *OPEN_MODULES):
        __import__(name)
    pipe = Pipe(int(sys.argv[1]), int(sys.argv[2]))
    cells = pipe.receive()
    os.setsid()
    jail.limit()
    is_locked = jail.lock()
    closed_library()
    namespace: dict[str, Any] = {"__name__": "__main__"}
    worker = Worker(pipe, namespace)
    sys.stdout = sys.stderr = worker.printed
    worker.serve(load(cells, namespace), is_locked)


if __name__ == "__main__":
    main()
