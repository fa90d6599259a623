"""Guest RAM as userspace has it: one kind of buffer, whichever kernel runs the guest.

The kernel writes to it by its address, so it must neither move nor go away while the VM lives.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from kvmexit.errors import KvmExitError

PAGE = 4096
RAM_LIMIT = 0x7FFFD000
"""Where RAM must end, in bytes: three pages above it are the real KVM's own."""

FIXED = (
    "guest RAM has a fixed size and is freed with its VM: read and write slices of it, take"
    " bytes(vm.memory), or create another VM"
)


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
        except (IndexError, TypeError):
            raise self._nowhere(where) from None
        return bytes(found) if isinstance(where, slice) else found

    def __setitem__(self, where: Any, data: Any) -> None:
        try:
            if isinstance(where, slice) and not isinstance(data, bytes):
                data = bytes(memoryview(data))
            memoryview(self)[where] = data
        except (IndexError, TypeError, ValueError):
            raise self._refusal(where, data) from None

    def __iter__(self) -> Iterator[int]:
        return iter(memoryview(self))

    def __contains__(self, what: Any) -> bool:
        return what in bytes(self)

    def __eq__(self, other: object) -> bool:
        try:
            return bytes(self) == bytes(memoryview(other))  # type: ignore[arg-type]  # or TypeError
        except TypeError:
            return NotImplemented

    def __repr__(self) -> str:
        return f"<guest RAM, {len(self):#x} bytes>"

    __str__ = __repr__
    __delitem__ = __enter__ = __exit__ = __reduce_ex__ = fixed
    __add__ = __mul__ = __rmul__ = __mod__ = __iadd__ = __imul__ = fixed
    __lt__ = __le__ = __gt__ = __ge__ = fixed

    def _nowhere(self, where: Any) -> KvmExitError:
        if isinstance(where, int):
            return KvmExitError(f"no byte of RAM at {where:#x}: it ends at {len(self):#x}")
        return KvmExitError(f"RAM is read and written by address or by slice, not by {where!r}")

    def _refusal(self, where: Any, data: Any) -> KvmExitError:
        """Why ``data`` cannot be written ``where``."""
        if isinstance(where, int):
            if not -len(self) <= where < len(self):
                return self._nowhere(where)
            return KvmExitError(f"a byte of RAM takes 0 to 255, not {data!r}")
        try:
            taken = len(range(len(self))[where])
        except TypeError:
            return self._nowhere(where)
        if not isinstance(data, bytes):
            return KvmExitError(f"a slice of RAM takes bytes, not {data!r}")
        return KvmExitError(f"a slice of {taken} bytes does not take {len(data)} bytes: {FIXED}")


def _public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


for _name in _public(bytearray) ^ _public(mmap.mmap):  # what one of them lacks, neither offers
    setattr(Ram, _name, fixed)


class MappedRam(Ram, mmap.mmap):
    """RAM to be lent to the real kernel: an anonymous mapping, page by page."""

    def __new__(cls, size: int) -> MappedRam:
        """``size`` zeroed bytes. Raises OSError as mmap(2) does."""
        return super().__new__(cls, -1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


class HeapRam(Ram, bytearray):
    """RAM of a kernel that is itself in this process. A mapping takes five times as long to make,
    and a sweep makes thousands."""

    __slots__ = ()
