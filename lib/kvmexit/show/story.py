"""The events of a run: about ten steps that tell it, and the stops among them that have a name.

A run has hundreds of steps, and most are the guest's own instructions. What a suspend did is told
by the access before it, the suspend itself, the first access after it, and the first wrong byte.
``film/story.js`` is the same for the player, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from kvmexit.exits import What
from kvmexit.show.frame import Frame
from kvmexit.show.stage import Verdict

SHORT = 24
"""A run of so few steps is told whole."""
MOST = 8
"""Steps of a suspend that are told; of a longer one the first and the last are."""


def stops(frames: Sequence[Frame], verdict: Verdict, expected: bytes) -> dict[str, int]:
    """The named stops of a run, each with its step from 0, in the order of time."""
    found = {"start": 0}
    whats = [frame.what for frame in frames]
    request = _next(whats, What.REQUEST, 0)
    if request is not None:
        found["request"] = request
        for what in (What.SAVE, What.RESTORE):
            at = _next(whats, what, request)
            if at is not None:
                found[what.value] = at
    wrong = _wrong(frames, verdict, expected)
    if wrong is not None:
        found["wrong"] = wrong
    return {**found, "end": len(frames) - 1}


def events(frames: Sequence[Frame], named: dict[str, int]) -> list[int]:
    """The steps, from 0, that tell a run."""
    if "request" not in named:
        if len(frames) <= SHORT:
            return list(range(len(frames)))
        moved = [
            at
            for at, (before, frame) in enumerate(pairwise(frames), start=1)
            if frame.what is What.SERVE and frame.seen.device != before.seen.device
        ]
        return sorted({*moved, *named.values()})
    request = named["request"]
    restore = named.get("restore", request)
    acts = [at for at, frame in enumerate(frames) if _tells(frame)]
    before = [at for at in acts if at < request]
    pending = request > 0 and frames[request - 1].seen.pending
    exits = [at for at in before if frames[at].what is What.EXIT]
    first = exits[-1] if pending and exits else before[-1] if before else request
    completes = [at for at in acts if at > restore and frames[at].what is What.COMPLETE]
    last = completes[0] if completes else len(frames) - 1
    inside = [at for at in acts if request < at < restore]
    if len(inside) > MOST:
        inside = [*inside[: MOST // 2], *inside[-MOST // 2 :]]
    around = [at for at in acts if first <= at <= request or restore <= at <= last]
    return sorted({*around, *inside, *named.values()})


def _tells(frame: Frame) -> bool:
    """Is it more than an instruction of the guest, or a look at a flag that nobody has set?"""
    return frame.what is not What.EXECUTE and (frame.what is not What.LOOK or frame.seen.stop)


def _next(whats: Sequence[What], what: What, first: int) -> int | None:
    return next((at for at in range(first, len(whats)) if whats[at] is what), None)


def _wrong(frames: Sequence[Frame], verdict: Verdict, expected: bytes) -> int | None:
    """The step that stores the first wrong byte in the guest's buffer."""
    index = verdict.index
    for number, frame in enumerate(frames):
        if frame.write is None or index is None:
            continue
        at, data = frame.write
        byte = data[index - at : index - at + 1] if at <= index else b""
        if byte and byte != expected[index : index + 1]:
            return number
    return None


__all__ = ["events", "stops"]
