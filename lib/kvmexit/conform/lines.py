"""What a Linux prints on its console, held against what it was to print: a counter, line by line.

One character too many, too few, in the place of another or swapped with its neighbour is one
break, and the rest of the text is judged by itself. Where that does not explain what is there, the
text goes on from the next whole line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kvmexit.conform.sequence import Break, Kind

LONG = 10
"""Bytes of a line: eight digits, and the two that a terminal makes of a newline."""
LAST_DIGIT = 7
_SURE = 2 * LONG
"""So many bytes must be right behind a break that is to be one character's."""
_WHOLE = re.compile(rb"(?<=\n)(\d{8})\r\n")


def line(number: int) -> bytes:
    """The line with this number, from 0."""
    return b"%08d\r\n" % number


def text(start: int, length: int) -> bytes:
    """``length`` bytes of what is to be printed, from its byte ``start`` on."""
    first, skip = divmod(start, LONG)
    count = (skip + length) // LONG + 1
    return b"".join(map(line, range(first, first + count)))[skip : skip + length]


def breaks(heard: bytes) -> list[Break]:
    """Every break in ``heard``, which is to begin with line 0."""
    return [] if heard == text(0, len(heard)) else list(_breaks(heard))


def _breaks(heard: bytes) -> Iterator[Break]:
    at = due = begun = 0  # in heard, in the text, and where in heard its present line began
    while at < len(heard):
        # Line by line, though the first may be the rest of one.
        wanted = text(due, LONG - due % LONG)
        seen = heard[at : at + len(wanted)]
        same = _common(wanted, seen)
        at, due = at + same, due + same
        if due % LONG == 0:
            begun = at
        if same == len(wanted) or at == len(heard):
            continue
        expected = wanted[same]
        if found := _one_character(heard, at, due):
            kinds, used, made = found
            yield from (Break(kind, at, expected, _seen(kind, heard[at])) for kind in kinds)
            at, due = at + used, due + made
            continue
        number, (start, there) = due // LONG, _next_line(heard, begun)
        if start > begun:  # something that is no line stands there, as a rule in the place of one
            yield Break(Kind.MADE_UP, at, expected, heard[at])
            number += there is not None and there > number
        if there is None:
            return
        kind = Kind.MISSING if there > number else Kind.TWICE
        for other in range(*sorted((number, there))):
            yield Break(kind, start, line(other)[LAST_DIGIT], heard[start + LAST_DIGIT])
        at, due, begun = start, there * LONG, start


def _seen(kind: Kind, byte: int) -> int | None:
    """What stands in the place of a byte, if something does."""
    return None if kind is Kind.NOT_WRITTEN else byte


def _one_character(heard: bytes, at: int, due: int) -> tuple[list[Kind], int, int] | None:
    """What is wrong, and how many bytes of ``heard`` and of the text that explains."""
    too_many = Kind.WRITTEN_TWICE if heard[at - 1 : at] == heard[at : at + 1] else Kind.MADE_UP
    for kinds, used, made in (
        ([too_many], 1, 0),
        ([Kind.NOT_WRITTEN], 0, 1),
        ([Kind.MADE_UP, Kind.NOT_WRITTEN], 1, 1),
        ([Kind.OUT_OF_ORDER], 2, 2),
    ):
        if kinds == [Kind.OUT_OF_ORDER] and heard[at : at + 2] != text(due, 2)[::-1]:
            continue
        behind = heard[at + used : at + used + _SURE]
        if behind == text(due + made, len(behind)):
            return kinds, used, made
    return None


def _next_line(heard: bytes, begun: int) -> tuple[int, int | None]:
    """Where the next whole line is, and its number; at the end of all, None."""
    found = _WHOLE.search(heard, begun) if begun else re.search(rb"(\d{8})\r\n", heard)
    return (found.start(), int(found[1])) if found else (len(heard), None)


def _common(one: bytes, other: bytes) -> int:
    """How many bytes of the two are the same, from the first on."""
    pairs = enumerate(zip(one, other))
    return next((k for k, (a, b) in pairs if a != b), min(len(one), len(other)))
