"""What a run allows to say: whole, not whole, or cannot tell and what is missing.

*Whole* is said only if a VMM that saves at once would have shown a break in as many stops. How
often it would have, the run has measured by itself: at each pause it looked whether the guest's
access was pending.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum

from kvmexit.conform.guests import Guest
from kvmexit.conform.harness import Seen
from kvmexit.conform.line import WINDOW
from kvmexit.conform.odds import SURE, chance_of_a_break, enough, least_rate, more_stops
from kvmexit.conform.sequence import Break, counts

REACH = 2 * WINDOW
"""Bytes after a stop within which a break is that stop's: what was under way, and a FIFO."""


class Verdict(StrEnum):
    """Of a run."""

    WHOLE = "whole"
    NOT_WHOLE = "not whole"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on ``seen``, and what it rests on.

    ``breaks`` are all that were found, each with its stop (from 1; 0 is before the first).
    ``chance`` is that of a VMM which saves at once to have broken at least once, ``more`` how
    many stops are missing, where that is known.
    """

    verdict: Verdict
    reason: str
    seen: Seen
    breaks: tuple[tuple[int, Break], ...]
    chance: float
    more: int | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Breaks by kind."""
        return counts([one for _, one in self.breaks])

    @property
    def broken(self) -> list[int]:
        """The stops that broke the guest."""
        return sorted({stop for stop, _ in self.breaks})


def judge(seen: Seen, forgives: str = "") -> Judgement:
    """The verdict on ``seen``. ``forgives``, if not empty, says why a save at once would show
    nothing here: then an unbroken run says nothing."""
    found = tuple((bisect_right(seen.cuts, one.at), one) for one in seen.guest.breaks(seen.heard))
    pending, stops = (0 if forgives else len(seen.pending)), seen.stops
    chance = chance_of_a_break(least_rate(pending, stops), stops) if stops else 0.0

    def said(verdict: Verdict, reason: str, more: int | None = None) -> Judgement:
        return Judgement(verdict, reason, seen, found, chance, more)

    if stray := next((one for one in found if _stray(seen, *one)), None):
        return said(Verdict.CANNOT_TELL, _of_stray(seen.guest, *stray))
    if found:
        return said(Verdict.NOT_WHOLE, _of_break(seen, *found[0]))
    if forgives or seen.blind:
        return said(Verdict.CANNOT_TELL, forgives or seen.blind)
    if enough(pending, stops):
        return said(Verdict.WHOLE, _of_enough(seen, pending, stops))
    more = more_stops(pending, stops) if stops else None
    return said(Verdict.CANNOT_TELL, _of_too_few(pending, stops, more), more)


def _stray(seen: Seen, stop: int, found: Break) -> bool:
    """Is it a break that no stop can have made?"""
    return stop == 0 or found.at - seen.cuts[stop - 1] > REACH


def _of_stray(guest: Guest, stop: int, found: Break) -> str:
    where = f"between stop {stop} and the next" if stop else "before the first stop"
    return (
        f"a {guest.one(found.kind)} was {found.kind} {where}, {_bytes(guest, found)}: the serial"
        " line breaks without a stop, so it cannot show what a stop does"
    )


def _bytes(guest: Guest, found: Break) -> str:
    seen = "nothing" if found.seen is None else guest.value(found.seen)
    return f"expected {guest.value(found.expected)}, seen {seen}"


def _of_break(seen: Seen, stop: int, found: Break) -> str:
    guest = seen.guest
    said = f"a {guest.one(found.kind)} was {found.kind} at stop {stop}: {_bytes(guest, found)}"
    if seen.blind:
        return said
    if stop in seen.pending:
        return f"{said}; the guest's access was pending when that pause came"
    return f"{said}; nothing was pending when that pause came: look at the device's own state"


def _of_enough(seen: Seen, pending: int, stops: int) -> str:
    other = "sets its vCPU's registers before it goes on" if seen.same else "saves at once"
    return (
        f"at {pending} of {stops} stops the guest's access was pending when the pause came: with a"
        f" probability of {SURE:.0%} or more a VMM that {other} would have shown a break"
    )


def _of_too_few(pending: int, stops: int, more: int | None) -> str:
    if more is None:
        return (
            f"at none of {stops} stops was the guest's access seen pending, so nobody knows how"
            " many it takes: give more stops; if it stays so, the VMM stops its vCPU without"
            " immediate_exit, and a log says more (--trace)"
        )
    return (
        f"at {pending} of {stops} stops the guest's access was pending, too few to be"
        f" {SURE:.0%} sure that a break would have shown: about {more} more stops"
    )
