"""What a lecturer gets: a table, a CSV file, a JSON document, statistics by question."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import IO, Any

from kvmexit.lab import catalogue
from kvmexit.lab.grade import Graded, as_json

COLUMNS = ("student", "file", "lab", "question", "points", "out_of", "reason", "notes")


@dataclass(frozen=True, slots=True)
class Statistics:
    """How a question was answered. ``blank`` have no answer, or none that could be read; the mean
    is of the others, and so are ``full`` and ``zero``. ``failed`` counts, for each part, who
    missed it. ``landings`` are where answers failed first, the most frequent first: part, landing,
    how many, and the first who failed there.
    """

    question: str
    handed_in: int
    answered: int
    blank: int
    out_of: int
    mean: float
    full: int
    zero: int
    failed: dict[str, int]
    landings: tuple[tuple[str, str, int, Graded], ...]


def statistics(all_graded: list[Graded]) -> list[Statistics]:
    """One row for each question that anybody was graded on."""
    rows = []
    for number in catalogue.QUESTIONS:
        every = [(g, v) for g in all_graded for v in g.verdicts if v.question == number]
        if not every:
            continue
        tried = [(g, v) for g, v in every if not v.is_blank and g.submission.problem is None]
        failed: Counter[str] = Counter()
        places: dict[tuple[str, str], list[Graded]] = defaultdict(list)
        for graded, verdict in tried:
            lost = [label for label, points, _ in verdict.parts if not points]
            if not verdict.parts:  # lost before the first part
                lost = [part.label for part in catalogue.question(number).parts]
            failed.update(lost)
            if verdict.landing is not None:
                places[verdict.part or "", verdict.landing].append(graded)
        rows.append(
            Statistics(
                number,
                len(every),
                len(tried),
                len(every) - len(tried),
                every[0][1].out_of,
                round(mean([v.points for _, v in tried] or [0]), 2),
                sum(v.is_full for _, v in tried),
                sum(v.points == 0 for _, v in tried),
                dict(failed.most_common()),
                tuple(
                    (part, where, len(who), who[0])
                    for (part, where), who in sorted(places.items(), key=lambda p: -len(p[1]))
                ),
            )
        )
    return rows


def document(
    all_graded: list[Graded], seed: int, kernel: str, passed_over: Sequence[str] = ()
) -> dict[str, Any]:
    """All there is to know, for JSON. ``kernel`` is the one that lab 5 ran on."""
    return {
        "seed": seed,
        "lab 5 kernel": kernel,
        "submissions": [as_json(graded) for graded in all_graded],
        "statistics": [
            {
                "question": row.question,
                "handed in": row.handed_in,
                "answers": row.answered,
                "blank": row.blank,
                "out_of": row.out_of,
                "mean": row.mean,
                "full": row.full,
                "zero": row.zero,
                "failed parts": row.failed,
                "first failing landings": [
                    {"part": part, "landing": where, "answers": count}
                    for part, where, count, _ in row.landings
                ],
            }
            for row in statistics(all_graded)
        ],
        "passed over": list(passed_over),
    }


def write_csv(all_graded: list[Graded], file: IO[str]) -> None:
    """One row a question; a file of which not even the lab is known has one row."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for graded in all_graded:
        submission = graded.submission
        head = [_cell(submission.student), _cell(submission.file), submission.lab or ""]
        notes = "; ".join(submission.notes)
        if submission.problem is not None and not graded.verdicts:
            writer.writerow([*head, "", 0, "", _cell(submission.problem), notes])
        for verdict in graded.verdicts:
            points = (verdict.question, verdict.points, verdict.out_of)
            writer.writerow([*head, *points, _cell(verdict.reason), notes])


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def rows(all_graded: list[Graded]) -> Iterator[tuple[str, str, str, str]]:
    """Student, question, points and reason, as they are shown to a person."""
    for graded in all_graded:
        submission = graded.submission
        notes = f" [{'; '.join(submission.notes)}]" if submission.notes else ""
        if submission.problem is not None and not graded.verdicts:
            yield submission.student, "", "0", submission.problem + notes
        for verdict in graded.verdicts:
            points = f"{verdict.points} of {verdict.out_of}"
            reason = verdict.reason.split("\n")[0] + notes
            yield submission.student, verdict.question, points, reason


SUMMARY = ("question", "answers", "blank", "mean", "full", "zero", "parts missed by")


def summary(row: Statistics) -> tuple[str, ...]:
    """A row of the statistics in words."""
    missed = "; ".join(f"{label}: {count}" for label, count in row.failed.items())
    average = f"{row.mean:.2f} of {row.out_of}"
    counts = (row.answered, row.blank, average, row.full, row.zero)
    return (row.question, *map(str, counts), missed)


def tables(all_graded: list[Graded]) -> Iterator[list[tuple[str, ...]]]:
    """The grades, how each question was answered, and where most answers fail first, for a person:
    rows of cells, first the headings. A table without rows is left out."""
    every = statistics(all_graded)
    places = [
        (row.question, str(count), f"{part}: landing at {where}")
        for row in every
        for part, where, count, _ in row.landings[:3]
    ]
    for heads, cells in (
        (("student", "question", "points", "reason"), list(rows(all_graded))),
        (SUMMARY, [summary(row) for row in every]),
        (("question", "answers", "fail first at"), places),
    ):
        if cells:
            yield [heads, *cells]
