"""Kernel tracepoints: tracefs (``trace``, ``trace_pipe``), ``trace-cmd report``, perf script.

A line names a thread and an event. Which vCPU it is about is said by the ioctl that the
thread is in, so the syscall events are needed to know vCPUs, and to see state ioctls at all.
A log without them still shows whether each read was completed, because completion has an
event of its own (``mmio read``, ``pio_read``); see :mod:`kvmexit.tracelint.bare`.

No ``kvm_entry`` or ``kvm_exit`` is required: software KVM emits none.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from kvmexit.tracelint.accesses import Accesses
from kvmexit.tracelint.bare import Bare
from kvmexit.tracelint.events import Event, Kind, Vcpu
from kvmexit.tracelint.identity import Descriptors
from kvmexit.tracelint.ioctls import KVM_RUN, OF_BOTH, ROLES, Role, integer, name_of

HEADER = re.compile(
    rb"^\s*(?P<task>\S.*?)[-\s]+(?P<pid>\d{1,10})\s+(?:\([ \d-]+\)\s+)?\[(?P<cpu>\d+)\]\s+"
    rb"(?:[^\s\d]\S{2,5}\s+|\.{3,5}\s+)?(?P<time>\d+\.\d+):\s+(?P<event>.*)$"
)
_LOST = re.compile(rb"\[LOST (\d+) EVENTS\]|EVENTS DROPPED\]|buffer started|LOST \d+ events")
_NUMBER = rb"(0x[0-9a-fA-F]{1,16}|[0-9a-fA-F]{1,16})"
_ENTER = re.compile(
    rb"(?:sys_ioctl\(|sys_enter_ioctl:\s*)fd: " + _NUMBER + rb", cmd: " + _NUMBER + rb", arg: "
)
_RAW_ENTER = re.compile(rb"sys_enter: NR (\d+) \(([0-9a-f]{1,16}), ([0-9a-f]{1,16}), ")
_EXIT = re.compile(rb"(?:sys_ioctl -> |sys_exit_ioctl:\s*)(0x[0-9a-f]{1,16}|-?\d{1,20})\s*$")
_RAW_EXIT = re.compile(rb"sys_exit: NR (\d+) = (-?\d{1,20})\s*$")
_IOCTL_NRS = (b"16", b"29", b"54")  # x86-64; arm64 and riscv; powerpc and 32-bit
_NO_CALL = "a thread runs a vCPU, but its ioctls are not in the log"
_REASON = re.compile(rb"kvm_userspace_exit:\s+reason (\S+) \((\d{1,10})\)\s*$")


class _Thread:
    """What a thread is doing."""

    __slots__ = ("accesses", "call", "exit", "number", "reason", "seen")

    def __init__(self, number: int) -> None:
        self.number = number
        self.call: tuple[str, int, int, bytes, Vcpu | None] | None = None
        self.reason: int | None = None
        self.exit = (0, b"")  # the line of kvm_userspace_exit
        self.accesses = Accesses()
        self.seen = 0  # 1: an exit, 2: a call or its return


class Tracefs:
    """Turns lines of kernel events into events. ``perf``: reasons of EINTR returns are stale."""

    def __init__(self, perf: bool = False) -> None:
        self.shows_ioctls = False
        self._fds = Descriptors()
        self._threads: dict[int, _Thread] = {}
        self._bare = Bare(stale_reasons=perf)

    def feed(self, lines: list[bytes], first: int, whole: bool = True) -> Iterator[Event]:
        """Events of ``lines``, numbered from ``first``; not ``whole``: the last one is cut."""
        last = -1 if whole else first + len(lines) - 1
        for number, line in enumerate(lines, first):
            match = HEADER.match(line)
            if match:
                known = yield from self._event(number, line, int(match["pid"]), match["event"])
                if known:
                    continue
            elif line[:1] == b"#" or not line:
                if b" cut" in line:
                    self._forget()
                    yield Event(Kind.CUT, number, line)
                elif b"buffer started" in line:
                    self._forget()
                    yield Event(Kind.LOST, number, line, name="the ring buffer overflowed")
                continue
            if lost := _LOST.search(line):
                self._forget()
                what = f"{lost[1].decode()} events lost" if lost[1] else "events lost"
                yield Event(Kind.LOST, number, line, name=what)
            elif number > 1 and number != last and not _is_stack(line):
                self._forget()
                yield Event(Kind.LOST, number, line)

    def _forget(self) -> None:
        self._threads.clear()
        self._bare.forget()

    # ------------------------------------------------------------------ one event

    def _event(
        self, number: int, line: bytes, pid: int, event: bytes
    ) -> Generator[Event, None, bool]:
        """Handle one event; the generator's return value says whether it was understood."""
        thread = self._threads.get(pid)
        if thread is None:
            thread = self._threads[pid] = _Thread(pid)
        if b"ioctl" in event or b"sys_e" in event:
            entered = _ENTER.search(event) or _raw(_RAW_ENTER.search(event))
            if entered:
                self.shows_ioctls = True
                fd, request = (int(text, 16) for text in entered.groups()[-2:])
                yield from self._enter(number, line, thread, fd, request)
                return True
            left = _EXIT.search(event) or _raw(_RAW_EXIT.search(event))
            if left:
                self.shows_ioctls = True
                yield from self._leave(number, line, thread, _signed(left.groups()[-1]))
                return True
            return _other_syscall(event)
        if not self.shows_ioctls:
            known = yield from self._bare.take(number, line, pid, event)
            return known
        reason = _REASON.search(event)
        if reason:
            thread.reason = None if reason[1] in (b"restart", b"error") else int(reason[2])
            thread.exit = (number, line)
            if not thread.call:  # once: the log began inside KVM_RUN; again: it is incomplete
                if thread.seen:
                    yield Event(Kind.LOST, number, line, name=_NO_CALL)
                thread.seen = 1
            return True
        return thread.accesses.take(event)

    def _enter(
        self, number: int, line: bytes, thread: _Thread, fd: int, request: int
    ) -> Iterator[Event]:
        if thread.call:
            yield from self._leave(number, line, thread, None)
        thread.seen = 2
        name = name_of(request)
        role = ROLES.get(name)
        vcpu = None
        if name == OF_BOTH and self._fds.is_system(thread.number, fd):
            role, name = None, ""
        if role in (Role.RUN, Role.GET, Role.SET):
            vcpu = self._fds.find(thread.number, fd)
        thread.call = (name, fd, number, line, vcpu)
        if role is Role.RUN:
            thread.reason = None
            yield Event(Kind.ENTRY, number, line, vcpu, thread.number)

    def _leave(
        self, number: int, line: bytes, thread: _Thread, result: int | None
    ) -> Iterator[Event]:
        if not thread.call:
            if thread.seen > 1:
                yield Event(Kind.LOST, number, line)
            thread.seen = 2
            return
        name, fd, begun, first, vcpu = thread.call
        thread.call = None
        role, who = ROLES.get(name), thread.number
        if role is Role.RUN:
            access = None
            if result == 0 or result is None:
                access = thread.accesses.at_exit(thread.reason)
            else:
                thread.accesses.done()
            if result is None and thread.reason is not None:
                result = 0  # its return is not in the log, but the exit's own event is
            reason = thread.reason if result == 0 else None
            if reason is not None:
                number, line = thread.exit
            yield Event(Kind.RETURN, number, line, vcpu, who, "", result, reason, access)
        elif role in (Role.GET, Role.SET):
            kind = Kind.GET if role is Role.GET else Kind.SET
            yield Event(kind, begun, first, vcpu, who, name, result)
        elif role is Role.VM_GET:
            yield Event(Kind.VM_GET, begun, first, None, who, name, result, vm=fd)
        elif role is Role.CREATE_VCPU and result is not None and result >= 0:
            vcpu, old = self._fds.create(who, result, fd)
            yield from _closed(number, line, old, who)
            yield Event(Kind.CREATED, number, line, vcpu, who)
        elif role is Role.CREATE_VM and result is not None and result >= 0:
            yield from _closed(number, line, self._fds.drop(who, result), who)
            yield from _closed(number, line, self._fds.system(who, fd), who)
        elif role is Role.SYSTEM and result is not None and result >= 0:
            yield from _closed(number, line, self._fds.system(who, fd), who)

    def end(self) -> Iterator[Event]:
        """A call that never returned is judged as begun; then what bare logs leave open."""
        for thread in list(self._threads.values()):
            if thread.call and thread.call[0] != KVM_RUN:
                yield from self._leave(thread.call[2], thread.call[3], thread, None)
        if not self.shows_ioctls:
            yield from self._bare.end()


def _closed(number: int, line: bytes, vcpu: Vcpu | None, thread: int) -> Iterator[Event]:
    """The descriptor of ``vcpu``, if it was one, is something else from here on."""
    if vcpu:
        yield Event(Kind.CLOSED, number, line, vcpu, thread)


def _raw(match: re.Match[bytes] | None) -> re.Match[bytes] | None:
    return match if match and match[1] in _IOCTL_NRS else None


def _other_syscall(event: bytes) -> bool:
    """Whether this is a whole event of a syscall that is not ioctl."""
    raw = re.search(rb"sys_e(?:nter|xit): NR (-?\d+) (?:\(.*\)|= -?\d+)\s*$", event)
    return bool(raw and raw[1] not in _IOCTL_NRS)


def _signed(text: bytes) -> int:
    """A result: tracefs prints failures as 64-bit, some recorders as 32-bit, hexadecimals."""
    value = integer(text)
    for bits in (64, 32):
        if value >> (bits - 1) == 1:
            return value - (1 << bits)
    return value


def _is_stack(line: bytes) -> bool:
    """Stack traces (``options/stacktrace``) are the only lines between events."""
    return line.lstrip().startswith((b"=> ", b"<stack trace>", b"<user stack"))
