"""A method of an adapter is called: for so long and no longer, and what it raised has its place.

An adapter is the user's, and may wait for ever. Its methods run in the main thread, so a signal
can end them there; in any other thread Python handles none, and only what they wait for has a
limit.
"""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from kvmexit.errors import KvmExitError

R = TypeVar("R")
SLACK = 1.5
"""A method may take that many times the limit of one wait: a wait of its own that ends first says
more."""
_AGAIN = 0.2


class Overdue(KvmExitError):
    """A method that did not return in its time."""


class _Over(BaseException):
    """Not an Exception: a loop that passes errors over must not pass over this one."""


def call(limit: float, method: Callable[..., R], *args: object) -> R:
    """What ``method`` returns. Overdue if it takes more than ``SLACK * limit`` seconds."""
    if threading.current_thread() is not threading.main_thread():
        return method(*args)

    def over(*_: object) -> NoReturn:
        raise _Over

    seconds = SLACK * limit
    before = signal.signal(signal.SIGALRM, over)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
        try:
            return method(*args)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _Over as problem:
        signal.setitimer(signal.ITIMER_REAL, 0)
        stood = place(problem, method)
        raise Overdue(
            f"{method.__qualname__}() was given {seconds:g} s and did not return{stood}"
        ) from None
    finally:
        signal.signal(signal.SIGALRM, before)


def place(problem: BaseException, method: Callable[..., object]) -> str:
    """Where in the file of ``method`` the ``problem`` arose, for the end of a sentence."""
    code = getattr(method, "__code__", None)  # a class has none: its ``__init__`` has
    code = code or getattr(getattr(method, "__init__", None), "__code__", None)
    if code is None:
        return ""
    return place_in(code.co_filename, problem)


def place_in(file: str, problem: BaseException) -> str:
    """The last line of ``file`` that the ``problem`` came through, for the end of a sentence."""
    stack = traceback.extract_tb(problem.__traceback__)
    lines = [frame.lineno for frame in stack if frame.filename == file]
    name = Path(file).name
    return f" ({name}, line {lines[-1]})" if lines else f" ({name})"


def told(problem: Exception, method: Callable[..., object]) -> str:
    """The text of an error that a user can cause; of any other its kind and its place too."""
    first = next(iter(str(problem).splitlines()), "")
    if isinstance(problem, KvmExitError | OSError) and first:
        return first
    name = type(problem).__name__
    return (f"{name}: {first}" if first else name) + place(problem, method)
