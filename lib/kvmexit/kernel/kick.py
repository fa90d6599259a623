"""How a thread is got out of KVM_RUN: the kick, and the watchdog that uses it.

A signal alone is not enough: one that arrives just before KVM_RUN is handled before KVM_RUN,
and the guest runs on. ``immediate_exit`` alone is not enough: the kernel looks at it once, on
entry. Set the field first and signal afterwards, and one of the two is always seen.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from types import CodeType, FrameType
from typing import Any, NamedTuple, Protocol, TypeVar

from kvmexit.errors import KvmExitError

Run = TypeVar("Run", bound=Callable[..., Any])

_SYS_TGKILL = 234
_TICK = 0.05
"""Seconds between two looks of the watchdog."""
_PATIENCE = 1.0
"""Seconds that are waited for a thread to come out of an ioctl."""

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


def interrupt(ident: int) -> None:
    """Signal the thread that Python calls ``ident``; if it has ended meanwhile, do nothing.

    ``pthread_kill`` is undefined for a thread that has ended, tgkill answers ESRCH. Only a
    thread that Python did not start has no kernel id here; such threads are the host's own.
    """
    for thread in threading.enumerate():
        if thread.ident == ident:
            _libc.syscall(_SYS_TGKILL, os.getpid(), thread.native_id, kick_signal())
            return
    signal.pthread_kill(ident, kick_signal())


class Watched(Protocol):
    """A vCPU as its watchdog sees it."""

    limit: float
    """Seconds that one KVM_RUN may take."""
    expired: bool
    """Set by the watchdog when it kicks."""

    def kick(self) -> None: ...


class Entry(NamedTuple):
    """One thread inside the method that makes KVM_RUN."""

    thread: int
    """``threading.get_ident()`` of it."""
    frame: FrameType
    """A new one for each call, so the same frame means the same entry."""
    vcpu: Watched


_run_codes: set[CodeType] = set()
_asking_codes: set[CodeType] = set()


def enters(run: Run) -> Run:
    """Mark the method that makes KVM_RUN. What it does is not changed, nor slowed."""
    _run_codes.add(run.__code__)
    return run


def asks(method: Run) -> Run:
    """Mark a method that makes another ioctl of the vCPU, by its descriptor."""
    _asking_codes.add(method.__code__)
    return method


def entries() -> list[Entry]:
    """Who is inside KVM_RUN now. No vCPU notes it, since Python knows what each thread does."""
    return [
        Entry(thread, frame, frame.f_locals["self"])
        for thread, frame in sys._current_frames().items()
        if frame.f_code in _run_codes
    ]


def wait_for_others(vcpu: object) -> None:
    """Return when no other thread is about to make, or is in, an ioctl of ``vcpu``: a descriptor
    that is closed under it may be another file's by then. ``vcpu`` lets nobody in any more."""
    give_up = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up:
        frames = sys._current_frames().items()
        inside = [
            (thread, frame.f_code in _run_codes)
            for thread, frame in frames
            if frame.f_code in _run_codes | _asking_codes and frame.f_locals["self"] is vcpu
        ]
        if not inside:
            return
        for thread, runs in inside:
            if runs:
                interrupt(thread)
        time.sleep(0.0005)


class Watchdog:
    """One thread for all vCPUs of the process: kicks those that one KVM_RUN keeps too long.

    It looks at what the other threads execute, so an entry pays nothing for being watched: no
    timer and no counter. The thread sleeps while there is no vCPU.
    """

    def __init__(self) -> None:
        self._vcpus: weakref.WeakSet[Watched] = weakref.WeakSet()
        self._since: dict[FrameType, float] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._running: threading.Thread | None = None

    def watch(self, vcpu: Watched) -> None:
        """Look after ``vcpu`` until ``release``."""
        with self._lock:
            self._vcpus.add(vcpu)
            self._wake.set()
            if self._running is None:
                self._running = threading.Thread(
                    target=self._loop, name="kvm-watchdog", daemon=True
                )
                self._running.start()

    def release(self, vcpu: Watched) -> bool:
        """Look after ``vcpu`` no longer. Was it looked after, in this process?"""
        with self._lock:
            watched = vcpu in self._vcpus
            self._vcpus.discard(vcpu)
        return watched

    def _loop(self) -> None:
        while True:
            self._wake.wait()
            time.sleep(_TICK)
            self._look(time.monotonic())
            with self._lock:
                if not self._vcpus:
                    self._wake.clear()

    def _look(self, now: float) -> None:
        inside = entries()
        self._since = {entry.frame: self._since.get(entry.frame, now) for entry in inside}
        for entry in inside:
            with suppress(KvmExitError):  # closed meanwhile, which has kicked it
                if now - self._since[entry.frame] >= entry.vcpu.limit:
                    entry.vcpu.expired = True
                    entry.vcpu.kick()


watchdog = Watchdog()


def _after_fork() -> None:
    """A child has none of its parent's threads, and may not use its parent's VMs."""
    global watchdog
    watchdog = Watchdog()


os.register_at_fork(after_in_child=_after_fork)
