"""Kernel events without syscalls: ``perf record -e 'kvm:*'``, or tracefs with kvm:* alone.

State ioctls are not in such a log. What it does show is whether each read was completed: the
``read`` event comes at completion. A read that is asked for again, or followed by an exit of
another kind, without one was abandoned: its vCPU was saved there and went on elsewhere.

``kvm_userspace_exit`` after EINTR reads ``restart (4)`` in tracefs. perf script prints the
*stale* reason instead, so there an exit that no access belongs to is taken for EINTR, and
for port input, where no event belongs to the exit, nothing can be said.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from kvmexit.tracelint.accesses import MMIO, PIO, Accesses
from kvmexit.tracelint.events import Access, Event, Kind, Vcpu
from kvmexit.tracelint.rule import ABANDONED, EINTR, ENDS_PENDING

_REASON = re.compile(rb"kvm_userspace_exit:\s+reason (\S+) \((\d{1,10})\)\s*$")


_AMBIGUOUS = (
    "perf prints the stale reason after EINTR, so an exit here is port input or EINTR:"
    " record the ioctls too"
)


class _Guest:
    """The vCPU that a thread runs, as far as a bare log can tell."""

    __slots__ = ("accesses", "ambiguous", "asked", "owed", "pending", "vcpu")

    def __init__(self, thread: int) -> None:
        self.vcpu = Vcpu(f"the vCPU of thread {thread}")
        self.accesses = Accesses()
        self.pending: Access | None = None  # a read that exited and was not completed
        self.owed = 0  # exits that accesses seen so far will cause
        self.asked: tuple[int, bytes] | None = None  # the line of the read that will cause one
        self.ambiguous = False  # the last exit may have been port input, or EINTR


class Bare:
    """Turns kvm:* events alone into events."""

    def __init__(self, stale_reasons: bool) -> None:
        self._stale = stale_reasons
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
            guest = self._guests[thread] = _Guest(thread)
        if exit := _REASON.search(event):
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
            guest.pending, guest.ambiguous = None, False
        elif mmio and mmio[1] == b"unsatisfied-read":
            guest.owed = 1
            return True
        elif mmio or pio:
            guest.owed += 1
        return False

    def _exit(
        self, number: int, line: bytes, thread: int, guest: _Guest, name: bytes, reason: int
    ) -> Iterator[Event]:
        if guest.ambiguous:
            yield Event(Kind.LOST, number, line, guest.vcpu, thread, _AMBIGUOUS)
            guest.ambiguous = False
        guest.asked = None
        result = self._result(guest, name, reason)
        if guest.pending and not self._same_access(guest, result, reason):
            yield self._abandoned(number, line, thread, guest)
        access = None
        if result == 0:
            access = guest.accesses.at_exit(reason)
            if access and access.direction == "read":
                guest.ambiguous = self._stale and reason == 2
                guest.pending = None if guest.ambiguous else access
            guest.owed = max(guest.owed - 1, 0) if reason in (2, 6) else 0
        else:
            guest.accesses.done()
            guest.owed = 0
        why = reason if result == 0 else None
        yield Event(Kind.RETURN, number, line, guest.vcpu, thread, "", result, why, access)

    def _result(self, guest: _Guest, name: bytes, reason: int) -> int | None:
        """What KVM_RUN returned. Completion precedes EINTR: an uncompleted read rules it out."""
        if name in (b"restart", b"error"):
            return EINTR if name == b"restart" else None
        unexplained = reason == 6 and not guest.owed and guest.pending is None
        return EINTR if self._stale and unexplained else 0

    def _same_access(self, guest: _Guest, result: int | None, reason: int) -> bool:
        """Whether an exit while a read is pending can be the next fragment of that read."""
        fragment = guest.pending is not None and guest.pending.where.startswith("gpa")
        return result == 0 and reason == 6 and fragment

    def _abandoned(self, number: int, line: bytes, thread: int, guest: _Guest) -> Event:
        guest.pending = None
        return Event(Kind.ABANDONED, number, line, guest.vcpu, thread, ABANDONED)

    def end(self) -> Iterator[Event]:
        """A read that was asked for, and whose exit the log no longer has, proves nothing; of one
        whose exit is there the judge knows."""
        for thread, guest in self._guests.items():
            if guest.owed and guest.asked:
                yield Event(Kind.LOST, *guest.asked, guest.vcpu, thread, ENDS_PENDING)
