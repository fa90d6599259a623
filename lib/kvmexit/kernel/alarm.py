"""A request that comes by itself: a timer of the kernel that signals the thread of a vCPU.

A second thread of Python would be no random host. It may ask only while it holds the lock of the
interpreter, and the VMM holds that while it serves: such a request waits until the VMM is inside
KVM_RUN. The kernel's timer waits for nobody.

The signal is blocked outside KVM_RUN and let through inside, which is what KVM_SET_SIGNAL_MASK is
for: one that comes outside stays pending, and the next KVM_RUN completes what there is to complete
and returns EINTR. That is how a vCPU was kicked before there was ``immediate_exit``, in 2011 too.

Source: Documentation/virt/kvm/api.rst, KVM_SET_SIGNAL_MASK; timer_create(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from typing import Self

from kvmexit.kernel.kick import kick_signal
from kvmexit.kernel.protocol import Vcpu
from kvmexit.kernel.real import RealVcpu

_SYS_TIMER_CREATE, _SYS_TIMER_SETTIME, _SYS_TIMER_DELETE = 222, 223, 226
_CLOCK_MONOTONIC, _SIGEV_THREAD_ID = 1, 4
_NANO = 10**9

_libc = ctypes.CDLL(None, use_errno=True)


class _Sigevent(ctypes.Structure):
    """``struct sigevent``: ``union sigval value; int signo; int notify; int tid;`` and padding."""

    _fields_ = (
        ("value", ctypes.c_uint64),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("tid", ctypes.c_int),
        ("padding", ctypes.c_uint8 * 44),
    )


class _Itimerspec(ctypes.Structure):
    """``struct itimerspec``: two times, each ``time_t tv_sec; long tv_nsec;``."""

    _fields_ = tuple(
        (name, ctypes.c_int64) for name in ("every", "every_nano", "seconds", "nanoseconds")
    )


class Alarm:
    """An alarm clock for the thread that makes it, which must be the one that runs the vCPU.

    A context manager: ``with`` blocks the signal, and gives timer and mask back at its end.
    """

    def __enter__(self) -> Self:
        self._signal = {kick_signal()}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, self._signal)
        event = _Sigevent(0, kick_signal(), _SIGEV_THREAD_ID, threading.get_native_id())
        self._timer = ctypes.c_int()
        if _libc.syscall(
            _SYS_TIMER_CREATE, _CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer)
        ):
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            raise OSError(ctypes.get_errno(), f"timer_create: {os.strerror(ctypes.get_errno())}")
        return self

    def __exit__(self, *_: object) -> None:
        _libc.syscall(_SYS_TIMER_DELETE, self._timer)
        self.rung()  # unblocked it would be handled
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def wakes(self, vcpu: Vcpu) -> None:
        """Let the signal end KVM_RUN of ``vcpu``, a real one. Each new vCPU has to be told."""
        assert isinstance(vcpu, RealVcpu)
        vcpu.unblock_signals()

    def ring_in(self, seconds: float) -> None:
        """Ring once, so many seconds from now."""
        nanoseconds = max(1, round(seconds * _NANO))  # 0 would disarm it
        when = _Itimerspec(0, 0, *divmod(nanoseconds, _NANO))
        _libc.syscall(_SYS_TIMER_SETTIME, self._timer, 0, ctypes.byref(when), None)

    def rung(self) -> bool:
        """Has it rung? It says so once."""
        return signal.sigtimedwait(self._signal, 0) is not None

    def rings_within(self, seconds: float) -> bool:
        """Sleep until it rings, or for so long. True if it has rung."""
        return signal.sigtimedwait(self._signal, max(0.0, seconds)) is not None
