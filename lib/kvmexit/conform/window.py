"""How often a pause meets the guest's access pending: foretold from logs of tracefs.

Chapter 14's formula, with the times of a log: the share of the guest's time in which the access
is pending. It begins when the kernel has looked for signals for the last time, which the log
brackets by the emulation of the instruction, and ends at the next KVM_RUN. A VMM that loses what
is pending loses it at that share of its stops.

The time that counts is that in which the pause could have come: the harness lets the guest run
for ``BETWEEN[0]`` seconds at least before it asks, so the last ones of those, up to the signal
that asks, are like any others in which it might have.

Source: ``xfer_to_guest_mode_work_pending`` in ``vcpu_run`` of arch/x86/kvm/x86.c is the look.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import NamedTuple

from kvmexit.conform.harness import BETWEEN
from kvmexit.conform.landing import Access

_LINE = re.compile(r" +(\d+\.\d+): (?:(sys_ioctl)\(fd: \w+, cmd: (?:0x)?ae80\b|(\w+)[:(])")
_INSTRUCTION = re.compile(r"kvm_emulate_insn: (\w+:\w+):")
_PIO = re.compile(r"pio_(read|write) at 0x(\w+)")
ASKED = ("sys_tgkill", "sys_tkill")
"""The calls by which one thread of a VMM asks another to leave the guest."""


class _Exit(NamedTuple):
    """One exit: ``looked`` is the kernel's last look at signals, ``left`` the return, ``entered``
    the next KVM_RUN; ``by`` the place of the instruction, as far as it is known."""

    looked: float
    left: float
    entered: float
    by: str


@dataclass(frozen=True, slots=True)
class Window:
    """Of one log: how many ``reads`` of the access it has, and for how many ``pending`` seconds,
    of the last ``seconds`` before the pause was asked for, one was pending."""

    reads: int
    pending: float
    seconds: float

    @property
    def share(self) -> float:
        """Of the guest's time, with an access pending."""
        return self.pending / self.seconds if self.seconds else 0.0


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
    share = sum(shares) / len(shares) if shares else 0.0
    return Foretold(
        stops=len(windows),
        reads=sum(one.reads for one in windows),
        share=share,
        pending=sum(shares),
        spread=sqrt(len(shares) * share * (1 - share)),
    )


def window(log: Path, wanted: frozenset[Access], span: float = BETWEEN[0]) -> Window:
    """Of one process: the last ``span`` seconds before it was asked to pause."""
    exits, places, first, asked = _read(log, wanted)
    if first is None:
        return Window(0, 0.0, 0.0)
    begin = max(first, asked - span)
    mine = [one for one in exits if one.by in places]
    pending = sum(
        max(0.0, min(one.entered, asked) - max(one.looked, begin))
        for one in mine
        if one.looked < asked and one.entered > begin
    )
    return Window(len(mine), pending, asked - begin)


def _read(
    log: Path, wanted: frozenset[Access]
) -> tuple[list[_Exit], set[str], float | None, float]:
    """The exits of a log; the instructions that make the access; the first KVM_RUN, and when the
    vCPU was asked to leave for the last time."""
    exits: list[_Exit] = []
    places: set[str] = set()
    first = asked = None
    looked, by, end = 0.0, "", 0.0
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if (found := _LINE.search(line)) is None:
                continue
            time, event = float(found[1]), found[3]
            if found[2]:  # KVM_RUN
                first, asked, looked, by = first or time, None, time, ""
                if exits and exits[-1].entered == _NEVER:
                    exits[-1] = exits[-1]._replace(entered=time)
            elif event == "kvm_emulate_insn" and (place := _INSTRUCTION.search(line)):
                looked, by = time, place[1]
            elif event == "kvm_userspace_exit":
                end = time
                if "(4)" not in line:  # not EINTR
                    exits.append(_Exit(looked, time, _NEVER, by))
            elif event == "kvm_pio" and exits and _is_one(line, wanted):
                places.add(exits[-1].by)
            elif event in ASKED and asked is None:
                asked = time
    return exits, places, first, end if asked is None else asked


_NEVER = float("inf")


def _is_one(line: str, wanted: frozenset[Access]) -> bool:
    found = _PIO.search(line)
    return found is not None and Access(found[1] == "read", int(found[2], 16)) in wanted
