"""Runs the cells of a page as a notebook would: text, HTML and errors, each as it comes.

The worker calls :func:`run`; what the cell says goes to ``emit(kind, value)``: ``stream`` with
text, ``output`` with a MIME bundle, ``error`` or ``absent`` with a sentence. The library speaks to
``IPython.display``; a stand-in takes its place, and text is laid out by IPython's own printer.
"""

from __future__ import annotations

import ast
import builtins
import io
import linecache
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import ModuleType
from typing import Any

Emit = Callable[[str, Any], None]
KINDS = ("text/plain", "text/html", "image/svg+xml")
ABSENT = {
    "matplotlib": "matplotlib, which draws it, is not in this page",
    "anywidget": "it needs a running kernel",
    "ipywidgets": "it needs a running kernel",
    "pytest": "pytest is not in this page",
    "resource": "processes have no limits in a page",
}
"""What a cell may want that is not here. Whoever has the book's folder has it: ``make lab``."""
NOBODY = "nobody can be asked in a page: write what input() would return into the cell"
NO_MACHINE = "it needs a machine of its own: /dev/kvm, processes and a compiler are not in a page"

names: dict[str, Any] = {}
"""What the cells have defined."""
_made: dict[str, set[str]] = {}
"""By the name of a cell, which of these it has brought."""
MOST = 100_000
"""Characters of one output, or of all that a cell prints, that are shown."""
MORE = "\n… and more, which is not shown"
MANY, LONG = 100, 5_000_000
"""Values of one cell, and characters of their pictures, that are shown."""
DOZE = 0.05
"""Seconds of a sleep after which it can be stopped."""
_sleep = time.sleep
_emit: Emit = print
_room = [MANY, LONG]
"""Values and characters that the cell may still show."""


def forget() -> None:
    """Start over: nothing is defined."""
    names.clear()
    _made.clear()
    names["__name__"] = "__main__"


def digest(html: str) -> str:
    """By this a page knows an output that it has already."""
    return sha256(html.encode()).hexdigest()[:16]


def bundle_of(value: Any) -> dict[str, str]:
    """A value as a notebook shows it, by MIME type."""
    from IPython.lib import pretty

    made = way(value, "_repr_mimebundle_")
    data = dict(made()) if made else {}
    html = None if made else way(value, "_repr_html_")
    if html:
        data["text/html"] = html()
    if "text/plain" not in data:
        printer: Any = pretty
        data["text/plain"] = printer.pretty(value)
    return shown(data)


def way(value: Any, name: str) -> Any:
    """How a value shows itself. A class is not shown as one of its kind, nor what has any name."""
    return getattr(value, name, None) if hasattr(type(value), name) else None


def show(bundle: dict[str, str]) -> None:
    """Show a value, if there is room for it in the page."""
    if _room[0] < 0:
        return
    _room[0] -= 1
    _room[1] -= sum(map(len, bundle.values()))
    if min(_room) >= 0:
        _emit("output", bundle)
    else:
        _room[0] = -1
        _emit("stream", MORE)


def shown(data: Mapping[str, Any]) -> dict[str, str]:
    """Of a bundle what a page shows, and the digest of its HTML."""
    kept = {kind: str(text) for kind, text in data.items() if kind in KINDS}
    if "text/plain" in kept:
        kept["text/plain"] = cut(kept["text/plain"])
    if html := kept.get("text/html"):
        kept["digest"] = digest(html)
    return kept


def cut(text: str) -> str:
    """A text that a page can show."""
    return text if len(text) <= MOST else text[:MOST] + MORE


def display(*values: Any, raw: bool = False, **_: Any) -> None:
    """``IPython.display.display``."""
    for value in values:
        show(shown(value) if raw else bundle_of(value))


class HTML:
    """``IPython.display.HTML``."""

    def __init__(self, data: str) -> None:
        self.data = data

    def _repr_html_(self) -> str:
        return self.data


class Out(io.TextIOBase):
    """Standard output of a cell."""

    encoding, errors = "utf-8", "strict"

    def __init__(self) -> None:
        self.left = MOST

    def write(self, text: str) -> int:
        if self.left >= 0 and text:
            _emit("stream", text if len(text) <= self.left else text[: self.left] + MORE)
            self.left -= len(text)
        return len(text)

    def writable(self) -> bool:
        return True


class In(io.TextIOBase):
    """Standard input, at which nobody sits."""

    def readline(self, size: int | None = -1) -> str:  # type: ignore[override]  # may be None, as of a file
        return nobody()

    def read(self, size: int | None = -1) -> str:
        return nobody()


def install() -> None:
    """Put the stand-in for ``IPython.display`` where the library finds it."""
    import IPython

    module = ModuleType("IPython.display")
    module.__dict__.update(display=display, HTML=HTML)
    IPython.__dict__.update(display=module, get_ipython=lambda: None)
    builtins.__dict__["input"] = nobody
    sys.stdin = In()
    time.__dict__["sleep"] = sleep
    sys.modules["IPython.display"] = module


class NotHere(Exception):
    """What no page can do, in words."""


def nobody(prompt: object = "") -> str:
    """``input``, where nobody can be asked."""
    raise NotHere(NOBODY)


def sleep(seconds: float) -> None:
    """``time.sleep``, which here hears nothing until it is over: asleep a little at a time."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > DOZE:
        _sleep(DOZE)
    _sleep(max(left, 0) if seconds >= 0 else seconds)


def run(source: str, name: str, emit: Emit, limit: float = 0) -> bool:
    """Run one cell, called ``name`` in its errors. Returns whether it came to its end.

    Whoever interrupts it after ``limit`` seconds says so here, for the words. It runs by itself
    then, while its text is changed, and what it had brought before goes: a function whose text is
    deleted is not to be called any more.
    """
    global _emit
    _emit = emit
    _room[:] = MANY, LONG
    if limit:
        for one in _made.pop(name, ()):
            names.pop(one, None)
    known = set(names)
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    before = sys.stdout, sys.stderr
    out: Any = Out()
    sys.stdout = sys.stderr = out
    try:
        execute(source, name)
    except BaseException as problem:
        reason = why_not_here(problem)
        emit("absent" if reason else "error", reason or told(problem, limit))
        return False
    finally:
        sys.stdout, sys.stderr = before
        _made[name] = _made.get(name, set()) | set(names) - known
    return True


def execute(source: str, name: str) -> None:
    """The statements; then the last one, if it is an expression, is shown."""
    tree = ast.parse(source, name)
    last = None
    end = tree.body[-1] if tree.body else None
    if isinstance(end, ast.Expr) and not source.rstrip().endswith(";"):
        tree.body.pop()
        last = ast.Expression(end.value)
    exec(compile(tree, name, "exec", dont_inherit=True), names)
    if last is None:
        return
    value = eval(compile(last, name, "eval", dont_inherit=True), names)
    if value is None:
        return
    names["_"] = value
    if display_itself := way(value, "_ipython_display_"):
        display_itself()
    else:
        show(bundle_of(value))


def why_not_here(problem: BaseException) -> str:
    """Why a cell cannot run in any page; empty if the fault is in the cell."""
    if isinstance(problem, NotHere):
        return str(problem)
    if isinstance(problem, ModuleNotFoundError):
        name = (problem.name or "").partition(".")[0]
        if name and name != "kvmexit":
            return ABSENT.get(name, f"{name} is not in this page")
    if isinstance(problem, OSError) and "emscripten" in in_words(problem).lower():
        return NO_MACHINE
    return NO_MACHINE if "/dev/kvm" in in_words(problem) else ""


def in_words(problem: BaseException) -> str:
    """An error as Python writes it, also one that cannot say what it is."""
    return "".join(traceback.format_exception_only(problem)).rstrip("\n")


def told(problem: BaseException, limit: float = 0) -> str:
    """An error with the reader's own lines: those of the library are not theirs to mend."""
    if isinstance(problem, KeyboardInterrupt):
        head = "Stopped."
        if limit:
            head = f"Stopped by itself after {limit:g} s: does a loop in it never end?"
    elif isinstance(problem, SyntaxError):
        return cut(in_words(problem))
    else:
        head = cut(in_words(problem))
    frames = traceback.extract_tb(problem.__traceback__)
    theirs = [one for one in frames if one.filename.startswith("cell ")]
    lines = [f"{one.filename}, line {one.lineno}:\n    {one.line}" for one in theirs[-8:]]
    return "\n".join([*lines, head])
