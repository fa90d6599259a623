"""The simulated ``struct kvm_run``: the page that both sides write."""

from __future__ import annotations

from kvmexit.exits import MmioRead, MmioWrite, OtherExit, PioIn, PioOut, Rdmsr, VcpuExit, Wrmsr
from kvmexit.kernel import arguments, msrs
from kvmexit.kernel.lifetime import Unique
from kvmexit.kernel.vm import shown

IO_BYTES = 4096
WIDEST = 8
"""Bytes that one MMIO exit can carry: ``kvm_run.mmio.data``."""

# The exits share one union in the page: where ``mmio.data`` lies, ``io.data_offset`` lies too,
# and ``msr.reason`` with ``msr.index``. An MMIO read that nobody answers gets those.
_IO_OVERLAY = IO_BYTES.to_bytes(8, "little")


class SimulatedRun(Unique):
    """The shared page. Answers lie in it until something else is written over them."""

    __slots__ = ("_data", "_exit", "_io", "_msr", "_reason", "refused", "stop")

    def __init__(self) -> None:
        self.stop = 0
        """The byte ``immediate_exit``, as the kernel's side reads it."""
        self._reason = 0
        self.refused = False
        """``msr.error``."""
        self._exit: VcpuExit = OtherExit(0)
        self._data = bytearray(WIDEST)
        self._io = bytearray(IO_BYTES)
        self._msr = bytearray(8)

    @property
    def immediate_exit(self) -> int:
        """1: the next KVM_RUN completes what is pending and returns EINTR. Not self-clearing."""
        return self.stop

    @immediate_exit.setter
    def immediate_exit(self, value: int) -> None:
        self.stop = arguments.immediate_exit(value)

    @property
    def exit_reason(self) -> int:
        """The number of the last exit. Stale after EINTR."""
        return self._reason

    @exit_reason.setter
    def exit_reason(self, value: int) -> None:
        """The page is userspace's as well: some kernels look at this field on entry."""
        self._reason = arguments.exit_reason(value)

    def __repr__(self) -> str:
        return shown(self, self)

    def exit(self) -> VcpuExit:
        return self._exit

    def answer(self, data: bytes) -> None:
        if type(data) is not bytes:
            data = arguments.answer(data)
        exit = self._exit
        if isinstance(exit, MmioRead):
            data = data[: exit.size]  # `put`, without the cost of the call
            self._data[: len(data)] = data
        elif isinstance(exit, PioIn):
            put(self._io, data, exit.size * exit.count)
        elif isinstance(exit, Rdmsr):
            put(self._msr, data, 8)
        else:
            raise arguments.nothing_to_answer(exit)

    def refuse(self) -> None:
        if not isinstance(self._exit, Rdmsr | Wrmsr):
            raise arguments.nothing_to_refuse(self._exit)
        self.refused = True

    def report(self, exit: VcpuExit) -> VcpuExit:
        """The kernel's side: describe ``exit``. Only the bytes of a write reach the data."""
        self._exit = exit
        if isinstance(exit, MmioRead):  # the most frequent, and it leaves the data as it is
            self._reason = exit.reason
            return exit
        self._reason = exit.exit_reason if isinstance(exit, OtherExit) else exit.reason
        if isinstance(exit, MmioWrite):
            self._data[: len(exit.data)] = exit.data
        elif isinstance(exit, PioOut):
            self._io[: len(exit.data)] = exit.data
            self._data[:] = _IO_OVERLAY
        elif isinstance(exit, PioIn):
            self._io[: exit.size * exit.count] = bytes(exit.size * exit.count)
            self._data[:] = _IO_OVERLAY
        elif isinstance(exit, Rdmsr | Wrmsr):
            self._msr[:], self.refused = bytes(8), False
            self._data[:] = _msr_overlay(exit)
        return exit

    def not_emulated(self, fetched: bool) -> None:
        """The kernel's side: ``emulation_failure.flags``, which lie where ``mmio.data`` does, say
        whether bytes of the instruction follow. Source: ``prepare_emulation_failure_exit``,
        arch/x86/kvm/x86.c."""
        self._data[:] = int(fetched).to_bytes(WIDEST, "little")

    def names(self, exit: VcpuExit) -> bool:
        """The kernel's side: does ``exit_reason``, which userspace can write, still name it?"""
        reason = exit.exit_reason if isinstance(exit, OtherExit) else exit.reason
        return self._reason == reason

    def answered(self, exit: VcpuExit) -> bytes:
        """The kernel's side: what userspace left where the answer to ``exit`` belongs."""
        if isinstance(exit, MmioRead):
            return bytes(self._data[: exit.size])
        if isinstance(exit, PioIn):
            return bytes(self._io[: exit.size * exit.count])
        return bytes(self._msr)


def put(place: bytearray, data: bytes, size: int) -> None:
    """An answer of ``size`` bytes: too many are cut off, too few leave old ones behind them."""
    data = data[:size]
    place[: len(data)] = data


def _msr_overlay(exit: Rdmsr | Wrmsr) -> bytes:
    """``msr.reason`` and ``msr.index``."""
    if isinstance(exit, Rdmsr):
        reason = msrs.read(exit.index)
    else:
        reason = msrs.write(exit.index, exit.value)
    return reason.to_bytes(4, "little") + exit.index.to_bytes(4, "little")
