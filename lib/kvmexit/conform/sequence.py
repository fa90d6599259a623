"""What the guest says, held against what it was to see.

A byte that is missing, made up, seen twice or out of order is found by looking at most a few
bytes ahead, so that one break is counted once and the rest of the stream is judged by itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from kvmexit.conform.bodies import COUNT_BIT, FIRST, LAST

SPAN = LAST - FIRST + 1
_NEAR = SPAN // 2
"""A value up to so far ahead is taken for the end of a gap, otherwise for one come back."""


class Kind(StrEnum):
    """What is wrong with a byte."""

    MISSING = "missing"
    MADE_UP = "made up"
    TWICE = "twice"
    OUT_OF_ORDER = "out of order"
    WRITTEN_TWICE = "written twice"
    NOT_WRITTEN = "not written"


@dataclass(frozen=True, slots=True)
class Break:
    """One break: ``at`` counts the bytes heard before it. ``seen`` None: no byte in its place."""

    kind: Kind
    at: int
    expected: int
    seen: int | None


def after(value: int, steps: int = 1) -> int:
    """The value ``steps`` further on, round and round."""
    return FIRST + (value - FIRST + steps) % SPAN


def undisturbed(length: int) -> bytes:
    """What a guest says that is never stopped."""
    one_round = bytes(after(FIRST, k) | (k % 2) * COUNT_BIT for k in range(SPAN))
    return (one_round * (length // SPAN + 1))[:length]


def breaks(heard: bytes) -> list[Break]:
    """Every break in ``heard``, from its first byte, which is to be ``FIRST``."""
    return [] if heard == undisturbed(len(heard)) else list(_breaks(heard))


def _breaks(heard: bytes) -> Iterator[Break]:
    values: list[int] = []
    places: list[int] = []
    count = 0
    for at, byte in enumerate(heard):
        value = byte & ~COUNT_BIT & 0xFF
        if byte & COUNT_BIT != count:
            # The guest's count says that this was not its next byte: the write broke.
            if values and value == values[-1]:
                yield Break(Kind.WRITTEN_TWICE, at, after(value), value)
                continue
            yield Break(Kind.NOT_WRITTEN, at, after(values[-1]) if values else FIRST, None)
            values.append(after(values[-1]) if values else FIRST)
            places.append(at)
            count ^= COUNT_BIT
        values.append(value)
        places.append(at)
        count ^= COUNT_BIT
    yield from _of_reads(values, places)


def _of_reads(values: list[int], places: list[int]) -> Iterator[Break]:
    """The breaks of what the guest has read, its writes put right."""
    expected, i = FIRST, 0
    while i < len(values):
        used, expected, found = _step(values, i, expected)
        for kind, wanted, seen in found:
            yield Break(kind, places[i], wanted, seen)
        i += used


_Found = list[tuple[Kind, int, int | None]]


def _step(values: list[int], i: int, expected: int) -> tuple[int, int, _Found]:
    """How many bytes are used up, which is expected next, and what was wrong."""
    seen = values[i]
    if seen == expected:
        return 1, after(expected), []
    ahead = values[i + 1 : i + 3]
    if not FIRST <= seen <= LAST:
        return _alien(seen, expected, ahead)
    gap = (seen - expected) % SPAN
    if gap == 1 and ahead == [expected, after(expected, 2)]:
        return 2, after(expected, 2), [(Kind.OUT_OF_ORDER, expected, seen)]
    if ahead[:1] == [expected]:  # one too many, and on as if it had not been
        kind = Kind.TWICE if seen == after(expected, -1) else Kind.MADE_UP
        return 1, expected, [(kind, expected, seen)]
    if ahead[:1] == [after(expected)] and seen != after(expected):  # in the place of one
        kind = Kind.TWICE if seen == after(expected, -1) else Kind.MADE_UP
        return 1, after(expected), [(kind, expected, seen), (Kind.MISSING, expected, seen)]
    if gap <= _NEAR:
        return 1, after(seen), [(Kind.MISSING, after(expected, k), seen) for k in range(gap)]
    back = SPAN - gap  # the guest reads again what it had read
    return 1, after(seen), [(Kind.TWICE, after(expected, k - back), seen) for k in range(back)]


def _alien(seen: int, expected: int, ahead: list[int]) -> tuple[int, int, _Found]:
    """A value that nobody sent: in the place of one, or between two."""
    found: _Found = [(Kind.MADE_UP, expected, seen)]
    if ahead[:1] == [after(expected)]:
        return 1, after(expected), [*found, (Kind.MISSING, expected, seen)]
    return 1, expected, found


def counts(found: Sequence[Break]) -> dict[str, int]:
    """How many of each kind; every kind is named."""
    seen = Counter(one.kind for one in found)
    return {kind.value: seen[kind] for kind in Kind}
