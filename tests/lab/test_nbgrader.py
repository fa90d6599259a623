"""The same verdicts by nbgrader, and notebooks that come back damaged."""

import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from kvmexit.lab import catalogue
from nbgrader_course import Course, with_answers
from patience import draws
from wrong_answers import EXPECTED, FOLDER

BOOK = Path(__file__).resolve().parents[2] / "book" / "labs"
SOURCE = Path(__file__).resolve().parent / "source"
NAMES = list(catalogue.NOTEBOOKS.values())


def cells_of(notebook: Any) -> list[tuple[str, str, Any]]:
    return [(c.cell_type, c.source, c.metadata.get("nbgrader")) for c in notebook.cells]


@pytest.mark.parametrize("name", NAMES)
def test_the_book_holds_what_the_source_releases(course: Course, name: str) -> None:
    committed = nbformat.read(BOOK / f"{name}.ipynb", as_version=4)
    assert cells_of(committed) == cells_of(course.release(name))
    text = nbformat.writes(committed)
    assert "SOLUTION" not in text and "HIDDEN" not in text and "2026" not in text


@pytest.mark.parametrize("name", NAMES[draws(1, in_ci=0) :: draws(2, in_ci=1)])
def test_reference_and_release(course: Course, name: str) -> None:
    source = nbformat.read(SOURCE / name / f"{name}.ipynb", as_version=4)
    lab = next(n for n, stem in catalogue.NOTEBOOKS.items() if stem == name)
    full = {f"{q.number.replace('.', '-')}-points": q.out_of for q in catalogue.questions(lab)}
    right = course.grade(name, "right", source)
    assert {cell: points for cell, (points, _) in right.items()} == full
    empty = course.grade(name, "empty", course.release(name))
    assert {cell: points for cell, (points, _) in empty.items()} == dict.fromkeys(full, 0)
    assert all("not answered yet" in said for _, said in empty.values())


@pytest.mark.parametrize("name", [*EXPECTED][:: draws(6, in_ci=1)])
def test_wrong_answer(course: Course, name: str) -> None:
    number, expected, words = EXPECTED[name]
    if number == "5.1" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        words = words.replace("real kernel", "recorded kernel")
    lab = catalogue.NOTEBOOKS[int(number[0])]
    code = (FOLDER / f"{name}.py").read_text()
    grades = course.grade(lab, name, with_answers(course.release(lab), code))
    points, said = grades[f"{number.replace('.', '-')}-points"]
    full = catalogue.question(number).out_of
    assert points == expected or expected is None and points < full, said
    assert words in " ".join(said.split())


DAMAGED = {"6-machines": {"6-1-points": 3}, "2-stop": {"2-1-points": 6, "2-2-points": 4}}
"""Labs that come back damaged, with their full marks. The first takes no time to grade."""


def damaged(how: str, name: str) -> str:
    notebook = json.loads((SOURCE / name / f"{name}.ipynb").read_text())
    cells = notebook["cells"]
    for cell in cells:
        settings = cell["metadata"].get("nbgrader", {})
        if how == "no metadata":
            cell["metadata"] = {}
        elif how == "more points" and settings.get("grade"):
            settings["points"] = 600
            cell["source"] = "6000"
        elif how == "points cells are answers" and settings.get("grade"):
            settings.update(grade=False, locked=False, solution=True)
    if how == "points cells deleted":
        notebook["cells"] = [c for c in cells if not c["metadata"].get("nbgrader", {}).get("grade")]
    if how == "every cell twice":
        notebook["cells"] = cells + cells
    return json.dumps(notebook)


@pytest.mark.parametrize(
    "how",
    [
        "no metadata",
        "more points",
        "points cells are answers",
        "points cells deleted",
        "every cell twice",
    ],
)
@pytest.mark.parametrize("name", [*DAMAGED][: draws(1, in_ci=2)])
def test_damaged(course: Course, name: str, how: str) -> None:
    """A right answer gets its points, no more, and a message if something is missing."""
    grades = course.grade(name, how.replace(" ", "-"), damaged(how, name))
    assert {cell: points for cell, (points, _) in grades.items()} == DAMAGED[name]
    first = next(iter(DAMAGED[name]))
    missing = f"the cell {first} or its metadata is missing" in grades[first][1]
    assert missing == (how in ("no metadata", "points cells deleted"))


HANGS = """
import os, time
def stop(vcpu, bus):
    os.closerange(3, 64)
    time.sleep(10**6)
"""


def test_what_once_stopped_or_hung_the_batch_is_a_sentence(course: Course) -> None:
    """With a BOM; half a file; an answer that closes its pipes and sleeps."""
    whole = (SOURCE / "2-stop" / "2-stop.ipynb").read_text()
    marks = {"2-1-points": 6, "2-2-points": 4}
    with_bom = course.grade("2-stop", "bom", f"\ufeff{whole}")
    assert {name: points for name, (points, _) in with_bom.items()} == marks
    half = course.grade("2-stop", "half", whole[: len(whole) // 2])
    assert {points for points, _ in half.values()} == {0}
    assert all("2-stop.ipynb is no notebook: line" in said for _, said in half.values())
    hangs = course.grade("2-stop", "hangs", with_answers(course.release("2-stop"), HANGS))
    points, said = hangs["2-1-points"]
    assert points == 0 and "closed its pipe to the referee" in said
