"""What an answer may import, and what it may have of a notebook's modules."""

from __future__ import annotations

import importlib.abc
import sys
from dis import get_instructions
from types import CodeType, FunctionType, ModuleType
from typing import Any

OPEN_MODULES = (
    "kvmexit", "kvmexit.errors", "kvmexit.exits", "kvmexit.faces", "kvmexit.guest",
    "kvmexit.guest.tis_registers", "kvmexit.lab", "kvmexit.lab.words",
)  # fmt: skip
"""What of this library an answer may use. The rest holds the answers."""
STANDARD = (
    "abc", "array", "bisect", "collections", "collections.abc", "contextlib", "copy",
    "dataclasses", "datetime", "decimal", "enum", "errno", "fractions", "functools", "heapq",
    "itertools", "json", "logging", "math", "numbers", "operator", "os", "pprint", "random", "re",
    "statistics", "string", "struct", "sys", "textwrap", "time", "types", "typing", "warnings",
)  # fmt: skip
"""Modules loaded before the jail closes; afterwards nothing can be read from disk."""


class Refused(ModuleNotFoundError):
    """An import that a graded answer may not make."""


class Gate(importlib.abc.MetaPathFinder):
    """The only finder: whatever is not loaded yet is refused, in words."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        raise Refused(f"{name} cannot be imported in a graded answer: {_why(name)}", name=name)


def _why(module: str) -> str:
    """Why an answer may not use it."""
    if module.startswith("kvmexit."):
        return "the answer must be your own"
    return "it is not there when answers are graded"


def borrowed(answer: Any) -> str | None:
    """What of a module that an answer may not have ``answer`` uses, in words, or None.

    A notebook knows such modules: the inside of this library, other packages, the student's own
    files. Followed through the functions and classes of the answer.
    """
    seen: set[int] = set()
    left = [answer]
    while left:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        home = getattr(value, "__module__", None)
        if isinstance(value, ModuleType):
            home = value.__name__
        if isinstance(home, str) and not is_open(home):
            name = "" if isinstance(value, ModuleType) else f".{getattr(value, '__name__', '')}"
            return f"uses {home}{name}: {_why(home)}"
        if isinstance(value, type) and home == "__main__":
            left += [*vars(value).values(), *value.__bases__]
        elif isinstance(value, FunctionType) and home == "__main__":
            left += [value.__globals__.get(name) for name in _global_names(value.__code__)]
    return None


def _global_names(code: CodeType) -> set[str]:
    """The global names that ``code`` reads, and the functions defined inside it."""
    own = {i.argval for i in get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    inner = (const for const in code.co_consts if isinstance(const, CodeType))
    return own.union(*map(_global_names, inner))


def is_open(module: str) -> bool:
    """May an answer have it? Python's own modules pass here; the jail lets it load fewer."""
    top = module.partition(".")[0]
    return module in ("__main__", *OPEN_MODULES) or top in sys.stdlib_module_names
