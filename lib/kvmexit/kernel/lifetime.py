"""The end of a kernel, of a VM and of its parts: what is closed says so, whatever it is asked.

A check in each method would be paid at each exit, and forgotten in the next one that is written.
So what is closed changes its class instead: to one of the same name that knows how to be closed.
"""

from __future__ import annotations

from typing import Any, NoReturn

from kvmexit.errors import KvmExitError


class Unique:
    """What there is once: a copy of it would close the same descriptors a second time, or write
    to the same page."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise KvmExitError(
            f"a {type(self).__name__} cannot be copied or pickled: make another kernel or VM, and"
            " give it the state and the memory"
        )


class Closed:
    """Its methods know ``close`` and a repr; every other name raises KvmExitError."""

    def __getattribute__(self, name: str) -> Any:
        if name == "close" or name.startswith("__"):
            return object.__getattribute__(self, name)
        raise KvmExitError(str(type(self).__doc__))

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise KvmExitError(str(type(self).__doc__))

    def __delattr__(self, name: str) -> NoReturn:
        raise KvmExitError(str(type(self).__doc__))

    def __enter__(self) -> NoReturn:
        raise KvmExitError(str(type(self).__doc__))

    def close(self) -> None:
        """Nothing: closing twice is allowed."""

    def __exit__(self, *_: object) -> None: ...

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, closed>"


_METHODS = {name: method for name, method in vars(Closed).items() if callable(method)}
_CLOSED: dict[type, type] = {}


def is_closed(thing: object) -> bool:
    """Has it been ended?"""
    return type(thing) in _CLOSED.values()


def end(thing: Any, what: str) -> None:
    """From now on ``thing``, a part of ``what`` (a VM, a kernel), says that it is closed."""
    kind = type(thing)
    if kind not in _CLOSED:
        said = f"this {what} is closed: make a new one"
        # Nothing but methods on top of the class it had: an object takes no other layout.
        _CLOSED[kind] = type(kind.__name__, (kind,), {**_METHODS, "__slots__": (), "__doc__": said})
    thing.__class__ = _CLOSED[kind]
