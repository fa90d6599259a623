"""The same verdicts by nbgrader, and notebooks that come back damaged."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from every_answer import BOOK, notebook_of, packed
from kvmexit.lab import catalogue
from kvmexit.lab.grade import grade
from kvmexit.lab.notebook import Checked
from kvmexit.lab.submission import cell_ids, submissions
from nbgrader_course import Course, with_answers
from patience import SEED, draws, some
from shell import Kernel

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


NOTEBOOKS = packed()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    kernel = Kernel(tmp_path_factory.mktemp("notebook"))
    yield kernel
    kernel.close()


@pytest.mark.parametrize("number", some(range(len(NOTEBOOKS)), 3))
def test_the_same_marks_and_reasons(
    course: Course, kernel: Kernel, tmp_path: Path, number: int
) -> None:
    """By the folder, by nbgrader, by the check in the student's own notebook; and as expected."""
    answers = NOTEBOOKS[number]
    notebook, lab = notebook_of(answers), catalogue.NOTEBOOKS[int(answers[0].question[0])]
    path = tmp_path / f"{number}-{lab}.ipynb"
    path.write_text(json.dumps(notebook))
    (graded,) = grade(submissions(path), SEED)
    found = {verdict.question: verdict for verdict in graded.verdicts}
    with course.seeded(SEED):
        by_nbgrader = course.grade(lab, f"student-{number}", path.read_text())
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    own = [source for source in cells if not source.startswith("mark(")]  # the grader's
    checked = kernel.check(own, [*found], SEED)
    for answer in answers:
        verdict, who = found[answer.question], (answer.name, answer.question, SEED)
        points, said = by_nbgrader[cell_ids(catalogue.question(answer.question))[1]]
        assert points == verdict.points, who
        assert said == f"{Checked(verdict, verdict.printed)}\ngraded with seed {SEED}\n", who
        assert checked[answer.question] == repr(Checked(verdict, verdict.printed)), who
        assert answer.is_right == verdict.is_full, (who, verdict.reason)
        assert " ".join(answer.words.split()) in " ".join(verdict.reason.split()), (
            who,
            verdict.reason,
        )


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
    assert (f"the cell {first} is there twice" in grades[first][1]) == (how == "every cell twice")


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
