"""What the pages for lecturers say of the labs is what the labs are."""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from kvmexit.lab import catalogue
from wrong_answers import EXPECTED

BOOK = Path(__file__).resolve().parents[2] / "book"
INSTRUCTOR = (BOOK / "labs" / "instructor.md").read_text().replace("\N{NO-BREAK SPACE}", " ")
TEACHING = (BOOK / "reference" / "teaching.md").read_text()
RUBRIC = {
    "enters once and serves": "2_drains_once",
    "enters once and ignores the result": "2_ignores_the_result",
    "never sets `immediate_exit`": "2_never_sets",
    "never clears `immediate_exit`": "2_never_clears",
    "serves by the stale `exit_reason`": "2_reads_the_stale_reason",
    "saves at once": "2_saves_at_once",
}
"""Rows of the rubric, and the answer of the tests that is so."""


def rows(text: str, head: str) -> list[list[str]]:
    """The cells of the table whose first line begins with ``head``."""
    lines = text[text.index(f"| {head} |") :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def chapters(text: str) -> set[int]:
    """``5 to 7``, or ``8, 9 and 12``, as numbers."""
    found: set[int] = set()
    for first, last in re.findall(r"\b(\d+)(?: to (\d+))?\b", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def needed(lab: int) -> set[int]:
    """The chapters that a lab says it needs, at its top."""
    path = BOOK / "labs" / f"{catalogue.NOTEBOOKS[lab]}.ipynb"
    texts = [cell.source for cell in nbformat.read(path, as_version=4).cells[:3]]
    (said,) = re.findall(r"You need (.*)\.", "\n".join(texts))
    return chapters(re.sub(r"lab \d", "", said))


def by_row(table: list[list[str]], read: int, given: int) -> Iterator[tuple[int, set[int]]]:
    """Each lab that a timetable gives, and the chapters that were read by then."""
    known: set[int] = set()
    for row in table:
        known = known | chapters(row[read])
        for lab, name in catalogue.NOTEBOOKS.items():
            if name in row[given] or re.search(rf"\blab {lab}\b", row[given]):
                yield lab, known
            elif lab == 6 and row[given].endswith("bonus"):
                yield lab, known


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(list(by_row(rows(TEACHING, "day"), 1, 2)), id="a week"),
        pytest.param(list(by_row(rows(INSTRUCTOR, "week"), 1, 3)), id="six weeks"),
    ],
)
def test_no_lab_comes_before_what_it_needs(table: list[tuple[int, set[int]]]) -> None:
    assert {lab for lab, _ in table} == set(catalogue.TITLES)
    for lab, known in table:
        assert needed(lab) and needed(lab) <= known, f"lab {lab} needs {needed(lab) - known}"


def test_the_points_of_each_lab() -> None:
    table = rows(INSTRUCTOR, "lab")
    said = [int(row[-1]) for row in table]
    labs = [sum(one.out_of for one in catalogue.questions(lab)) for lab in catalogue.TITLES]
    assert said == labs
    for (name, *_), title in zip(table[:-1], catalogue.TITLES.values()):
        assert name.endswith(title)


def test_the_rubric_gives_what_the_grader_gives() -> None:
    said = {answer: marks for answer, marks, _ in rows(INSTRUCTOR, "answer")}
    full = catalogue.question("2.1").out_of
    given = {answer: EXPECTED[file][1] for answer, file in RUBRIC.items()} | {"drains": full}
    assert said == {answer: f"{points} of {full}" for answer, points in given.items()}
