"""Guest RAM as userspace has it: one kind of buffer, whichever kernel runs the guest.

The kernel writes to it by its address, so it must neither move nor go away while the VM lives.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from operator import index
from typing import TYPE_CHECKING, Any, NoReturn

from kvmexit.errors import KvmExitError, said

PAGE = 4096
RAM_LIMIT = 0x7FFFD000
"""Where RAM must end, in bytes: three pages above it are the real KVM's own."""

FIXED = (
    "guest RAM has a fixed size and is freed with its VM: read and write slices of it, take"
    " bytes(vm.memory), or create another VM"
)
NO_BYTES = (BufferError, TypeError, ValueError)
"""What ``memoryview`` raises for what is no buffer, or is one no more, or is not in one piece."""


def fixed(*_: object, **__: object) -> NoReturn:
    """What ``vm.memory`` says to all that would move it, free it or make it another object."""
    raise KvmExitError(FIXED)


class Ram:
    """Guest RAM, from guest physical address 0: ``len``, bytes by slice, a byte by address, ``in``,
    ``==``, ``find``, and the buffer protocol (``bytes(vm.memory)``, ``memoryview``, ``readinto``).

    A slice takes as many bytes as it has. Whoever keeps the RAM, or a view of it, after its VM was
    closed, has the bytes as the guest left them. Raises KvmExitError for whatever else.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # both come from the class beside this one

        def __len__(self) -> int: ...

        def __buffer__(self, flags: int, /) -> memoryview: ...

    def __getitem__(self, where: Any) -> Any:
        try:
            found = super().__getitem__(where)  # type: ignore[misc]  # of the class beside this one
        except (IndexError, TypeError, ValueError):
            raise self._nowhere(where) from None
        return bytes(found) if isinstance(where, slice) else found

    def __setitem__(self, where: Any, data: Any) -> None:
        try:
            if isinstance(where, slice) and not isinstance(data, bytes):
                data = bytes(memoryview(data))
            memoryview(self)[where] = data
        except (IndexError, NotImplementedError, *NO_BYTES):
            raise self._refusal(where, data) from None

    def __iter__(self) -> Iterator[int]:
        return iter(memoryview(self))

    def __contains__(self, what: Any) -> bool:
        try:
            return what in bytes(self)
        except NO_BYTES:
            raise KvmExitError(f"RAM holds bytes, and no {said(what)}: ask for b'...'") from None

    def __eq__(self, other: object) -> bool:
        try:
            return bytes(self) == bytes(memoryview(other))  # type: ignore[arg-type]  # or TypeError
        except NO_BYTES:
            return NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other  # bytearray has a way of its own, mmap has none

    def find(self, what: Any, start: Any = None, stop: Any = None) -> int:
        """The address of the first ``what``, bytes, in ``[start:stop]``; -1 if there is none."""
        # Of the class beside this one.
        return super().find(*self._sought(what, start, stop))  # type: ignore[misc,no-any-return]

    def rfind(self, what: Any, start: Any = None, stop: Any = None) -> int:
        """The address of the last one."""
        # Likewise: of the class beside it.
        return super().rfind(*self._sought(what, start, stop))  # type: ignore[misc,no-any-return]

    def __repr__(self) -> str:
        return f"<guest RAM, {len(self):#x} bytes>"

    __str__ = __repr__
    __delitem__ = __enter__ = __exit__ = __reduce_ex__ = fixed
    __add__ = __mul__ = __rmul__ = __mod__ = __iadd__ = __imul__ = fixed
    __lt__ = __le__ = __gt__ = __ge__ = fixed

    def _sought(self, what: Any, start: Any, stop: Any) -> tuple[bytes, int, int]:
        try:
            first, end, _ = slice(start, stop).indices(len(self))
            return bytes(memoryview(what)), first, end
        except NO_BYTES:
            raise KvmExitError(
                "RAM is searched for bytes, from one address to another, not for"
                f" {said(what)} from {said(start)} to {said(stop)}"
            ) from None

    def _nowhere(self, where: Any) -> KvmExitError:
        if isinstance(where, slice):
            return KvmExitError(f"a slice of RAM has addresses and a step, not {said(where)}")
        try:
            return KvmExitError(f"no byte of RAM at {index(where):#x}: it ends at {len(self):#x}")
        except TypeError:
            what = said(where)
            return KvmExitError(f"RAM is read and written by address or by slice, not by {what}")

    def _refusal(self, where: Any, data: Any) -> KvmExitError:
        """Why ``data`` cannot be written ``where``."""
        try:
            there = range(len(self))[where]
        except (IndexError, TypeError, ValueError):
            return self._nowhere(where)
        if isinstance(there, int):
            return KvmExitError(f"a byte of RAM takes 0 to 255, not {said(data)}")
        if not isinstance(data, bytes):
            return KvmExitError(f"a slice of RAM takes bytes, not {said(data)}")
        return KvmExitError(
            f"a slice of {len(there)} bytes does not take {len(data)} bytes: {FIXED}"
        )


def _public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


for _name in (_public(bytearray) | _public(mmap.mmap)) - _public(Ram):  # neither offers the rest
    _is_method = any(callable(getattr(kind, _name, None)) for kind in (bytearray, mmap.mmap))
    setattr(Ram, _name, fixed if _is_method else property(fixed))


class MappedRam(Ram, mmap.mmap):
    """RAM to be lent to the real kernel: an anonymous mapping, page by page."""

    __slots__ = ()

    def __new__(cls, size: int) -> MappedRam:
        """``size`` zeroed bytes. Raises OSError as mmap(2) does."""
        return super().__new__(cls, -1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


class HeapRam(Ram, bytearray):
    """RAM of a kernel that is itself in this process. A mapping takes five times as long to make,
    and a sweep makes thousands."""

    __slots__ = ()
