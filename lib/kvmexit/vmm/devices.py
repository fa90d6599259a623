"""Devices behind the exits: the TPM's TIS interface and its variants.

A device has four methods. ``read`` and ``write`` get an offset from the device's base and
may have side effects: that is what this book is about. ``save`` and ``load`` move its state,
an immutable value that can be compared, as a VMM's migration code does.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from kvmexit.errors import KvmExitError, said
from kvmexit.guest.tis_registers import (
    BUFFER_SIZE,
    COMMAND_READY,
    DATA_AVAIL,
    DATA_FIFO,
    FAMILY_TPM2,
    INDEX,
    RESPONSE_RETRY,
    STS,
    VALID,
    XDATA_FIFO,
)
from kvmexit.kernel.arguments import whole


class Device(Protocol):
    """What a bus can carry."""

    def read(self, offset: int, size: int) -> bytes:
        """``size`` bytes from ``offset``, side effects included."""
        ...

    def write(self, offset: int, data: bytes) -> None:
        """``data`` to ``offset``."""
        ...

    def save(self) -> Hashable:
        """The whole state, as a value."""
        ...

    def load(self, state: Any) -> None:
        """Become ``state``."""
        ...


@dataclass(frozen=True, slots=True)
class TisState:
    """State of a TIS with one response in it.

    ``offset`` is the next byte of the response that a read will pop; ``discarded`` how many
    bytes lay unread when the driver said that it was done with them.
    """

    response: bytes
    offset: int = 0
    status: int = VALID | DATA_AVAIL
    index: int = 0
    discarded: int = 0


class Tis:
    """TPM TIS, locality 0, a response waiting: every read of the FIFO pops a byte.

    ``past_end`` is what a read behind the last byte returns: 0xff in QEMU's model
    (``TPM_TIS_NO_DATA_BYTE``), 0x00 in the device of the 2011 report. The burst count is the
    number of bytes left. Source: hw/tpm/tpm_tis_common.c.
    """

    name = "tis"

    def __init__(self, response: bytes, past_end: int = 0xFF) -> None:
        if not isinstance(response, bytes):
            raise KvmExitError(f"a response is bytes, not {said(response)}")
        if not 1 <= len(response) <= BUFFER_SIZE:
            raise KvmExitError(
                f"a response has 1 to {BUFFER_SIZE} bytes, this one has {len(response)}"
            )
        if not whole(past_end) or not 0 <= past_end <= 0xFF:
            raise KvmExitError(f"past_end is a byte, 0 to 255, not {said(past_end)}")
        self.state = TisState(response)
        self.past_end = past_end
        self.reads = self.taken = 0  # accesses to the response, and bytes that they returned

    def ended(self) -> Any:
        """What of it must be the same at the end of two runs."""
        return self.save()

    @property
    def left_over(self) -> int:
        """Bytes of the response that the driver left unread."""
        state = self.state
        if not state.status & DATA_AVAIL:
            return state.discarded
        return len(state.response) - state.offset

    def is_data(self, offset: int) -> bool:
        """Is ``offset`` a place where the response is read?"""
        return DATA_FIFO <= offset < DATA_FIFO + 4 or XDATA_FIFO <= offset < XDATA_FIFO + 0x40

    def read(self, offset: int, size: int) -> bytes:
        if self.is_data(offset):
            self.reads += 1
            self.taken += size
            return self.take(size)
        if STS <= offset < STS + 4:
            first = offset - STS
            return self.status_word(size).to_bytes(4, "little")[first:].ljust(size, b"\xff")[:size]
        return b"\xff" * size

    def status_word(self, size: int) -> int:
        """The STS register: interface family, burst count in bits 8..23, status in bits 0..7."""
        state = self.state
        if state.status & DATA_AVAIL:
            burst = len(state.response) - self.position
        else:
            burst = BUFFER_SIZE - state.offset
            if size == 1:
                burst = min(burst, 0xFF)  # a byte-wide read must not see 0x00 of 0x100
        return FAMILY_TPM2 | burst << 8 | state.status

    @property
    def position(self) -> int:
        """The response's next byte."""
        return self.state.offset

    def take(self, size: int) -> bytes:
        """Pop ``size`` bytes; behind the last one there is only ``past_end``."""
        state = self.state
        if not state.status & DATA_AVAIL:
            return bytes([self.past_end]) * size
        end = min(state.offset + size, len(state.response))
        data = state.response[state.offset : end]
        status = VALID if end == len(state.response) else state.status
        self.state = replace(state, offset=end, status=status)
        return data.ljust(size, bytes([self.past_end]))

    def write(self, offset: int, data: bytes) -> None:
        if offset != STS:
            return
        state = self.state
        if data[0] & COMMAND_READY:
            self.state = replace(
                state, offset=0, index=0, status=COMMAND_READY, discarded=self.left_over
            )
        elif data[0] & RESPONSE_RETRY and state.status & VALID:
            self.state = replace(state, offset=0, index=0, status=VALID | DATA_AVAIL)

    def save(self) -> TisState:
        return self.state

    def load(self, state: TisState) -> None:
        self.state = state


class TisIndexed(Tis):
    """The report's workaround: the guest says which byte it wants, and reading has no effect.

    The driver writes the index of the next byte to ``INDEX`` and reads it at ``DATA_FIFO`` as
    often as it likes. Data is available as long as the index is inside the response.
    """

    name = "tis-indexed"

    @property
    def position(self) -> int:
        return self.state.index

    @property
    def left_over(self) -> int:
        state = self.state
        if not state.status & DATA_AVAIL:
            return state.discarded
        return len(state.response) - state.index

    def take(self, size: int) -> bytes:
        state = self.state
        data = state.response[state.index : state.index + size]
        return data.ljust(size, bytes([self.past_end]))

    def write(self, offset: int, data: bytes) -> None:
        if offset != INDEX:
            super().write(offset, data)
            return
        index = min(int.from_bytes(data, "little"), len(self.state.response))
        status = VALID | (DATA_AVAIL if index < len(self.state.response) else 0)
        self.state = replace(self.state, index=index, status=status)


def tis_2011(response: bytes) -> Tis:
    """The device of the report: a byte past the end is zero."""
    device = Tis(response, past_end=0x00)
    device.name = "tis-2011"
    return device


DEVICES: dict[str, Callable[[bytes], Tis]] = {
    "tis": Tis,
    "tis-2011": tis_2011,
    "tis-indexed": TisIndexed,
}
