"""QEMU's own log: ``-trace 'kvm_*'`` with the log backend, ``-D FILE``.

``30578@1795459444.979656:kvm_vcpu_ioctl cpu_index 0, type 0xae80, arg (nil)``

The number is the thread's (``qemu_get_thread_id`` in scripts/tracetool/backend/log.py). QEMU 10.1
and newer write ``2026-01-02T10:11:12.000001Z kvm_vcpu_ioctl …`` with ``-msg timestamp=on`` and no
prefix without it.

KVM_RUN is logged *before* the ioctl, its exit after it; an EINTR leaves no line. So the good
pattern is a KVM_RUN that nothing came of, and the same lines appear if KVM_RUN never reached
the kernel: this log can convict, but it acquits only where an exit like HLT came last.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from kvmexit.tracelint import doubts
from kvmexit.tracelint.events import Event, Kind
from kvmexit.tracelint.identity import Descriptors, Vcpu
from kvmexit.tracelint.ioctls import ARM_ONLY, ROLES, STATE, Role, name_of

LINE = re.compile(
    rb"^(?:(?P<thread>\d{1,10})@(?P<time>\d+\.\d+):"
    rb"|(?P<date>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+)Z? (?:\((?P<id>\d{1,10})\) )?)?"
    rb"(?P<name>kvm_\w+)(?: (?P<rest>.*))?$"
)
_VCPU = re.compile(rb"cpu_index (\d{1,10}), type (0x[0-9a-f]{1,16}), arg \S+\s*$")
_EXIT = re.compile(rb"cpu_index (\d{1,10}), reason (\d{1,10})\s*$")
_VM = re.compile(rb"type (0x[0-9a-f]{1,16}), arg \S+\s*$")
_MADE = re.compile(rb"index:? (\d{1,10})|cpu_index (\d{1,10})")
_RACE = 0.01
"""Seconds: two threads take their times before they take the log's lock."""


class Qemu:
    """Turns lines of QEMU's trace log into events."""

    shows_ioctls = True
    single = False
    classes = None

    def __init__(self) -> None:
        self.machine = ""
        self._vcpus = Descriptors("cpu_index", fixed=True)
        self._made: set[tuple[int, int]] = set()
        self._running: dict[Vcpu, tuple[int, bytes]] = {}
        self._times: dict[int, float] = {}
        self._latest = 0.0

    def feed(self, lines: list[bytes], first: int, whole: bool = True) -> Iterator[Event]:
        """Events of ``lines``, numbered from ``first``; not ``whole``: the last one is cut."""
        last = -1 if whole else first + len(lines) - 1
        for number, line in enumerate(lines, first):
            if b"kvm" not in line:
                if b" cut" in line and line[:1] == b"#":
                    self._running.clear()
                    yield Event(Kind.CUT, number, line)
                elif b"\0" in line or b"cpu_index" in line or b"KVM_" in line or b"ioctl" in line:
                    yield Event(Kind.LOST, number, line)
                continue
            match = LINE.match(line)
            if match:
                thread = int(match["thread"] or match["id"] or 0)
                if self._back(thread, match["time"], match["date"]):
                    yield Event(Kind.DISORDER, number, line, doubt=doubts.disorder("qemu"))
                name, rest = match["name"], match["rest"] or b""
                known = yield from self._event(number, line, thread, name, rest)
                if known:
                    continue
            if line[:1] == b"#":
                lost = LINE.match(line.lstrip(b"# \t")) is not None  # made a comment of
            else:
                lost = number != last and _is_suspect(line)
            if lost:
                yield Event(Kind.LOST, number, line)

    def _back(self, thread: int, time: bytes | None, date: bytes | None) -> bool:
        """Whether times go back: of one thread at all, of two by more than they race for."""
        if time is None and date is None:
            return False
        now = float(time) if time else _seconds(date or b"")
        before, self._times[thread] = self._times.get(thread, now), now
        slack = _RACE if thread == 0 else 0.0
        back = now < before - slack or now < self._latest - _RACE
        self._latest = now if back else max(now, self._latest)
        return back

    def _event(
        self, number: int, line: bytes, thread: int, name: bytes, rest: bytes
    ) -> Generator[Event, None, bool]:
        """Handle one event; the generator's return value says whether it was understood."""
        if name == b"kvm_vcpu_ioctl":
            match = _VCPU.match(rest)
            if not match:
                return False
            yield from self._ioctl(number, line, thread, int(match[1]), int(match[2], 16))
        elif name == b"kvm_run_exit":
            match = _EXIT.match(rest)
            if not match:
                return False
            vcpu = self._vcpus.run(thread, int(match[1]))
            self._running.pop(vcpu, None)
            yield Event(Kind.RETURN, number, line, vcpu, thread, "", 0, int(match[2]))
        elif name == b"kvm_vm_ioctl":
            match = _VM.match(rest)
            if not match:
                return False
            request = name_of(int(match[1], 16))
            if ROLES.get(request) is Role.VM_GET:
                yield Event(Kind.VM_GET, number, line, None, thread, request)
        elif name in (b"kvm_init_vcpu", b"kvm_create_vcpu"):
            made = _MADE.search(rest)
            if made:
                index = int(made[1] or made[2])
                if (thread, index) not in self._made:
                    self._made.add((thread, index))
                    vcpu, _ = self._vcpus.create(thread, index)
                    yield Event(Kind.CREATED, number, line, vcpu, thread)
        return True

    def _ioctl(
        self, number: int, line: bytes, thread: int, index: int, request: int
    ) -> Iterator[Event]:
        name = name_of(request)
        role = ROLES.get(name)
        if name in ARM_ONLY:
            self.machine = "arm64"
        if role is not Role.RUN and role not in STATE:
            return
        find = self._vcpus.run if role is Role.RUN else self._vcpus.find
        vcpu = find(thread, index)
        if vcpu in self._running:
            begun, text = self._running.pop(vcpu)
            yield Event(Kind.RETURN, begun, text, vcpu, thread, "silent")
        if role is Role.RUN:
            self._running[vcpu] = (number, line)
            yield Event(Kind.ENTRY, number, line, vcpu, thread)
        else:
            kind = Kind.GET if role is Role.GET else Kind.SET
            yield Event(kind, number, line, vcpu, thread, name)

    def end(self) -> Iterator[Event]:
        """A KVM_RUN without an exit at the end of the log is still running."""
        yield from ()


def _seconds(date: bytes) -> float:
    """The time of a day and its date as seconds; only their order counts."""
    day, _, clock = date.partition(b"T")
    year, month, dom = (int(part) for part in day.split(b"-"))
    hours, minutes, rest = clock.split(b":")
    return (
        ((year * 12 + month) * 31 + dom) * 86400.0
        + int(hours) * 3600.0
        + (int(minutes) * 60.0 + float(rest))
    )


def _is_suspect(line: bytes) -> bool:
    """Whether a line that was not read can be a piece of one that matters."""
    return any(part in line for part in (b"kvm_", b"cpu_index", b"ioctl", b"run_exit", b"\0"))
