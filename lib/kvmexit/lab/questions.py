"""A question, its parts, and what became of an answer."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.lab.landings import Failure
from kvmexit.lab.players import Player
from kvmexit.lab.starting import Direct
from kvmexit.lab.words import NOT_ANSWERED, Hopeless, StudentError

_BROKEN = re.compile(r"raised (?:Syntax|Indentation|Tab)Error|the cell that begins ")
"""Of the cells that fail those that a student will want to know of: in a notebook they fail too."""
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

    ``printed`` is what the answer printed there, or in the last try if it is right. ``is_blank``:
    there is no answer. ``landing`` is where it fails first, in words, if it fails at a landing.
    """

    question: str
    points: int
    out_of: int
    reason: str
    parts: tuple[tuple[str, int, int], ...] = ()
    failure: Failure | None = None
    printed: str = ""
    is_blank: bool = False

    @property
    def landing(self) -> str | None:
        return self.failure.where if self.failure else None

    @property
    def part(self) -> str | None:
        """The first part that failed."""
        return next((label for label, points, _ in self.parts if not points), None)

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
            "blank": self.is_blank,
            "landing": self.landing,
            "parts": [list(part) for part in self.parts],
            "ioctls": list(self.failure.calls) if self.failure else [],
        }


def nothing(question: Question, reason: str, is_blank: bool = False) -> Verdict:
    """No points, for a reason that lies before the first part."""
    return Verdict(question.number, 0, question.out_of, reason, is_blank=is_blank)


def judge(question: Question, player: Player | Direct, seed: int) -> Verdict:
    """Try every part of ``question`` on the answer that ``player`` has loaded."""
    if player.names.get(question.name, "nothing"):
        why = missing(question, player.names, player.problems)
        return nothing(question, why, is_blank=question.name not in player.names)
    results: list[tuple[str, int, int]] = []
    reasons: list[str] = []
    failure, printed = None, ""
    for part in question.parts:
        try:
            finding = _finding(part, player, seed)
        except Hopeless as problem:
            return nothing(question, str(problem), is_blank=str(problem) == NOT_ANSWERED)
        if finding is not None:
            if not reasons:
                printed = player.printed
                failure = finding if isinstance(finding, Failure) else None
            reasons.append(f"{part.label}: {finding}")
        results.append((part.label, 0 if finding else part.points, part.points))
    points = sum(got for _, got, _ in results)
    reason = reasons[0] if reasons else f"right everywhere{question.where()}"
    if reasons:
        first, *rest = reason.split("\n")
        if len(reasons) > 1:
            first += f" (and {len(reasons) - 1} more of {len(results)} parts failed)"
        if broken := next(filter(_BROKEN.match, player.problems), None):
            first += f" ({broken})" if broken.startswith("the") else f" (a cell {broken})"
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


def _finding(part: Part, player: Player | Direct, seed: int) -> Finding:
    """What is wrong with an answer, in one part. Raises Hopeless if the next would say the same."""
    try:
        return part.test(player, seed)
    except Hopeless:
        raise
    except StudentError as problem:
        return str(problem)
    except (TypeError, ValueError, AttributeError, RecursionError) as problem:
        # A value of a shape that nobody thought of: it is the student's, and so is the sentence.
        return f"gave a value that cannot be used ({type(problem).__name__}: {problem!s:.80})"


def missing(question: Question, names: Mapping[str, str], problems: Sequence[str]) -> str:
    """What to say of an answer in which the question's name cannot be called."""
    if what := names.get(question.name):
        return f"{question.name} is no function and no class, but a value of type {what}"
    why = f"; a cell failed: {problems[0]}" if problems else ""
    own = [name for name, what in names.items() if not what and not name.startswith("_")]
    alike = {name.lower(): name for name in own}
    near = get_close_matches(question.name.lower(), alike, 1, 0.75)
    if near:
        why = f"; is {alike[near[0]]} meant? The name is {question.name}{why}"
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
