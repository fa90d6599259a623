"""What a suspend did: the end of a run, held against the end of the undisturbed one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from kvmexit.vmm.devices import TisState


class Kind(Enum):
    """An outcome in one word; ``letter`` is how it stands in an outcome strip."""

    OK = "ok"
    MISSING = "missing"
    STALE = "stale"
    DUPLICATE = "duplicate"
    TORN = "torn"
    LOST = "lost"

    @property
    def letter(self) -> str:
        return "." if self is Kind.OK else self.value[0]

    @property
    def meaning(self) -> str:
        """What the guest, or the device, ended with."""
        return _MEANINGS[self]


_MEANINGS = {
    Kind.OK: "guest and device ended as if nothing had happened",
    Kind.MISSING: "bytes were popped and never reached the guest; the rest moved up",
    Kind.STALE: "the guest got an old value once; length and tail are intact",
    Kind.DUPLICATE: "the guest got bytes twice; the rest moved down",
    Kind.TORN: "the guest's bytes fit none of the other words",
    Kind.LOST: "the guest's bytes are right, but a write never reached the device",
}


@dataclass(frozen=True, slots=True)
class Ending:
    """What a run of the driver ended with.

    ``guest`` are the bytes in the driver's buffer, ``returned`` and ``message`` what it said,
    ``reads`` how often the response's FIFO was read, ``taken`` how many bytes those reads got,
    ``left_over`` how many bytes it had left.
    """

    guest: bytes
    returned: int
    message: str | None
    reads: int
    taken: int
    left_over: int
    device: TisState


@dataclass(frozen=True, slots=True)
class Outcome:
    """``index`` is the first byte of the driver's buffer that is wrong, or None."""

    kind: Kind
    index: int | None = None

    def __str__(self) -> str:
        return self.kind.value if self.index is None else f"{self.kind.value} at {self.index}"


WIDEST = 16
"""Bytes that one instruction of our guests pops at most (a 16-byte load), outside strings."""


def classify(undisturbed: Ending, ending: Ending) -> Outcome:
    """Name the difference between two endings.

    Shifts are looked for before single bytes: which way, the device's own count tells. A byte
    is stale only if the device has no byte left that it should not have.
    """
    want, got = undisturbed.guest, ending.guest
    same_device = undisturbed.device == ending.device
    if got == want:
        same_word = undisturbed.returned == ending.returned
        return Outcome(Kind.OK if same_device and same_word else Kind.LOST)
    at = next((i for i, (a, b) in enumerate(zip(want, got)) if a != b), min(len(want), len(got)))
    surplus = _surplus(ending) - _surplus(undisturbed)
    shifts = range(1, max(WIDEST, surplus) + 1)
    if surplus > 0 and any(_is_shifted(want, got, at, n) for n in shifts):
        return Outcome(Kind.MISSING, at)
    if ending.left_over > undisturbed.left_over and any(
        _is_shifted(want, got, at, -n) for n in shifts if n <= at
    ):
        return Outcome(Kind.DUPLICATE, at)
    if len(got) == len(want) and ending.left_over <= undisturbed.left_over:
        wrong = sum(a != b for a, b in zip(want, got))
        if wrong <= WIDEST and got[at + WIDEST :] == want[at + WIDEST :]:
            return Outcome(Kind.STALE, at)
    return Outcome(Kind.TORN, at)


def _surplus(ending: Ending) -> int:
    """Bytes that the device gave and that the driver does not have."""
    return ending.taken - len(ending.guest)


def _is_shifted(want: bytes, got: bytes, at: int, by: int) -> bool:
    """Does ``got`` from ``at`` on continue ``want`` from ``at + by``, as far as both go?"""
    tail = want[at + by :]
    length = min(len(tail), len(got) - at)
    return got[at : at + length] == tail[:length]
