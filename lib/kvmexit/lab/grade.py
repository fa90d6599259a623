"""Grading a folder: each submission has a referee of its own, and no submission stops another.

The grader forks one process a submission (the *referee*); the referee starts one jailed process
a question, in which the student's code runs. A referee that dies or takes too long costs its
own submission and nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from kvmexit.lab import catalogue, starting
from kvmexit.lab.questions import Question, Verdict, judge, nothing
from kvmexit.lab.submission import Submission

SUBMISSION_SECONDS = 900.0
"""Wall time of one submission, after which what is not graded yet gets no points."""


@dataclass(frozen=True, slots=True)
class Graded:
    """A submission and the verdicts on each question of its lab."""

    submission: Submission
    verdicts: tuple[Verdict, ...]

    @property
    def points(self) -> int:
        return sum(verdict.points for verdict in self.verdicts)

    @property
    def out_of(self) -> int:
        return sum(verdict.out_of for verdict in self.verdicts)


def verdict_on(question: Question, cells: Iterable[str], seed: int) -> Verdict:
    """Grade one question in a new jailed process. This is what every grade comes from."""
    with starting.spawn(list(cells)) as player:
        if not player.is_locked and not player.problems:
            return nothing(question, "the jail could not be closed on this machine; not graded")
        return judge(question, player, seed)


def _questions(submission: Submission) -> tuple[Question, ...]:
    return () if submission.lab is None else catalogue.questions(submission.lab)


def _referee(pipe: Connection, submission: Submission, seed: int) -> None:
    for question in _questions(submission):
        pipe.send(verdict_on(question, submission.cells, seed))
    pipe.close()


class _Running:
    """A referee at work, and the verdicts it has sent so far."""

    def __init__(self, submission: Submission, seed: int) -> None:
        self.submission = submission
        self.verdicts: list[Verdict] = []
        self.pipe, theirs = _FORK.Pipe(duplex=False)
        self.process = _FORK.Process(target=_referee, args=(theirs, submission, seed))
        self.process.start()
        theirs.close()
        self.deadline = time.monotonic() + SUBMISSION_SECONDS

    def listen(self) -> bool:
        """Take a verdict; False at the end."""
        try:
            self.verdicts.append(self.pipe.recv())
            return True
        except (EOFError, OSError):
            return False

    def finish(self, why: str) -> Graded:
        """End the referee; what it has not said gets no points, for the reason ``why``."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        left = _questions(self.submission)[len(self.verdicts) :]
        return Graded(self.submission, (*self.verdicts, *(nothing(q, why) for q in left)))


_FORK = multiprocessing.get_context("fork")


def grade(
    all_submissions: list[Submission],
    seed: int,
    jobs: int | None = None,
    on_graded: Callable[[Graded], None] = lambda graded: None,
) -> list[Graded]:
    """Grade every submission, ``jobs`` at a time; results in the order of ``all_submissions``.

    ``on_graded`` hears each as it is done.
    """
    for lab in sorted({s.lab for s in all_submissions if s.lab and s.problem is None}):
        for question in catalogue.questions(lab):
            question.prepare(seed)
    results: dict[int, Graded] = {}
    waiting = list(enumerate(all_submissions))[::-1]
    running: dict[int, _Running] = {}

    def done(number: int, graded: Graded) -> None:
        results[number] = graded
        on_graded(graded)

    try:
        while waiting or running:
            while waiting and len(running) < (jobs or os.cpu_count() or 1):
                number, submission = waiting.pop()
                if submission.problem is None:
                    running[number] = _Running(submission, seed)
                else:
                    lost = [nothing(q, submission.problem) for q in _questions(submission)]
                    done(number, Graded(submission, tuple(lost)))
            now = time.monotonic()
            timeout = min((r.deadline - now for r in running.values()), default=0.0)
            ready = wait([r.pipe for r in running.values()], max(0.0, timeout))
            for number, referee in list(running.items()):
                if referee.pipe in ready and not referee.listen():
                    done(number, running.pop(number).finish("its referee ended; not graded"))
                elif time.monotonic() > referee.deadline:
                    why = f"took more than {SUBMISSION_SECONDS:.0f} s in all"
                    done(number, running.pop(number).finish(why))
    finally:
        for referee in running.values():
            referee.finish("interrupted")
    return [results[number] for number in range(len(all_submissions))]


def as_json(graded: Graded) -> dict[str, Any]:
    """One submission as JSON values."""
    submission = graded.submission
    return {
        "student": submission.student,
        "file": submission.path.name,
        "lab": submission.lab,
        "points": graded.points,
        "out_of": graded.out_of,
        "problem": submission.problem,
        "notes": list(submission.notes),
        "questions": [verdict.as_json() for verdict in graded.verdicts],
    }
