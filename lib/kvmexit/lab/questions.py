"""A question, its parts, and what became of an answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.lab.landings import Failure
from kvmexit.lab.players import Player
from kvmexit.lab.starting import Direct
from kvmexit.lab.words import Hopeless, StudentError

Finding = Failure | str | None
"""What is wrong with an answer: in a word, at a landing, or nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """What ``points`` are given for. ``test(player, seed)`` looks for something wrong."""

    label: str
    points: int
    test: Callable[[Any, int], Finding]


@dataclass(frozen=True, slots=True)
class Question:
    """One name that a student defines. ``number`` is lab and question: ``2.1``.

    ``prepare(seed)`` computes what every answer will be held against, once for a whole batch.
    ``where()`` is said of a right answer, where that depends on the machine.
    """

    number: str
    name: str
    title: str
    parts: Sequence[Part]
    prepare: Callable[[int], object] = lambda seed: None
    where: Callable[[], str] = lambda: ""

    @property
    def lab(self) -> int:
        return int(self.number.partition(".")[0])

    @property
    def out_of(self) -> int:
        return sum(part.points for part in self.parts)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The points of one answer and the reason: the first part that failed, in words.

    ``printed`` is what the answer printed there, or in the last try if it is right.
    """

    question: str
    points: int
    out_of: int
    reason: str
    parts: tuple[tuple[str, int, int], ...] = ()
    failure: Failure | None = None
    printed: str = ""

    @property
    def is_full(self) -> bool:
        return self.points == self.out_of

    def as_json(self) -> dict[str, Any]:
        """Values for JSON; ``parts`` are (label, points, out of)."""
        return {
            "question": self.question,
            "points": self.points,
            "out_of": self.out_of,
            "reason": self.reason,
            "parts": [list(part) for part in self.parts],
            "ioctls": list(self.failure.calls) if self.failure else [],
        }


def nothing(question: Question, reason: str) -> Verdict:
    """No points, for a reason that lies before the first part."""
    return Verdict(question.number, 0, question.out_of, reason)


def judge(question: Question, player: Player | Direct, seed: int) -> Verdict:
    """Try every part of ``question`` on the answer that ``player`` has loaded."""
    if question.name not in player.names:
        return nothing(question, missing(question, player.problems))
    results: list[tuple[str, int, int]] = []
    reasons: list[str] = []
    failure, printed = None, ""
    for part in question.parts:
        finding: Finding
        try:
            finding = part.test(player, seed)
        except Hopeless as problem:
            return nothing(question, str(problem))
        except StudentError as problem:
            finding = str(problem)
        if finding is not None:
            if not reasons:
                printed = player.printed
                failure = finding if isinstance(finding, Failure) else None
            reasons.append(f"{part.label}: {finding}")
        results.append((part.label, 0 if finding else part.points, part.points))
    points = sum(got for _, got, _ in results)
    reason = reasons[0] if reasons else f"right everywhere{question.where()}"
    if len(reasons) > 1:
        first, *rest = reason.split("\n")
        first += f" (and {len(reasons) - 1} more of {len(results)} parts failed)"
        reason = "\n".join([first, *rest])
    return Verdict(
        question.number,
        points,
        question.out_of,
        reason,
        tuple(results),
        failure,
        printed if reasons else player.printed,
    )


def missing(question: Question, problems: Sequence[str]) -> str:
    """What to say of an answer that does not define the question's name."""
    why = f"; a cell failed: {problems[0]}" if problems else ""
    return f"{question.name} is missing: no cell that ran defines it{why}"


def rng(topic: str, seed: int) -> random.Random:
    """The source of a problem: the same for a topic and a seed on every machine."""
    if not isinstance(seed, int) or not 0 <= seed < 1 << 63:
        raise KvmExitError(f"a seed is a number from 0 to 2**63 - 1, not {seed!r}")
    return random.Random(f"kvmexit {topic} {seed}")


def random_response(dice: random.Random, length: int) -> bytes:
    """A response of ``length`` bytes, its size in its header, all neighbours different."""
    header = b"\x80\x01" + length.to_bytes(4, "big") + dice.randbytes(4)
    body = bytearray(header)
    while len(body) < length:
        byte = dice.randrange(1, 255)
        if byte not in body[-2:]:
            body.append(byte)
    return bytes(body)
