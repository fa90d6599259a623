"""The same run as a plain table: for terminals, screen readers and diffs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvmexit.exits import What
from kvmexit.show.films import Film, film
from kvmexit.show.frame import Frame
from kvmexit.show.reel import Choice
from kvmexit.show.words import outcome_words, verdict_words


@dataclass(frozen=True, slots=True)
class Table:
    """A run as lines of text."""

    lines: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(self.lines)


def text(
    what: Film | int = 16,
    *,
    landing: int | None = None,
    choice: Choice = (0, 0, 0, 0),
    around: int | None = None,
    guest: bool = True,
    **settings: Any,
) -> Table:
    """The run of a film, or of ``film(length, **settings)``, step by step.

    ``around=n`` keeps only n steps before the suspend and n behind the restore; without
    ``guest`` the guest's instructions are left out.
    """
    made = what if isinstance(what, Film) else film(what, **settings)
    at = made.landing if landing is None else landing
    frames, verdict = made.filmed(at, choice)
    rows = list(enumerate(frames, start=1))
    if around is not None:
        rows = _near(rows, around)
    if not guest:
        rows = [row for row in rows if row[1].what is not What.EXECUTE]
    head = f"{'step':>4}  {'who':<6}  {'rip':>6}  {'fifo':>4}  {'pending':<7}  what"
    lines = [head, "-" * len(head)]
    for number, frame in rows:
        lines.append(_line(number, frame))
    lines.append(outcome_words(verdict))
    if not made.source:
        lines.append(f"The driver {verdict_words(verdict)}.")
    return Table(tuple(lines))


def _near(rows: list[tuple[int, Frame]], around: int) -> list[tuple[int, Frame]]:
    whats = [frame.what for _, frame in rows]
    if What.REQUEST not in whats:
        return rows[: 2 * around]
    start = whats.index(What.REQUEST)
    end = whats.index(What.RESTORE) if What.RESTORE in whats else start
    return rows[max(0, start - around) : end + 1 + around]


def _line(number: int, frame: Frame) -> str:
    seen = frame.seen
    pending = ""
    if seen.pending:
        pending = "read" if seen.pending.startswith("a read") else "write"
    return (
        f"{number:>4}  {frame.lane.value:<6}  {seen.registers[8]:>#6x}  {seen.device[0]:>4}"
        f"  {pending:<7}  {frame.sentence}"
    )
