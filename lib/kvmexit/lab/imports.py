"""What an answer may import, and what stands in for all that it may not.

A module that is not there when answers are graded can be imported all the same: what comes is a
stand-in. Nobody minds it who does not use it; who does is told which name it was.
"""

from __future__ import annotations

import importlib.abc
import sys
from collections import deque
from dis import get_instructions
from functools import partial
from importlib.machinery import ModuleSpec
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NoReturn

OPEN_MODULES = (
    "kvmexit", "kvmexit.errors", "kvmexit.exits", "kvmexit.faces", "kvmexit.guest",
    "kvmexit.guest.tis_registers", "kvmexit.lab", "kvmexit.lab.words",
)  # fmt: skip
"""What of this library an answer may use. The rest holds the answers."""
STANDARD = (
    "abc", "array", "ast", "base64", "binascii", "bisect", "builtins", "calendar", "cmath",
    "codecs", "collections", "collections.abc", "colorsys", "contextlib", "contextvars", "copy",
    "copyreg", "csv", "ctypes", "dataclasses", "datetime", "decimal", "difflib", "dis", "enum",
    "errno", "fractions", "functools", "gc", "graphlib", "hashlib", "heapq", "hmac", "html",
    "inspect", "io", "itertools", "json", "keyword", "linecache", "locale", "logging", "math",
    "numbers", "operator", "os", "os.path", "pathlib", "pickle", "pprint", "queue", "random",
    "re", "reprlib", "secrets", "select", "shlex", "signal", "stat", "statistics", "string",
    "struct", "sys", "tempfile", "textwrap", "threading", "time", "timeit", "token", "tokenize",
    "traceback", "types", "typing", "unicodedata", "uuid", "warnings", "weakref", "zlib",
)  # fmt: skip
"""Modules loaded before the jail closes; afterwards nothing can be read from disk."""
BEHIND = (
    "_strptime", "encodings.ascii", "encodings.base64_codec", "encodings.cp1252",
    "encodings.hex_codec", "encodings.idna", "encodings.latin_1", "encodings.raw_unicode_escape",
    "encodings.unicode_escape", "encodings.utf_16", "encodings.utf_16_be", "encodings.utf_16_le",
    "encodings.utf_32", "encodings.utf_8_sig",
)  # fmt: skip
"""What those load by themselves, and late."""
_TOPS = frozenset(name.partition(".")[0] for name in STANDARD)
_BUILT_IN = frozenset(sys.builtin_module_names)
loading = [False]
"""While an answer's cells are loaded a stand-in lets itself be called, and be reckoned with, since
such a call (a style, a seed, a type) is most often of no consequence."""


class Refused(ModuleNotFoundError):
    """A use of what a graded answer may not have."""


def in_use(module: str, name: str = "") -> str:
    """What is said of an answer that uses ``name`` of ``module``."""
    return f"uses {module}{f'.{name}' if name else ''}: {_why(module)}"


def _why(module: str) -> str:
    """Why an answer may not use it."""
    if module.startswith("kvmexit."):
        return "the answer must be your own"
    if module == MAGICS:
        return "magics and commands are not run when answers are graded"
    return "it is not there when answers are graded"


MAGICS = "IPython"


class _Missing(type):
    """Makes classes that stand in for those of a missing module."""


class Absent:
    """Stands in for one name of a missing module."""

    __name__: str

    def __init__(self, module: str, name: str) -> None:
        self.__dict__.update(__module__=module, __name__=name)

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise Refused(in_use(self.__module__, self.__name__))

    def __call__(self, *_: Any, **__: Any) -> Absent:
        return self if loading[0] else self._refuse()

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(self.__module__, f"{self.__name__}.{name}") if loading[0] else self._refuse()

    def __getitem__(self, _: Any) -> Absent:
        return self if loading[0] else self._refuse()

    def __setattr__(self, *_: Any) -> None:
        """Nobody will see it."""

    __setitem__ = __setattr__

    def __mro_entries__(self, _: Any) -> tuple[type]:
        return (_Missing(self.__name__, (), {"__module__": self.__module__}),)

    __bool__ = __len__ = __iter__ = __contains__ = __int__ = __float__ = __index__ = _refuse
    __add__ = __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __pow__ = __call__
    __and__ = __or__ = __xor__ = __lshift__ = __rshift__ = __matmul__ = __call__
    __radd__ = __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rpow__ = __call__
    __rand__ = __ror__ = __rxor__ = __rlshift__ = __rrshift__ = __rmatmul__ = __call__
    __neg__ = __pos__ = __abs__ = __invert__ = __enter__ = __call__
    __lt__ = __le__ = __gt__ = __ge__ = __call__

    def __eq__(self, other: object) -> bool:
        """`typing` asks, of a type that is none."""
        return self is other if loading[0] else self._refuse()

    def __exit__(self, *_: Any) -> None:
        """Nothing was entered."""

    __hash__ = object.__hash__

    def __str__(self) -> str:
        return self.__name__ if loading[0] else self._refuse()

    __repr__ = __str__

    def __format__(self, _: str) -> str:
        return str(self)


class AbsentModule(ModuleType):
    """Stands in for a module. Whatever is taken from it is an :class:`Absent`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(self.__name__, name)


class Gate(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The only finder: whatever is not loaded yet has a stand-in."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec:
        if name.startswith(("_", "encodings.")):  # Python itself asks, and knows what to do
            raise Refused(in_use(name), name=name)
        return ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return AbsentModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing in it."""


def said_by_a_magic(name: str) -> Absent:
    """Stands for what a magic or a command of the shell gave."""
    return Absent(MAGICS, name)


def borrowed(answer: Any) -> str | None:
    """What of a module that an answer may not have ``answer`` uses, in words, or None.

    A notebook knows such modules: the inside of this library, other packages, the student's own
    files. Followed through the functions and classes of the answer, and what they are made of.
    """
    seen: set[int] = set()
    left = deque([answer])
    while left:
        value = left.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        home, name = _home(value)
        if isinstance(home, str) and (is_missing(value) or is_elsewhere(home)):
            return in_use(home, name)
        is_own = isinstance(home, str) and (home == "__main__" or not is_open(home))
        if isinstance(value, partial):
            left += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, MethodType):
            left.append(value.__func__)
        elif isinstance(value, type) and is_own:
            left += [*vars(value).values(), *value.__bases__]
        elif isinstance(value, FunctionType) and is_own:
            left += [value.__globals__.get(name) for name in _global_names(value.__code__)]
            left += [*(value.__defaults__ or ()), *_cells(value)]
    return None


def _home(value: Any) -> tuple[Any, str]:
    """The module of a value, and its name there. An object of a class of the student's is not
    asked: it may say anything, or raise."""
    kind = type(value)
    if issubclass(kind, ModuleType):
        return value.__name__, ""
    if kind.__module__ == "__main__" and not issubclass(kind, type):
        return "__main__", kind.__name__
    home = getattr(value, "__module__", None)
    name = getattr(value, "__name__", None) or kind.__name__
    return home, str(name)


def _cells(function: FunctionType) -> list[Any]:
    """What ``function`` has of the functions round it."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # nothing in it yet
            continue
    return found


def _global_names(code: CodeType) -> list[str]:
    """The global names that ``code`` reads, and the functions defined inside it, in the order in
    which they stand there: what is said of an answer must not depend on chance."""
    own = [i.argval for i in get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")]
    inner = [const for const in code.co_consts if isinstance(const, CodeType)]
    return own + [name for one in inner for name in _global_names(one)]


gone: set[str] = set()
"""Modules that a notebook has had, and its fork that plays has not."""


def is_missing(value: Any) -> bool:
    """Does it stand in for something that is not there?"""
    return isinstance(value, Absent | _Missing)


def is_elsewhere(module: str) -> bool:
    """Is it a module that an answer may not have? One that is made by hand, or a name that somebody
    has given to a function, is the student's own."""
    if is_open(module):
        return False
    there = getattr(sys.modules.get(module), "__spec__", None) is not None
    return there or module in gone or module.startswith("kvmexit.")


def is_open(module: str) -> bool:
    """May an answer have it? Of Python's own modules those that are loaded when it is graded."""
    top = module.partition(".")[0]
    own = top.startswith("_") and top in sys.stdlib_module_names
    return module in ("__main__", *OPEN_MODULES) or own or top in _TOPS or top in _BUILT_IN
