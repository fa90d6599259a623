"""QEMU's own log: ``-trace 'kvm_*'`` with the log backend, ``-D FILE``.

``30578@1795459444.979656:kvm_vcpu_ioctl cpu_index 0, type 0xae80, arg (nil)``

KVM_RUN is logged *before* the ioctl, its exit after it; an EINTR leaves no line. So the good
pattern is a KVM_RUN that nothing came of, and the same lines appear if KVM_RUN never reached
the kernel: this log alone can convict, but not acquit.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator

from kvmexit.tracelint.events import Event, Kind, Vcpu
from kvmexit.tracelint.ioctls import ROLES, Role, name_of

_LINE = re.compile(rb"^(?:(\d{1,10})@\d+\.\d+:)?(kvm_\w+)(?: (.*))?$")
_VCPU = re.compile(rb"cpu_index (\d{1,10}), type (0x[0-9a-f]{1,16}), arg \S+\s*$")
_EXIT = re.compile(rb"cpu_index (\d{1,10}), reason (\d{1,10})\s*$")
_VM = re.compile(rb"type (0x[0-9a-f]{1,16}), arg \S+\s*$")
_MADE = re.compile(rb"index:? (\d{1,10})|cpu_index (\d{1,10})")


class Qemu:
    """Turns lines of QEMU's trace log into events."""

    shows_ioctls = True

    def __init__(self) -> None:
        self._vcpus: dict[int, Vcpu] = {}
        self._running: dict[int, tuple[int, bytes]] = {}

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
            match = _LINE.match(line)
            if match:
                thread = int(match[1] or 0)
                known = yield from self._event(number, line, thread, match[2], match[3] or b"")
                if known:
                    continue
            if number > 1 and number != last and line[:1] != b"#":
                yield Event(Kind.LOST, number, line)

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
            index = int(match[1])
            self._running.pop(index, None)
            yield Event(Kind.RETURN, number, line, self._vcpu(index), thread, "", 0, int(match[2]))
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
                if index not in self._vcpus:
                    yield Event(Kind.CREATED, number, line, self._vcpu(index), thread)
        return True

    def _ioctl(
        self, number: int, line: bytes, thread: int, index: int, request: int
    ) -> Iterator[Event]:
        name = name_of(request)
        role, vcpu = ROLES.get(name), self._vcpu(index)
        if role not in (Role.RUN, Role.GET, Role.SET):
            return
        if index in self._running:
            begun, text = self._running.pop(index)
            yield Event(Kind.RETURN, begun, text, vcpu, thread, "silent")
        if role is Role.RUN:
            self._running[index] = (number, line)
            yield Event(Kind.ENTRY, number, line, vcpu, thread)
        else:
            kind = Kind.GET if role is Role.GET else Kind.SET
            yield Event(kind, number, line, vcpu, thread, name)

    def _vcpu(self, index: int) -> Vcpu:
        if index not in self._vcpus:
            self._vcpus[index] = Vcpu(f"cpu_index {index}")
        return self._vcpus[index]

    def end(self) -> Iterator[Event]:
        """A KVM_RUN without an exit at the end of the log is still running."""
        yield from ()
