"""Kernel events without syscalls: ``perf record -e 'kvm:*'``, or tracefs with kvm:* alone.

State ioctls are not in such a log. What it does show is whether each read was completed: the
``read`` event comes at completion. A read that is asked for again, or followed by an exit of
another kind, without one was abandoned: its vCPU was saved there and went on elsewhere. That is
told from the absence of an event, so it holds only in a log that has such events at all.

``kvm_userspace_exit`` after EINTR reads ``restart (4)`` in tracefs. perf script and ``trace-cmd
report`` print the *stale* reason instead, so there an exit that no access belongs to is taken for
EINTR, and for port input, where no event belongs to the exit, nothing can be said.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from kvmexit.kernel.exit_table import numbers
from kvmexit.tracelint import doubts
from kvmexit.tracelint.accesses import MMIO, PIO, Accesses
from kvmexit.tracelint.doubts import Doubt
from kvmexit.tracelint.effects import ABANDONED, IO, MMIO as MMIO_EXIT
from kvmexit.tracelint.events import Access, Event, Kind
from kvmexit.tracelint.identity import Group, Threads, Vcpu
from kvmexit.tracelint.rule import EINTR

REASON = re.compile(rb"kvm_userspace_exit:\s+reason (\S+) \((\d{1,10})\)\s*$")
_BOUND = re.compile(rb"kvm_(?:entry|exit|emulate_insn):")
_COMPLETES = {IO: "kvm_pio", MMIO_EXIT: "kvm_mmio"}
_UNNAMED = 31
"""The first number for which the kernel's trace points have no name: from here on none is shown."""


def reason_of(name: bytes, number: int) -> tuple[int | None, str]:
    """The exit that a trace point names; or what it is called, if the table does not have it."""
    text = name.decode("ascii", "replace")
    if text.startswith("KVM_EXIT_"):
        known = numbers().get(text)
        return (known, "") if known is not None else (None, text)
    return (number, "") if number >= _UNNAMED else (None, str(number))


class _Guest:
    """The vCPU that a thread runs, as far as a bare log can tell."""

    __slots__ = ("accesses", "ambiguous", "asked", "owed", "pending", "vcpu")

    def __init__(self, thread: int, inside: set[str], threads: Threads) -> None:
        self.vcpu = Vcpu(f"the vCPU of thread {thread}", Group(threads))
        self.vcpu.runner = thread
        self.accesses = Accesses(inside)
        self.pending: Access | None = None  # a read that exited and was not completed
        self.owed = 0  # exits that accesses seen so far will cause
        self.asked: tuple[int, bytes] | None = None  # the line of the read that will cause one
        self.ambiguous: Doubt | None = None  # why the last exit may have been port input, or not


class Bare:
    """Turns kvm:* events alone into events. ``stale``: the tool prints stale reasons at EINTR."""

    def __init__(self, inside: set[str], threads: Threads) -> None:
        self.stale = False
        self._inside, self._threads = inside, threads
        self._guests: dict[int, _Guest] = {}

    def forget(self) -> None:
        """Lines are missing here."""
        self._guests.clear()

    def take(
        self, number: int, line: bytes, thread: int, event: bytes
    ) -> Generator[Event, None, bool]:
        """One event; the generator's return value says whether it was understood."""
        guest = self._guests.get(thread)
        if guest is None:
            guest = self._guests[thread] = _Guest(thread, self._inside, self._threads)
        if exit := REASON.search(event):
            yield from self._exit(number, line, thread, guest, exit[1], int(exit[2]))
            return True
        if self._asks(guest, event):
            guest.asked = number, line
            if guest.pending:
                yield self._abandoned(number, line, thread, guest)
        return guest.accesses.take(event)

    def _asks(self, guest: _Guest, event: bytes) -> bool:
        """Keep count of what the guest asks for; whether ``event`` is a new read."""
        mmio, pio = MMIO.search(event), PIO.search(event)
        if (mmio and mmio[1] == b"read") or (pio and pio[1] == b"read"):
            guest.pending, guest.ambiguous = None, None
        elif mmio and mmio[1] == b"unsatisfied-read":
            guest.owed = 1
            return True
        elif mmio or pio:
            guest.owed += 1
        elif _BOUND.search(event):
            guest.owed = 0  # served inside the kernel
        return False

    def _exit(
        self, number: int, line: bytes, thread: int, guest: _Guest, name: bytes, reason: int
    ) -> Iterator[Event]:
        if guest.ambiguous:
            yield Event(Kind.LOST, number, line, guest.vcpu, thread, doubt=guest.ambiguous)
            guest.ambiguous = None
        guest.asked = None
        if name == b"restart":
            self.stale = False
        result = self._result(guest, name, reason)
        if guest.pending and not self._same_access(guest, result, reason):
            yield self._abandoned(number, line, thread, guest)
        access, needs = None, ""
        if result == 0:  # that no read is left shows in events of its completion only
            needs = _COMPLETES.get(reason, "")
            blind = guest.accesses.blind
            access = guest.accesses.at_exit(reason)
            if access and access.direction == "read":
                guest.ambiguous = doubts.STALE if self.stale and reason == IO else None
                guest.pending = None if guest.ambiguous else access
            elif access is None and reason == IO and not blind:
                guest.ambiguous = doubts.INSIDE
            guest.owed = max(guest.owed - 1, 0) if reason in (2, 6) else 0
        else:
            needs = "kvm_mmio" if name != b"restart" and result == EINTR else ""
            guest.accesses.done()
            guest.owed = 0
        why, unknown = reason_of(name, reason) if result == 0 else (None, "")
        yield Event(
            Kind.RETURN, number, line, guest.vcpu, thread, unknown, result, why, access, needs=needs
        )

    def _result(self, guest: _Guest, name: bytes, reason: int) -> int | None:
        """What KVM_RUN returned. Completion precedes EINTR: an uncompleted read rules it out."""
        if name in (b"restart", b"error"):
            return EINTR if name == b"restart" else None
        unexplained = reason == 6 and not guest.owed and guest.pending is None
        return EINTR if self.stale and unexplained else 0

    def _same_access(self, guest: _Guest, result: int | None, reason: int) -> bool:
        """Whether an exit while a read is pending can be the next fragment of that read."""
        fragment = guest.pending is not None and guest.pending.where.startswith("gpa")
        return result == 0 and reason == 6 and fragment

    def _abandoned(self, number: int, line: bytes, thread: int, guest: _Guest) -> Event:
        port = guest.pending and not guest.pending.where.startswith("gpa")
        guest.pending = None
        needs = "kvm_pio" if port else "kvm_mmio"
        return Event(Kind.ABANDONED, number, line, guest.vcpu, thread, ABANDONED, needs=needs)

    def end(self) -> Iterator[Event]:
        """A read that was asked for, and whose exit the log no longer has, proves nothing; of one
        whose exit is there the judge knows."""
        for thread, guest in self._guests.items():
            if guest.owed and guest.asked:
                line, text = guest.asked
                doubt = doubts.ENDS_PENDING
                yield Event(Kind.LOST, line, text, guest.vcpu, thread, doubt=doubt)
