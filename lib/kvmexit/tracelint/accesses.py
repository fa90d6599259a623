"""What a thread's vCPU asked for, told from ``kvm_mmio`` and ``kvm_pio`` events.

A read says ``unsatisfied-read`` at its exit and ``read`` at its completion. A write says
``write`` at its exit and nothing at its completion; one that crosses a page logs both pieces
before its first exit, so exits must be counted, not events. Port input says nothing at its
exit and ``pio_read`` at its completion; port output says ``pio_write`` at its exit.
"""

from __future__ import annotations

import re

from kvmexit.tracelint.events import Access

MMIO = re.compile(
    rb"kvm_mmio:\s+mmio (unsatisfied-read|read|write) len (\d+) gpa (0x[0-9a-f]+) val 0x[0-9a-f]+"
)
PIO = re.compile(rb"kvm_pio:\s+pio_(read|write) at (0x[0-9a-f]+) size (\d+) count (\d+) val ")
_OURS = re.compile(rb"kvm_mmio|kvm_pio|kvm_userspace_exit")
_WHOLE = re.compile(rb"(?:\w+:)?\w+:\s.*$")


class Accesses:
    """The accesses of one thread, from one exit to the next."""

    __slots__ = ("_completed", "_pending", "_pieces")

    def __init__(self) -> None:
        self._pieces: list[Access] = []
        self._pending: Access | None = None
        self._completed = False

    def take(self, event: bytes) -> bool:
        """One event of the thread; whether it was understood."""
        match = MMIO.search(event)
        if match:
            where = f"gpa {match[3].decode()} len {match[2].decode()}"
            if match[1] == b"unsatisfied-read":
                self._pieces, self._pending = [Access("read", where)], None
            elif match[1] == b"write":
                self._pieces.append(Access("write", where, half=self._completed))
            else:
                self._pieces, self._completed, self._pending = [], True, None
            return True
        match = PIO.search(event)
        if match:
            where = f"port {match[2].decode()} size {match[3].decode()} count {match[4].decode()}"
            self._pieces = [Access("write", where)] if match[1] == b"write" else []
            return True
        if b"kvm_emulate_insn" in event:  # what came before was handled in the kernel
            self.done()
            return True
        return not _OURS.search(event) and bool(_WHOLE.match(event))

    def at_exit(self, reason: int | None) -> Access | None:
        """The access that this exit is about, with the pieces that are still to come."""
        if reason not in (2, 6, None):
            self.done()
            return None
        if reason == 2:
            access = self._pieces[-1] if self._pieces else Access("read", "")
            self._pieces = []
        elif self._pieces:
            access = self._pieces.pop(0)._replace(more=len(self._pieces))
        else:
            access = self._pending or Access()
        self._pending = access if access.direction == "read" else None
        self._completed = False
        return access if access.direction else None

    def done(self) -> None:
        """Nothing is under way."""
        self._pieces, self._pending, self._completed = [], None, False
