"""All labs: their titles, their questions, their problems."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill
from types import ModuleType
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.lab import device, log, machines, predict, real, stop
from kvmexit.lab.questions import Question

TITLES = {
    1: "Predict",
    2: "The stop path",
    3: "The device",
    4: "The log",
    5: "The real thing",
    6: "Another architecture",
}
_MODULES: dict[int, ModuleType] = {1: predict, 2: stop, 3: device, 4: log, 5: real, 6: machines}
NOTEBOOKS = {
    1: "1-predict",
    2: "2-stop",
    3: "3-device",
    4: "4-log",
    5: "5-real",
    6: "6-machines",
}
"""The file names of the labs' notebooks, without their ending; nbgrader's assignments too."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A generated problem, and its answer for whoever asks."""

    lab: int
    seed: int
    text: str
    answer: dict[str, Any] | None = None

    def __str__(self) -> str:
        if self.answer is None:
            return self.text
        given = "\n".join(f"{name}: {_plain(value)}" for name, value in self.answer.items())
        return f"{self.text}\n\n{given}"

    __repr__ = __str__


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def problem(lab: int, seed: int, with_answer: bool = False) -> Problem:
    """Problem ``seed`` of ``lab``: the same in a notebook, in the command and for the grader."""
    module = _MODULES[known(lab)]
    answer = module.answer(seed) if with_answer else None
    return Problem(lab, seed, wrapped(module.problem(seed)), answer)


def wrapped(text: str) -> str:
    """Prose at the width of a page; what is indented stays as it is."""
    lines = text.split("\n")
    return "\n".join(
        line if line[:1] == " " else fill(line, 76, break_on_hyphens=False) for line in lines
    )


def known(lab: int) -> int:
    """``lab``, if there is one of that number."""
    if lab not in TITLES:
        raise KvmExitError(f"there is no lab {lab!r}; labs are {', '.join(map(str, TITLES))}")
    return lab


def questions(lab: int) -> tuple[Question, ...]:
    """The questions of a lab."""
    found: tuple[Question, ...] = _MODULES[known(lab)].QUESTIONS
    return found


QUESTIONS = {question.number: question for lab in TITLES for question in questions(lab)}


def question(number: str) -> Question:
    """The question of that number, which is text."""
    if number not in QUESTIONS:
        known = ", ".join(map(repr, QUESTIONS))
        raise KvmExitError(f"there is no question {number!r}; there are {known}")
    return QUESTIONS[number]
