"""``struct kvm_run``: the page that the kernel fills and userspace reads.

This is the hot path of the binding. What describes an exit lies in 48 bytes; they are taken
out as one key, and a table knows the typed exit that they mean and where its answer belongs.
A FIFO's loop makes the same few exits thousands of times, so nearly every exit is found there.
"""

from __future__ import annotations

import mmap
from struct import Struct
from typing import TypeAlias

from kvmexit.exits import (
    Debug,
    Hlt,
    InternalError,
    MmioRead,
    MmioWrite,
    OtherExit,
    PioIn,
    PioOut,
    Rdmsr,
    Reason,
    Shutdown,
    VcpuExit,
    Wrmsr,
)
from kvmexit.kernel import abi, arguments
from kvmexit.kernel.lifetime import Unique
from kvmexit.kernel.ram import NO_BYTES
from kvmexit.kernel.vm import shown

NOWHERE = None
"""Where the answer to an exit belongs that asks for none."""
TABLE_LIMIT = 1 << 14
"""Entries after which the table is emptied: it holds data of writes, so it could grow for ever."""

KEY = slice(abi.EXIT_REASON, abi.EXIT + 24)
"""From ``exit_reason`` to the end of ``mmio.is_write``, and of ``msr.data``."""
_reason = Struct("<I").unpack_from
_mmio = Struct("<24xQ8sIB").unpack_from
_io = Struct("<24xBBHIQ").unpack_from
_msr = Struct("<24x8xIIQ").unpack_from
_debug = Struct("<24xI4xQQ").unpack_from
_suberror = Struct("<24xI").unpack_from


Described: TypeAlias = tuple[VcpuExit, slice | None]
"""An exit, and the bytes of the page in which the kernel looks for its answer."""

TABLE: dict[bytes, Described] = {}
"""What the bytes of ``KEY`` mean, for the exits met so far by any vCPU."""


class RealRun(Unique):
    """``struct kvm_run``, mapped. Nothing is copied but the key of the exit."""

    __slots__ = ("_page", "place")

    place: slice | None
    """Where in the page the answer to the last exit belongs."""

    def __init__(self, page: mmap.mmap) -> None:
        self._page = page
        self.place = NOWHERE

    @property
    def immediate_exit(self) -> int:
        """1: the next KVM_RUN completes what is pending and returns EINTR. Not self-clearing."""
        return self._page[abi.IMMEDIATE_EXIT]

    @immediate_exit.setter
    def immediate_exit(self, value: int) -> None:
        self._page[abi.IMMEDIATE_EXIT] = arguments.immediate_exit(value)

    @property
    def exit_reason(self) -> int:
        """The number of the last exit. Stale after EINTR."""
        reason: int = _reason(self._page, abi.EXIT_REASON)[0]
        return reason

    @exit_reason.setter
    def exit_reason(self, value: int) -> None:
        """The page is userspace's as well: some kernels look at this field on entry."""
        reason = arguments.exit_reason(value)
        self._page[abi.EXIT_REASON : abi.EXIT_REASON + 4] = reason.to_bytes(4, "little")

    def __repr__(self) -> str:
        return shown(self, self)

    def exit(self) -> VcpuExit:
        """The exit that the page describes now. Stale after EINTR."""
        try:
            exit, self.place = TABLE[self._page[KEY]]
        except KeyError:
            exit, self.place = self._describe(self._page[KEY])
        return exit

    def answer(self, data: bytes) -> None:
        """Put ``data`` where the kernel looks on the next entry.

        Too many bytes are cut off; too few leave old bytes behind them, as in C. Raises
        KvmExitError if the page describes no read: there is no place for an answer.
        """
        try:
            # Only the right number of bytes fits.
            self._page[self.place] = data  # type: ignore[index]  # no place: TypeError
        except (IndexError, *NO_BYTES):
            self._answer_otherwise(arguments.answer(data))

    def refuse(self) -> None:
        """Set ``msr.error``, which the next entry turns into #GP. Raises KvmExitError if the page
        describes no access to an MSR."""
        if not isinstance(exit := self.exit(), Rdmsr | Wrmsr):
            raise arguments.nothing_to_refuse(exit)
        self._page[abi.MSR_ERROR] = 1

    def _answer_otherwise(self, data: bytes) -> None:
        if self.place is None:
            raise arguments.nothing_to_answer(self.exit())
        start, stop = self.place.start, self.place.stop
        data = data[: stop - start]
        self._page[start : start + len(data)] = data

    def _describe(self, key: bytes) -> Described:
        """Read the page field by field, and remember what was found."""
        reason = _reason(key)[0]
        described = self._decode(reason, key)
        if not isinstance(described[0], PioOut):  # its data is not in the key: see _pio
            if len(TABLE) >= TABLE_LIMIT:
                TABLE.clear()
            TABLE[key] = described
        return described

    def _decode(self, reason: int, key: bytes) -> Described:
        match reason:
            case Reason.MMIO:
                gpa, data, size, is_write = _mmio(key)
                if is_write:
                    return (MmioWrite(gpa, data[:size]), NOWHERE)
                place = slice(abi.MMIO_DATA, abi.MMIO_DATA + size)
                return (MmioRead(gpa, size), place)
            case Reason.IO:
                return self._pio(*_io(key))
            case Reason.X86_RDMSR:
                place = slice(abi.MSR_DATA, abi.MSR_DATA + 8)
                return (Rdmsr(_msr(key)[1]), place)
            case Reason.X86_WRMSR:
                return (Wrmsr(*_msr(key)[1:]), NOWHERE)
            case Reason.HLT:
                return (Hlt(), NOWHERE)
            case Reason.SHUTDOWN:
                return (Shutdown(), NOWHERE)
            case Reason.DEBUG:
                return (Debug(*_debug(key)), NOWHERE)
            case Reason.INTERNAL_ERROR:
                return (InternalError(_suberror(key)[0]), NOWHERE)
        return (OtherExit(reason), NOWHERE)

    def _pio(self, direction: int, size: int, port: int, count: int, start: int) -> Described:
        """The data of port I/O lies elsewhere in the page, outside the key."""
        place = slice(start, start + size * count)
        if direction == abi.KVM_EXIT_IO_IN:
            return (PioIn(port, size, count), place)
        return (PioOut(port, size, count, self._page[place]), NOWHERE)
