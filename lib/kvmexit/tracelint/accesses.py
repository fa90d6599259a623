"""What a thread's vCPU asked for, told from ``kvm_mmio`` and ``kvm_pio`` events.

A read says ``unsatisfied-read`` at its exit and ``read`` at its completion. A write says
``write`` at its exit and nothing at its completion; one that crosses a page logs both pieces
before its first exit, so exits must be counted, not events. Port input says nothing at its
exit and ``pio_read`` at its completion; port output says ``pio_write`` at its exit.

An access that a device inside the kernel serves (interrupt controllers, timers, ioeventfd) has the
same events, and no exit. So what was seen before the guest was entered or left (``kvm_entry``,
``kvm_exit``, ``kvm_emulate_insn``) is over. In a log that has none of these, an access that another
one follows without an exit tells that its place is served inside.
"""

from __future__ import annotations

import re

from kvmexit.tracelint.events import Access

MMIO = re.compile(
    rb"kvm_mmio:\s+mmio (unsatisfied-read|read|write) len (\d+) gpa (0x[0-9a-f]+) val 0x[0-9a-f]+"
)
PIO = re.compile(
    rb"kvm_pio:\s+pio_(read|write) at (0x[0-9a-f]+) size (\d+) count (\d+)(?: val |\s*$)"
)
_OURS = re.compile(rb"kvm_mmio|kvm_pio|kvm_userspace_exit|ioctl")
_WHOLE = re.compile(
    rb"(?:\w+:)?[\w.-]+:\s.*$|sys_\w+(?:\(.*\)| -> \S+)\s*$|\w+ <-\w+|<(?:user )?stack trace>"
)
_BOUND = re.compile(rb"(?:kvm:)?kvm_(entry|exit|emulate_insn|nested_\w+):")
_IO_EXIT = re.compile(rb"reason (IO_INSTRUCTION|ioio|io)\b.* info1?:? (?:0x)?([0-9a-f]+)\b")
_IN_KERNEL = {0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1, 0x40, 0x41, 0x42, 0x43, 0x61}
"""Ports of the interrupt controllers and the timer that KVM has itself, if it was asked to."""


class Accesses:
    """The accesses of one thread, from one exit to the next. ``inside`` are the places of the log
    that were served inside the kernel, shared by all its threads."""

    __slots__ = (
        "answered",
        "blind",
        "_bounded",
        "_completed",
        "_emulated",
        "_inside",
        "_pending",
        "_pieces",
        "_port",
    )

    def __init__(self, inside: set[str]) -> None:
        self._inside = inside
        self.blind = True  # nothing of this thread has been seen since the log began, or lost lines
        self.answered = False  # since KVM_RUN was called: what was pending has been completed
        self._pieces: list[Access] = []
        self._pending: Access | None = None
        self._completed = False
        self._bounded = False  # the guest was entered or left since the last exit
        self._emulated = False
        self._port: Access | None = None  # what the guest's exit itself says of a port access

    def take(self, event: bytes) -> bool:
        """One event of the thread; whether it was understood."""
        match = MMIO.search(event)
        if match:
            self.blind = False
            self._mmio(match[1], int(match[3], 16), int(match[2]))
            return True
        match = PIO.search(event)
        if match:
            self.blind = False
            where = f"port {match[2].decode()} size {match[3].decode()} count {match[4].decode()}"
            self._over()
            self.answered = self.answered or match[1] == b"read"
            self._pieces = [Access("write", where)] if match[1] == b"write" else []
            return True
        bound = _BOUND.match(event)
        if bound:
            self._bound(bound[1], event)
            return True
        return not _OURS.search(event) and bool(_WHOLE.match(event))

    def _mmio(self, what: bytes, gpa: int, size: int) -> None:
        where = f"gpa {gpa:#x} len {size}"
        if what == b"unsatisfied-read":  # once, or in kernels of 2026 once for each page
            if not (self._pieces and _continues(self._pieces[-1], gpa, "read")):
                self._over()
            self._pieces.append(Access("read", where))
            self._pending = None
        elif what == b"write":
            if self._pieces and not _continues(self._pieces[-1], gpa, "write"):
                self._over()
            self._pieces.append(Access("write", where, half=self._completed))
        else:
            self._over()
            self.answered = self._completed = True
            self._pending = None

    def _over(self) -> None:
        """What came before had no exit: the kernel has served it."""
        for piece in self._pieces:
            self._inside.add(piece.where)
        self._pieces = []

    def _bound(self, what: bytes, event: bytes) -> None:
        self._over()
        self.done()
        self._bounded, self.blind = True, False
        self.answered = True  # KVM completes before it lets the guest in
        self._emulated = what == b"emulate_insn"
        port = _IO_EXIT.search(event) if what == b"exit" else None
        if port:
            info = int(port[2], 16)
            size = (info & 7) + 1 if port[1] == b"IO_INSTRUCTION" else (info >> 4) & 7
            read = bool(info & (8 if port[1] == b"IO_INSTRUCTION" else 1))
            where = f"port {info >> 16 & 0xFFFF:#x} size {size}"
            self._port = Access("read" if read else "write", where)

    def at_exit(self, reason: int | None) -> Access | None:
        """The access that this exit is about, with the pieces that are still to come."""
        if reason not in (2, 6, None):
            self.done()
            return None
        if reason == 2:
            access = self._port_access()
            self._pieces = []
        elif self._pieces:
            access = self._pieces.pop(0)._replace(more=len(self._pieces))
        else:
            access = self._pending or Access()
        access = access._replace(emulated=self._emulated)
        self._pending = access if access.direction == "read" else None
        self._completed = self._bounded = False
        return access if access.direction else None

    def _port_access(self) -> Access:
        if self._pieces:
            access = self._pieces[-1]
            if self._bounded or not self._may_be_inside(access.where):
                return access
            return Access()
        if self.blind:
            return Access()
        return self._port or Access("read", "", needs="kvm_pio")

    def _may_be_inside(self, where: str) -> bool:
        return where in self._inside or int(where.split()[1], 16) in _IN_KERNEL

    def done(self) -> None:
        """Nothing is under way."""
        self._pieces, self._pending, self._completed = [], None, False
        self._port, self._bounded = None, False


def _continues(piece: Access, gpa: int, direction: str) -> bool:
    """Whether an access at ``gpa`` can be the next piece of the same one: it goes on where that
    ended, be it on another page. The pieces of a read on one page are announced together."""
    if piece.direction != direction or not piece.where.startswith("gpa"):
        return False
    _, at, _, size = piece.where.split()
    end = int(at, 16) + int(size)
    return (gpa == end and direction == "write") or (end % 4096 == 0 and gpa % 4096 == 0)
