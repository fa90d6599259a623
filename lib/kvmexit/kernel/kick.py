"""How a thread is got out of KVM_RUN: the kick, and the watchdog that uses it.

A signal alone is not enough: one that arrives just before KVM_RUN is handled before KVM_RUN,
and the guest runs on. ``immediate_exit`` alone is not enough: the kernel looks at it once, on
entry. Set the field first and signal afterwards, and one of the two is always seen.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
import weakref
from functools import cache
from typing import Protocol

_SYS_TGKILL = 234
_TICK = 0.05
"""Seconds between two looks of the watchdog."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.signal.restype = ctypes.c_void_p
_libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)


@cache
def kick_signal() -> int:
    """A real-time signal that this process handles by doing nothing.

    Its handler is the C library's ``abs``: it takes the signal's number and touches no memory.
    A Python handler would not do. Only the main thread may install one, and one that raises
    loses what KVM_RUN returned.
    """
    harmless = ctypes.cast(_libc.abs, ctypes.c_void_p)
    for number in range(signal.SIGRTMIN + 4, signal.SIGRTMAX):
        previous = _libc.signal(number, harmless)
        if previous is None:  # SIG_DFL: nobody else uses it
            return number
        _libc.signal(number, previous)
    raise RuntimeError("every real-time signal of this process is in use")


def interrupt(thread: int) -> None:
    """Signal the thread of this process with the kernel's id ``thread``; if it is gone, nothing.

    ``pthread_kill`` would be undefined for a thread that has ended; tgkill answers ESRCH.
    """
    _libc.syscall(_SYS_TGKILL, os.getpid(), thread, kick_signal())


class Watched(Protocol):
    """A vCPU as its watchdog sees it."""

    limit: float
    """Seconds that one KVM_RUN may take."""
    entries: int
    """How often KVM_RUN was called."""
    thread: int
    """The kernel's id of the thread inside KVM_RUN, or 0."""
    expired: bool
    """Set by the watchdog when it kicks."""

    def kick(self) -> None: ...


class Watchdog:
    """One thread for all vCPUs of the process: kicks those that one KVM_RUN keeps too long.

    It compares two looks at the vCPU's own counters, so an entry costs the vCPU two
    assignments and no system call for a timer. The thread sleeps while nothing is watched.
    """

    def __init__(self) -> None:
        self._seen: weakref.WeakKeyDictionary[Watched, tuple[int, float]]
        self._seen = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._running: threading.Thread | None = None

    def watch(self, vcpu: Watched) -> None:
        """Look after ``vcpu`` until ``release``."""
        with self._lock:
            self._seen[vcpu] = (-1, 0.0)
            self._wake.set()
            if self._running is None:
                self._running = threading.Thread(target=self._loop, name="kvm-watchdog", daemon=True)
                self._running.start()

    def release(self, vcpu: Watched) -> None:
        """Look after ``vcpu`` no longer."""
        with self._lock:
            self._seen.pop(vcpu, None)

    def _loop(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(_TICK)
            with self._lock:
                self._look(time.monotonic())
                if not self._seen:
                    self._wake.clear()

    def _look(self, now: float) -> None:
        for vcpu, (entries, since) in list(self._seen.items()):
            if not vcpu.thread or vcpu.entries != entries:
                self._seen[vcpu] = (vcpu.entries, now)
            elif now - since >= vcpu.limit:
                vcpu.expired = True
                vcpu.kick()


watchdog = Watchdog()


def _after_fork() -> None:
    """A child has none of its parent's threads, and may not use its parent's VMs."""
    global watchdog
    watchdog = Watchdog()


os.register_at_fork(after_in_child=_after_fork)
