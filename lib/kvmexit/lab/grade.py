"""Grading a folder: each submission has a referee of its own, and no submission stops another.

The grader forks one process a submission (the *referee*); the referee starts one jailed process
a question, in which the student's code runs. A referee that dies or takes too long costs its
own submission and nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from kvmexit.lab import catalogue, starting
from kvmexit.lab.players import QUESTION_SECONDS, Player, Total
from kvmexit.lab.questions import Question, Verdict, judge, nothing
from kvmexit.lab.starting import Answers
from kvmexit.lab.submission import Submission

SUBMISSION_SECONDS = 600.0
"""Time on the clock of one submission, after which what is not graded yet gets no points. It is the
last resort: what a student's process may compute and wait is limited long before
(:mod:`kvmexit.lab.players`)."""


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


def verdict_on(question: Question, answers: Answers, seed: int) -> Verdict:
    """Grade one question in a new jailed process. This is what every grade comes from."""
    return judged(question, answers, seed)[0]


def judged(
    question: Question,
    answers: Answers,
    seed: int,
    then: Callable[[Verdict, Player], Any] = lambda verdict, player: None,
) -> tuple[Verdict, Any]:
    """The verdict, and what ``then`` makes of it while the process is still there."""
    if answers.problem is not None:
        return nothing(question, answers.problem), None
    answers.total = Total()
    with starting.spawn(answers) as player:
        if not player.is_locked and not player.problems:
            why = "the jail could not be closed on this machine; not graded"
            return nothing(question, why), None
        verdict = judge(question, player, seed)
        return verdict, then(verdict, player)


def most_seconds(lab: int) -> float:
    """What all processes of a submission of ``lab`` may compute and wait for, together. Time in
    which they lack a processor is not counted, and the referee's own is its own."""
    return QUESTION_SECONDS * len(catalogue.questions(lab))


def _questions(submission: Submission) -> tuple[Question, ...]:
    return () if submission.lab is None else catalogue.questions(submission.lab)


def _referee(pipe: Connection, submission: Submission, seed: int) -> None:
    answers = Answers(submission.cells)
    try:
        for question in _questions(submission):
            pipe.send(verdict_on(question, answers, seed))
    except Exception as problem:  # a mistake of the grader's, which the lecturer must hear of
        pipe.send(f"its referee ended with {type(problem).__name__}: {problem!s:.200}")
    pipe.close()


class Running:
    """A referee at work, and the verdicts it has sent so far."""

    def __init__(self, submission: Submission, seed: int) -> None:
        self.submission = submission
        self.verdicts: list[Verdict] = []
        self.pipe, theirs = _FORK.Pipe(duplex=False)
        self.process = _FORK.Process(target=_referee, args=(theirs, submission, seed))
        self.process.start()
        theirs.close()
        self.deadline = time.monotonic() + SUBMISSION_SECONDS
        self.why: str | None = None

    def listen(self) -> bool:
        """Take a verdict; False at the end."""
        try:
            said = self.pipe.recv()
        except (EOFError, OSError):
            return False
        if isinstance(said, str):
            self.why = f"{said}; not graded: this is the grader's fault, not the student's"
            return False
        self.verdicts.append(said)
        return True

    def finish(self, why: str | None = None) -> Graded:
        """End the referee; what it has not said gets no points, for the reason ``why``."""
        self.process.join(0.0 if why else 5.0)
        code = self.process.exitcode
        self.process.kill()
        self.process.join()
        self.pipe.close()
        if code is not None and code < 0:
            by = signal.Signals(-code).name
            self.why = f"its referee was ended by {by}; not graded: grade this one again"
        why = why or self.why or "its referee ended; not graded"
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
    if any(s.problem is None for s in all_submissions):
        starting.open_nursery()
    results: dict[int, Graded] = {}
    waiting = list(enumerate(all_submissions))[::-1]
    running: dict[int, Running] = {}

    def done(number: int, graded: Graded) -> None:
        results[number] = graded
        on_graded(graded)

    try:
        while waiting or running:
            while waiting and len(running) < (jobs or os.cpu_count() or 1):
                number, submission = waiting.pop()
                if submission.problem is None:
                    running[number] = Running(submission, seed)
                else:
                    lost = [nothing(q, submission.problem) for q in _questions(submission)]
                    done(number, Graded(submission, tuple(lost)))
            now = time.monotonic()
            timeout = min((r.deadline - now for r in running.values()), default=0.0)
            ready = wait([r.pipe for r in running.values()], max(0.0, timeout))
            for number, referee in list(running.items()):
                if referee.pipe in ready and not referee.listen():
                    done(number, running.pop(number).finish())
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
        "file": submission.file,
        "lab": submission.lab,
        "points": graded.points,
        "out_of": graded.out_of,
        "problem": submission.problem,
        "notes": list(submission.notes),
        "questions": [verdict.as_json() for verdict in graded.verdicts],
    }
