"""What a student calls in a cell: problems, and checks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from kvmexit.lab import catalogue, players
from kvmexit.lab.catalogue import Problem
from kvmexit.lab.questions import Verdict, judge, missing, nothing

PUBLIC_SEED = 1


class Checked:
    """A verdict, as a cell shows it: the points, the reason, the ioctls of the landing."""

    def __init__(self, verdict: Verdict, printed: str = "") -> None:
        self.verdict, self.printed = verdict, printed

    def __repr__(self) -> str:
        verdict = self.verdict
        lines = [f"{verdict.question}: {verdict.points} of {verdict.out_of} points"]
        for label, points, out_of in verdict.parts:
            lines.append(f"  {'ok' if points else '--'}  {label} ({points} of {out_of})")
        lines.append(verdict.reason)
        if verdict.failure and verdict.failure.calls:
            lines.append("From that landing on your VMM did:")
            lines += [f"  {call}" for call in verdict.failure.calls]
        if self.printed:
            lines += ["Your code printed:", self.printed.rstrip("\n")]
        return "\n".join(lines)


class Mark(float):
    """Points as nbgrader reads them: the number is what the cell returns."""

    def __repr__(self) -> str:
        return f"{float(self):g}"


def check(number: str, answer: Callable[..., Any], seed: int = PUBLIC_SEED) -> Checked:
    """Try ``answer`` on question ``number``, e.g. ``check("2.1", stop)``.

    The grader does the same with another ``seed``; give any number to try more problems.
    """
    name = catalogue.question(number).name
    return _judged(number, {name: answer}, seed)


def mark(number: str, names: dict[str, Any], seed: int) -> Mark:
    """Print the verdict on the answer that ``names`` (``globals()``) hold; returns the points."""
    checked = _judged(number, names, seed)
    print(checked)
    return Mark(checked.verdict.points)


def _judged(number: str, names: dict[str, Any], seed: int) -> Checked:
    question = catalogue.question(number)
    if not callable(names.get(question.name)):
        return Checked(nothing(question, missing(question, [])))
    namespace = {question.name: names[question.name]}
    with players.fork(namespace) if hasattr(os, "fork") else players.Direct(namespace) as player:
        verdict = judge(question, player, seed)
        return Checked(verdict, player.printed)


def problem(lab: int, seed: int = PUBLIC_SEED) -> Problem:
    """Problem ``seed`` of ``lab``."""
    return catalogue.problem(lab, seed)


def answer(lab: int, seed: int = PUBLIC_SEED) -> Problem:
    """The same problem with its answer. Look after you have tried."""
    return catalogue.problem(lab, seed, with_answer=True)
