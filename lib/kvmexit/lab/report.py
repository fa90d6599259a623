"""What a lecturer gets: a table, a CSV file, a JSON document, statistics by question."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from statistics import mean
from typing import IO, Any

from kvmexit.lab import catalogue
from kvmexit.lab.grade import Graded, as_json

COLUMNS = ("student", "file", "lab", "question", "points", "out_of", "reason", "notes")


@dataclass(frozen=True, slots=True)
class Statistics:
    """How a question was answered. ``failed`` counts, for each part, who did not get it."""

    question: str
    answers: int
    out_of: int
    mean: float
    full: int
    zero: int
    failed: dict[str, int]


def statistics(all_graded: list[Graded]) -> list[Statistics]:
    """One row for each question that anybody was graded on."""
    rows = []
    for number in catalogue.QUESTIONS:
        verdicts = [v for graded in all_graded for v in graded.verdicts if v.question == number]
        if not verdicts:
            continue
        failed: Counter[str] = Counter()
        for verdict in verdicts:
            failed.update(label for label, points, _ in verdict.parts if not points)
        rows.append(
            Statistics(
                number,
                len(verdicts),
                verdicts[0].out_of,
                round(mean(v.points for v in verdicts), 2),
                sum(v.is_full for v in verdicts),
                sum(v.points == 0 for v in verdicts),
                dict(failed.most_common()),
            )
        )
    return rows


def document(all_graded: list[Graded], seed: int, kernel: str) -> dict[str, Any]:
    """All there is to know, for JSON. ``kernel`` is the one that lab 5 ran on."""
    return {
        "seed": seed,
        "lab 5 kernel": kernel,
        "submissions": [as_json(graded) for graded in all_graded],
        "statistics": [
            {
                "question": row.question,
                "answers": row.answers,
                "out_of": row.out_of,
                "mean": row.mean,
                "full": row.full,
                "zero": row.zero,
                "failed parts": row.failed,
            }
            for row in statistics(all_graded)
        ],
    }


def write_csv(all_graded: list[Graded], file: IO[str]) -> None:
    """One row a question; a file of which not even the lab is known has one row."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for graded in all_graded:
        submission = graded.submission
        head = [_cell(submission.student), _cell(submission.path.name), submission.lab or ""]
        notes = "; ".join(submission.notes)
        if submission.problem is not None and not graded.verdicts:
            writer.writerow([*head, "", 0, "", _cell(submission.problem), notes])
        for verdict in graded.verdicts:
            points = (verdict.question, verdict.points, verdict.out_of)
            writer.writerow([*head, *points, _cell(verdict.reason), notes])


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def marks_table(all_graded: list[Graded]) -> list[tuple[str, ...]]:
    """The grades for a person: rows of cells, first the headings."""
    rows: list[tuple[str, ...]] = [("student", "question", "points", "reason")]
    for graded in all_graded:
        submission = graded.submission
        if submission.problem is not None and not graded.verdicts:
            rows.append((submission.student, "", "0", submission.problem))
        for verdict in graded.verdicts:
            reason = verdict.reason.split("\n")[0]
            if submission.notes:
                reason += f" [{'; '.join(submission.notes)}]"
            points = f"{verdict.points} of {verdict.out_of}"
            rows.append((submission.student, verdict.question, points, reason))
    return rows


def statistics_table(all_graded: list[Graded]) -> list[tuple[str, ...]]:
    """How each question was answered: rows of cells, first the headings."""
    rows: list[tuple[str, ...]] = [("question", "answers", "mean", "full", "zero", "missed by")]
    for row in statistics(all_graded):
        missed = "; ".join(f"{label}: {count}" for label, count in row.failed.items())
        average = f"{row.mean:.2f} of {row.out_of}"
        rows.append((row.question, str(row.answers), average, str(row.full), str(row.zero), missed))
    return rows
