"""How often a pause meets the guest's access pending: foretold from a log of tracefs.

Chapter 14's formula, with the times of one log: the share of the guest's time in which the access
is pending. It begins when the kernel has looked for signals for the last time, which the log
brackets by the emulation of the instruction, and ends at the next KVM_RUN. A VMM that loses what
is pending loses it at that share of its stops.

Source: ``xfer_to_guest_mode_work_pending`` in ``vcpu_run`` of arch/x86/kvm/x86.c is the look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from kvmexit.conform.landing import Access

_LINE = re.compile(r" +([\d]+\.\d+): (sys_ioctl\(fd: (?:0x)?\w+, cmd: (?:0x)?(\w+)|(\w+):)")
_PIO = re.compile(r"pio_(read|write) at 0x(\w+)")
_KVM_RUN = "ae80"


@dataclass(frozen=True, slots=True)
class Window:
    """Of one log: how many ``reads`` there were of the access, for how many seconds one was
    pending ``outside`` the kernel and ``inside`` it after its last look, in how many of all."""

    reads: int
    outside: float
    inside: float
    seconds: float

    @property
    def share(self) -> float:
        """Of the guest's time, with an access pending."""
        return (self.outside + self.inside) / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Foretold:
    """Of ``stops`` with a log each: the ``share`` of them, and the number with its spread, at
    which a pause is to meet the access pending."""

    stops: int
    reads: int
    share: float
    pending: float
    spread: float


def foretell(logs: Sequence[Path], pending: Iterable[Access]) -> Foretold:
    """What the ``logs``, one a stop, say of how often one of the accesses is pending."""
    wanted = frozenset(pending)
    windows = [window(log, wanted) for log in logs]
    shares = [one.share for one in windows]
    return Foretold(
        stops=len(windows),
        reads=sum(one.reads for one in windows),
        share=sum(shares) / len(shares) if shares else 0.0,
        pending=sum(shares),
        spread=sqrt(sum(share * (1 - share) for share in shares)),
    )


def window(log: Path, wanted: frozenset[Access]) -> Window:
    """Of one process: from its first KVM_RUN to the exit before its last."""
    reads, outside, inside = 0, 0.0, 0.0
    first = last = emulated = left = entered = None
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if (found := _LINE.search(line)) is None:
                continue
            time, call, event = float(found[1]), found[3], found[4]
            if call == _KVM_RUN:
                first, entered = first or time, time
            elif event == "kvm_emulate_insn":
                emulated = time
            elif event == "kvm_userspace_exit":
                last, left, entered = time, (emulated or time, time), None
            elif event == "kvm_pio" and left and entered and _is_one(line, wanted):
                reads += 1
                outside += entered - left[1]
                inside += left[1] - left[0]
                left = None
    return Window(reads, outside, inside, (last or 0.0) - (first or 0.0))


def _is_one(line: str, wanted: frozenset[Access]) -> bool:
    found = _PIO.search(line)
    return found is not None and Access(found[1] == "read", int(found[2], 16)) in wanted
