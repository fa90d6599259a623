"""A device of the labs, on which one instruction can take many exits.

Its FIFO can be read in a window across the end of a page as well. Across another it has a store
of bytes, which at first holds a copy of the response; what is written there can be read again. So
an access there is split by the page, and a read-modify-write, or a comparison of device with
device, is split, and reads more than once. It is made up: no TIS has either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kvmexit.guest.tis_registers import STORE, WINDOW
from kvmexit.vmm.devices import Tis, TisState

SIZE = 64
"""Bytes of the window, and of the store."""


@dataclass(frozen=True, slots=True)
class PagedState(TisState):
    """State of the device, with what was stored."""

    store: bytes = b""


class Paged(Tis):
    """A TIS with a window on its FIFO and a store, each across the end of a page."""

    name = "paged"
    state: PagedState

    def __init__(self, response: bytes) -> None:
        super().__init__(response)
        self.state = PagedState(response, store=response[:SIZE].ljust(SIZE, b"\0"))

    def is_data(self, offset: int) -> bool:
        return super().is_data(offset) or 0 <= offset - WINDOW < SIZE

    def read(self, offset: int, size: int) -> bytes:
        if 0 <= (at := offset - STORE) < SIZE:
            return self.state.store[at : at + size].ljust(size, b"\xff")
        return super().read(offset, size)

    def write(self, offset: int, data: bytes) -> None:
        if not 0 <= (at := offset - STORE) < SIZE:
            super().write(offset, data)
            return
        store = bytearray(self.state.store)
        store[at : at + len(data)] = data[: SIZE - at]
        self.state = replace(self.state, store=bytes(store))
