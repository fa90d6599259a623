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
from typing import NamedTuple

from kvmexit.tracelint import doubts
from kvmexit.tracelint.accesses import Accesses
from kvmexit.tracelint.bare import REASON, Bare, reason_of
from kvmexit.tracelint.errors import NAMES
from kvmexit.tracelint.events import Event, Kind
from kvmexit.tracelint.identity import Descriptors, Vcpu
from kvmexit.tracelint.ioctls import (
    ARM_ONLY,
    KVM_RUN,
    OF_BOTH,
    ROLES,
    STATE,
    Role,
    integer,
    name_of,
)
from kvmexit.tracelint.rule import EINTR, never_ran

HEADER = re.compile(
    rb"^\s*(?P<task>[^\s>|*].*?)[-\s]+(?P<pid>\d{1,10})(?:/(?P<tid>\d{1,10}))?\s+"
    rb"(?:\(\s*(?P<tgid>[\d-]+)\)\s+)?\[(?P<cpu>\d+)\]\s+"
    rb"(?P<flags>[^\s\d:][^\s:]{2,8}\s+)?(?P<time>\d+\.\d+):\s+(?P<event>.*)$"
)
_LOST = re.compile(
    rb"\[LOST (\d+) EVENTS\]|EVENTS DROPPED\]|buffer started|LOST \d+ events"
    rb"|PERF_RECORD_LOST(?:_SAMPLES)? lost \d+"
)
_NUMBER = rb"(0x[0-9a-fA-F]{1,16}|[0-9a-fA-F]{1,16})"
_ENTER = re.compile(
    rb"(?:sys_ioctl\(|sys_enter_ioctl:\s*)fd: " + _NUMBER + rb", cmd: " + _NUMBER + rb", arg: "
)
_RAW_ENTER = re.compile(rb"sys_enter: NR (\d+) \(([0-9a-f]{1,16}), ([0-9a-f]{1,16}), ")
_EXIT = re.compile(rb"(?:sys_ioctl -> |sys_exit_ioctl:\s*)(0x[0-9a-f]{1,16}|-?\d{1,20})\s*$")
_RAW_EXIT = re.compile(rb"sys_exit: NR (\d+) = (-?\d{1,20})\s*$")
_KICK = re.compile(rb"sys_(?:enter_)?tgkill[(:]\s*tgid: " + _NUMBER + rb", pid: " + _NUMBER)
_IOCTL_NRS = (b"16", b"29", b"54")  # x86-64; arm64 and riscv; powerpc and 32-bit
_MACHINE = re.compile(rb"kvm_exit:\s+(?:vcpu \d+ )?(?:reason (\S+)|(TRAP|IRQ|HSR_EC|SEPC))")
_VENDORS = {True: "x86 (VMX)", False: "x86 (SVM)"}
_OTHER = re.compile(rb"sys_e(?:nter|xit): NR (-?\d+) (?:\(.*\)|= -?\d+)\s*$")


class _Call(NamedTuple):
    """An ioctl that a thread is in."""

    name: str
    fd: int
    number: int
    line: bytes
    vcpu: Vcpu | None


class _Thread:
    """What a thread is doing."""

    __slots__ = ("accesses", "call", "exit", "name", "number", "reason", "seen")

    def __init__(self, number: int, inside: set[str]) -> None:
        self.number = number
        self.call: _Call | None = None
        self.reason: int | None = None
        self.name = ""  # of an exit that is not in the table
        self.exit = (0, b"")  # the line of kvm_userspace_exit
        self.accesses = Accesses(inside)
        self.seen = 0  # 1: an exit, 2: a call or its return


class Tracefs:
    """Turns lines of kernel events into events. ``perf``: reasons of EINTR returns are stale."""

    single = False

    def __init__(self, perf: bool = False) -> None:
        self.shows_ioctls = False
        self.machine = ""
        self._format = "perf" if perf else "tracefs"
        self._fds = Descriptors()
        self._inside: set[str] = set()
        self._classes: set[str] = set()
        self._threads: dict[int, _Thread] = {}
        self._bare = Bare(self._inside, self._fds.threads)
        self._stale = perf
        self._hex = False  # results have a 0x in front
        self._time = b""
        self._told: set[int] = set()  # threads whose process is known

    @property
    def classes(self) -> frozenset[str]:
        """Of the events from whose absence something is told, those that the log has."""
        return frozenset(self._classes)

    def feed(self, lines: list[bytes], first: int, whole: bool = True) -> Iterator[Event]:
        """Events of ``lines``, numbered from ``first``; not ``whole``: the last one is cut."""
        last = -1 if whole else first + len(lines) - 1
        for number, line in enumerate(lines, first):
            match = HEADER.match(line)
            if match:
                pid, tid, tgid, time = match.group("pid", "tid", "tgid", "time")
                if (time < self._time or len(time) != len(self._time)) and self._back(time):
                    doubt = doubts.disorder(self._format)
                    yield Event(Kind.DISORDER, number, line, doubt=doubt)
                self._time = time
                thread = int(tid or pid)
                if (tid or tgid) and thread not in self._told:
                    self._tell(thread, int(pid) if tid else tgid)
                known = yield from self._event(number, line, thread, match)
                if known:
                    continue
            elif line[:1] == b"#" or not line:
                if b" cut" in line:
                    self._forget()
                    yield Event(Kind.CUT, number, line)
                elif b"buffer started" in line and b"####" not in line:
                    self._forget()
                    doubt = doubts.lost("the ring buffer overflowed")
                    yield Event(Kind.LOST, number, line, doubt=doubt)
                elif HEADER.match(line.lstrip(b"# \t")):  # one that somebody made a comment of
                    self._forget()
                    yield Event(Kind.LOST, number, line)
                continue
            if lost := _LOST.search(line):
                self._forget()
                what = f"{lost[1].decode()} events lost" if lost[1] else "events lost"
                yield Event(Kind.LOST, number, line, doubt=doubts.lost(what))
            elif number != last and not _is_stack(line):
                self._forget()
                yield Event(Kind.LOST, number, line)

    def _back(self, time: bytes) -> bool:
        return bool(self._time) and float(time) < float(self._time)

    def _tell(self, thread: int, process: int | bytes) -> None:
        self._told.add(thread)
        if isinstance(process, int) or process.isdigit():
            self._fds.threads.tell(thread, int(process))

    def _forget(self) -> None:
        self._threads.clear()
        self._bare.forget()

    # ------------------------------------------------------------------ one event

    def _event(
        self, number: int, line: bytes, pid: int, match: re.Match[bytes]
    ) -> Generator[Event, None, bool]:
        """Handle one event; the generator's return value says whether it was understood."""
        event = match["event"]
        thread = self._threads.get(pid)
        if thread is None:
            thread = self._threads[pid] = _Thread(pid, self._inside)
        if b"ioctl" in event or b"sys_e" in event:
            entered = _ENTER.search(event) or _raw(_RAW_ENTER.search(event))
            if entered:
                self.shows_ioctls = True
                fd, request = (int(text, 16) for text in entered.groups()[-2:])
                yield from self._enter(number, line, thread, fd & 0xFFFFFFFF, request)
                return True
            left = _EXIT.search(event)
            if left:
                self._hex = self._hex or left[1].startswith(b"0x")
                if self._hex and not left[1].startswith(b"0x"):
                    return False  # cut in the middle of a number
            left = left or _raw(_RAW_EXIT.search(event))
            if left:
                self.shows_ioctls = True
                yield from self._leave(number, line, thread, _signed(left.groups()[-1]))
                return True
            return self._other_syscall(event)
        if event.startswith((b"kvm_", b"kvm:")):
            self._note(event)
        elif b"sys_tgkill" in event:
            return self._other_syscall(event)
        if not self.shows_ioctls:
            if self._stale or match["flags"] is None:
                self._bare.stale = self._bare.stale or not self._classes & {"restart"}
            known = yield from self._bare.take(number, line, pid, event)
            return known
        reason = REASON.search(event)
        if reason:
            gone = reason[1] in (b"restart", b"error")
            why = (None, "") if gone else reason_of(reason[1], int(reason[2]))
            thread.reason, thread.name = why
            thread.exit = (number, line)
            if not thread.call:  # once: the log began inside KVM_RUN; again: it is incomplete
                if thread.seen:
                    yield Event(Kind.LOST, number, line, doubt=doubts.NO_CALL)
                thread.seen = 1
            return True
        return thread.accesses.take(event)

    def _note(self, event: bytes) -> None:
        """What an event says of the log as a whole: its classes, the machine."""
        if b"kvm_pio:" in event:
            self._classes.add("kvm_pio")
        elif b"kvm_mmio:" in event:
            self._classes.add("kvm_mmio")
        elif b"reason restart" in event:
            self._classes.add("restart")
        elif not self.machine and b"kvm_exit:" in event and (match := _MACHINE.search(event)):
            reason = match[1] or b""
            if reason and not reason.startswith(b"0x"):
                self.machine = _VENDORS[reason.isupper()]
            elif match[2]:
                self.machine = "riscv" if match[2] == b"SEPC" else "arm64"

    def _other_syscall(self, event: bytes) -> bool:
        """Whether this is a whole event of a syscall that is not ioctl."""
        if kick := _KICK.search(event):
            self._fds.threads.tell(int(kick[2], 16), int(kick[1], 16))
        raw = _OTHER.search(event)
        if raw:
            return raw[1] not in _IOCTL_NRS
        return bool(re.match(rb"(?:\w+:)?sys_(?!ioctl)\w+(?:\(.*\)|: .*| -> \S+)\s*$", event)) and (
            b"_ioctl" not in event
        )

    def _enter(
        self, number: int, line: bytes, thread: _Thread, fd: int, request: int
    ) -> Iterator[Event]:
        if thread.call:
            yield from self._leave(number, line, thread, None)
        thread.seen = 2
        name, vcpu = name_of(request), None
        role = ROLES.get(name)
        shared = name == OF_BOTH or name.endswith("_ONE_REG")
        if shared and self._fds.is_system(thread.number, fd):
            role, name = None, ""
        if name in ARM_ONLY:
            self.machine = "arm64"
        if role is Role.RUN:
            vcpu = self._fds.run(thread.number, fd)
            thread.reason, thread.name = None, ""
            thread.accesses.blind = thread.accesses.answered = False
            yield Event(Kind.ENTRY, number, line, vcpu, thread.number)
        elif role in STATE:
            vcpu = self._fds.find(thread.number, fd)
            yield Event(Kind.BEGUN, number, line, vcpu, thread.number, name)
        thread.call = _Call(name, fd, number, line, vcpu)

    def _leave(
        self, number: int, line: bytes, thread: _Thread, result: int | None
    ) -> Iterator[Event]:
        if not thread.call:
            if thread.seen > 1:
                yield Event(Kind.LOST, number, line)
            thread.seen = 2
            return
        call, thread.call = thread.call, None
        role, who = ROLES.get(call.name), thread.number
        if role is Role.RUN:
            yield self._returned(number, line, thread, call, result)
        elif role in STATE:
            kind = Kind.GET if role is Role.GET else Kind.SET
            yield Event(kind, call.number, call.line, call.vcpu, who, call.name, result)
        elif role is Role.VM_GET:
            yield Event(
                Kind.VM_GET, call.number, call.line, None, who, call.name, result, vm=call.fd
            )
        elif result is None or result < 0:
            return
        elif role is Role.CREATE_VCPU:
            vcpu, old = self._fds.create(who, result, call.fd)
            yield from _closed(number, line, self._fds.system(who, call.fd), who)
            yield from _closed(number, line, old, who)
            yield Event(Kind.CREATED, number, line, vcpu, who)
        elif role is Role.CREATE_VM:
            yield from _closed(number, line, self._fds.system(who, result), who)
            yield from _closed(number, line, self._fds.system(who, call.fd), who)
        elif role is Role.SYSTEM:
            yield from _closed(number, line, self._fds.system(who, call.fd), who)

    def _returned(
        self, number: int, line: bytes, thread: _Thread, call: _Call, result: int | None
    ) -> Event:
        """A KVM_RUN is over. The exit's own event says more than the return of the call."""
        access = None
        if result == 0 or result is None:
            access = thread.accesses.at_exit(thread.reason)
        else:
            thread.accesses.done()
            if not never_ran(result) and thread.accesses.answered:
                result = EINTR  # it failed when it had completed, and rests as after EINTR
        if result is None and (thread.reason is not None or thread.name):
            result = 0  # its return is not in the log, but the exit's own event is
        reason, name = (thread.reason, thread.name) if result == 0 else (None, "")
        if result is not None and result < 0:
            name = NAMES.get(-result, "")
        elif reason is not None:
            number, line = thread.exit
        return Event(
            Kind.RETURN, number, line, call.vcpu, thread.number, name, result, reason, access
        )

    def end(self) -> Iterator[Event]:
        """A call that never returned is judged as begun; then what bare logs leave open."""
        for thread in list(self._threads.values()):
            if thread.call and thread.call.name != KVM_RUN:
                yield from self._leave(thread.call.number, thread.call.line, thread, None)
        if not self.shows_ioctls:
            yield from self._bare.end()


def _closed(number: int, line: bytes, vcpu: Vcpu | None, thread: int) -> Iterator[Event]:
    """The descriptor of ``vcpu``, if it was one, is something else from here on."""
    if vcpu:
        yield Event(Kind.CLOSED, number, line, vcpu, thread)


def _raw(match: re.Match[bytes] | None) -> re.Match[bytes] | None:
    return match if match and match[1] in _IOCTL_NRS else None


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
