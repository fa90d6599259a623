"""strace: one line a call, with ``-f``, any time stamp, ``-y``, and ``-e kvm=vcpu``.

``1234 18:45:39.77 ioctl(5<anon_inode:kvm-vcpu:0>, KVM_RUN, 0) = 0 (KVM_EXIT_MMIO)``

Without ``-e kvm=vcpu`` the exit reason is missing. Direction and address are always missing.
A call that another thread's line interrupts is split: ``<unfinished ...>``, ``resumed>``.

Most lines of a long log are the same KVM_RUN again: what follows ``ioctl`` is parsed once
and looked up from then on.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kvmexit.tracelint.events import Event, Kind, Vcpu
from kvmexit.tracelint.identity import Descriptors
from kvmexit.tracelint.ioctls import KVM_RUN, OF_BOTH, ROLES, Role
from kvmexit.tracelint.strace_line import (
    CLOSE,
    FOREIGN,
    MARK,
    Call,
    is_thread,
    may_be_entry,
    parse,
    thread_of,
    worth_a_look,
)

_CACHED = 4096


class _Open(NamedTuple):
    """A call that was begun, and where."""

    call: Call
    vcpu: Vcpu | None
    number: int
    line: bytes


class Strace:
    """Turns lines of a strace log into events."""

    shows_ioctls = True

    def __init__(self) -> None:
        self.repeated = 0
        self._fds = Descriptors()
        self._cache: dict[bytes, Call] = {}
        self._hot: dict[bytes, tuple[dict[bytes, Vcpu], Call]] = {}
        self._held: dict[Vcpu, tuple[int, bytes, Call] | None] = {}
        self._open: dict[bytes, _Open] = {}
        self._seen: set[int] = set()

    def feed(self, lines: list[bytes], first: int, whole: bool = True) -> Iterator[Event]:
        """Events of ``lines``, numbered from ``first``; not ``whole``: the last one is cut.

        Of KVM_RUNs that returned 0 one after the other, only the first and the last before
        something else happens are told: what lies between changes nothing.
        """
        hot, held, unfinished = self._hot, self._held, self._open
        last = -1 if whole else first + len(lines) - 1
        for number, line in enumerate(lines, first):
            start = line.find(b"ioctl")
            if start >= 0:
                known = hot.get(line[start:])
                if known is not None:
                    token = line[: line.find(b" ")]
                    begun = unfinished.get(token)
                    owners, call = known
                    if call.resumed:
                        vcpu = begun.vcpu if begun else None
                    elif begun or ((unfinished or call.begun) and not is_thread(token)):
                        vcpu = None
                    elif call.name == KVM_RUN:
                        vcpu = owners.get(token) or self._whose(line, known)
                    else:
                        continue  # an ioctl of KVM's that the rule does not care about
                    if vcpu is not None:
                        if call.begun:
                            unfinished[token] = _Open(call, vcpu, number, line)
                            if vcpu not in held:
                                yield Event(Kind.ENTRY, number, line, vcpu, int(token))
                            continue
                        if begun:
                            del unfinished[token]
                        if vcpu in held:
                            held[vcpu] = (number, line, call)
                            self.repeated += 1
                        else:
                            held[vcpu] = None
                            yield _returned(number, line, vcpu, thread_of(line), call)
                        continue
            if b"KVM_" in line or worth_a_look(line, start):
                if held:
                    yield from self._flush()
                yield from self._line(number, line, start, number == last)

    def _flush(self) -> Iterator[Event]:
        """Tell the last of the KVM_RUNs that were held back."""
        for vcpu, what in self._held.items():
            if what:
                number, line, call = what
                yield _returned(number, line, vcpu, thread_of(line), call)
        self.repeated -= sum(1 for what in self._held.values() if what)
        self._held.clear()

    def _whose(self, line: bytes, known: tuple[dict[bytes, Vcpu], Call]) -> Vcpu:
        vcpu = self._fds.find(thread_of(line), known[1].fd)
        token = line[: line.find(b" ")]
        if is_thread(token):
            known[0][token] = vcpu
        return vcpu

    # ------------------------------------------------------------------ one line

    def _line(self, number: int, line: bytes, start: int, cut: bool) -> Iterator[Event]:
        if line[:1] == b"#":
            if b" cut" in line:
                self._open.clear()
                self._seen.clear()
                yield Event(Kind.CUT, number, line)
            return
        thread = thread_of(line)
        call = self._parse(line, start) if start >= 0 else None
        if call is not None:
            yield from self._call(number, line, thread, call)
        elif start >= 0 and FOREIGN.search(line):
            if line.endswith(b"<unfinished ...>"):
                self._open[b"%d" % thread] = _Open(Call(-1, "", None, None), None, number, line)
        elif close := CLOSE.search(line):
            yield from self._closed(number, line, thread, int(close[1]))
        elif MARK.search(line):  # kvm=vcpu+ adds lines of its own: VCPU
            if b" exited with " in line or b" killed by " in line:
                self._open.pop(b"%d" % thread, None)
        elif number > 1:
            if not (cut and may_be_entry(line)):
                yield Event(Kind.LOST, number, line)
        self._seen.add(thread)

    def _parse(self, line: bytes, start: int) -> Call | None:
        """The call in ``line``; ``None`` if it is no ioctl of KVM's, or garbled."""
        tail = line[start:]
        if tail in self._cache:
            return self._cache[tail]
        call = parse(tail)
        if call is None:
            return None
        if len(self._cache) < _CACHED and len(tail) < 80:
            self._cache[tail] = call
            run = call.name == KVM_RUN and (call.begun or call.result == 0)
            dull = call.name and call.name not in ROLES and not call.begun
            if run or dull or (call.resumed and call.result == 0):
                self._hot[tail] = ({}, call)
        return call

    def _call(self, number: int, line: bytes, thread: int, call: Call) -> Iterator[Event]:
        if call.resumed:
            yield from self._resumed(number, line, thread, call)
            return
        if b"%d" % thread in self._open:  # its end is not in the log
            yield from self._resumed(number, line, thread, Call(-1, "", None, None))
        if not call.begun:
            yield from self._done(number, line, thread, call)
            return
        role = ROLES.get(call.name)
        vcpu = self._fds.find(thread, call.fd) if role is Role.RUN else None
        self._open[b"%d" % thread] = _Open(call, vcpu, number, line)
        if vcpu:
            yield Event(Kind.ENTRY, number, line, vcpu, thread)

    def _resumed(self, number: int, line: bytes, thread: int, end: Call) -> Iterator[Event]:
        begun = self._open.pop(b"%d" % thread, None)
        if begun is None:
            if thread in self._seen:
                yield Event(Kind.LOST, number, line)
        elif begun.vcpu:
            yield Event(Kind.RETURN, number, line, begun.vcpu, thread, "", end.result, end.reason)
        else:
            call = begun.call._replace(result=end.result, reason=end.reason)
            yield from self._done(begun.number, begun.line, thread, call)

    def _done(self, number: int, line: bytes, thread: int, call: Call) -> Iterator[Event]:
        fd, name, result = call.fd, call.name, call.result
        role = ROLES.get(name)
        if role is Role.RUN:
            vcpu = self._fds.find(thread, fd)
            yield Event(Kind.RETURN, number, line, vcpu, thread, "", result, call.reason)
        elif role is Role.SYSTEM and result is not None and result >= 0:
            yield from self._is_system(number, line, thread, fd)
        elif role in (Role.GET, Role.SET):
            if name == OF_BOTH and (b"</dev/kvm" in line or self._fds.is_system(thread, fd)):
                return
            kind = Kind.GET if role is Role.GET else Kind.SET
            yield Event(kind, number, line, self._fds.find(thread, fd), thread, name, result)
        elif role is Role.VM_GET:
            yield Event(Kind.VM_GET, number, line, None, thread, name, result, vm=fd)
        elif role is Role.CREATE_VCPU and result is not None and result >= 0:
            self._forget_owners()
            vcpu, old = self._fds.create(thread, result, fd)
            if old:
                yield Event(Kind.CLOSED, number, line, old, thread)
            yield Event(Kind.CREATED, number, line, vcpu, thread)
        elif role is Role.CREATE_VM and result is not None and result >= 0:
            yield from self._closed(number, line, thread, result)
            yield from self._is_system(number, line, thread, fd)

    def _is_system(self, number: int, line: bytes, thread: int, fd: int) -> Iterator[Event]:
        old = self._fds.system(thread, fd)
        if old:
            self._forget_owners()
            yield Event(Kind.CLOSED, number, line, old, thread)

    def _closed(self, number: int, line: bytes, thread: int, fd: int) -> Iterator[Event]:
        old = self._fds.drop(thread, fd)
        if old:
            self._forget_owners()
            yield Event(Kind.CLOSED, number, line, old, thread)

    def end(self) -> Iterator[Event]:
        """A state ioctl that the log leaves unfinished was begun all the same."""
        yield from self._flush()
        for thread, begun in self._open.items():
            if begun.vcpu is None:
                yield from self._done(begun.number, begun.line, int(thread), begun.call)

    def _forget_owners(self) -> None:
        for owners, _ in self._hot.values():
            owners.clear()


def _returned(number: int, line: bytes, vcpu: Vcpu, thread: int, call: Call) -> Event:
    return Event(Kind.RETURN, number, line, vcpu, thread, "", call.result, call.reason)
