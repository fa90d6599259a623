"""The bytes of a packet, each with what became of it: two rows in the same columns.

The upper row is what the device sent, the lower one what the guest got, as the run ends. A byte
that moved stands under the byte that it is, so a hole stays in its column and a duplicate has
nothing above it. ``film/fates.js`` is the same for the player, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kvmexit.packet.outcome import Kind
from kvmexit.show.stage import Verdict
from kvmexit.show.vocabulary import HARM, TOLD

MOST = 4
"""Bytes that are named in a sentence."""


@dataclass(frozen=True, slots=True)
class Column:
    """``sent``: place in the response, ``got``: place in the guest's buffer; None where there
    is no byte. ``fate`` is a name of :data:`kvmexit.show.vocabulary.FATES`."""

    sent: int | None
    got: int | None
    fate: str


def columns(buffer: Sequence[int | None], expected: bytes, verdict: Verdict) -> list[Column]:
    """What the guest's buffer at the end of a run holds, beside what it should hold."""
    first = len(expected) if verdict.index is None else verdict.index
    gone = verdict.shift if verdict.kind == "missing" else 0
    more = verdict.shift if verdict.kind == "duplicate" else 0
    found = [
        Column(at, at, _fate(buffer[at] == expected[at], "ok", verdict.kind))
        for at in range(min(first, len(buffer), len(expected)))
    ]
    found += [Column(at, None, "missing") for at in range(first, first + gone)]
    for at in range(first, len(buffer)):
        if at < first + more:
            same = buffer[at] == expected[at - more]
            found.append(Column(None, at, "twice" if same else "wrong"))
            continue
        sent = at + gone - more
        there = sent < len(expected)
        same = there and buffer[at] == expected[sent]
        right = "moved" if gone or more else "ok"
        found.append(Column(sent if there else None, at, _fate(same, right, verdict.kind)))
    read = max((one.sent for one in found if one.sent is not None), default=-1) + 1
    return found + [Column(at, None, "unread") for at in range(read, len(expected))]


def _fate(same: bool, right: str, kind: str) -> str:
    if same:
        return right
    return "stale" if kind == "stale" else "wrong"


def told(found: Sequence[Column], buffer: Sequence[int | None], expected: bytes, kind: str) -> str:
    """``1 byte missing: 2e``: what the two rows show, in words."""
    harmed = [one for one in found if one.fate == HARM.get(Kind(kind))]
    values = [buffer[one.got] if one.got is not None else expected[one.sent or 0] for one in harmed]
    named = " ".join(f"{value or 0:02x}" for value in values[:MOST])
    return TOLD[Kind(kind)].format(
        count=f"{len(harmed)} byte{'' if len(harmed) == 1 else 's'}",
        bytes=named + (" …" if len(values) > MOST else ""),
    )


__all__ = ["Column", "columns", "told"]
