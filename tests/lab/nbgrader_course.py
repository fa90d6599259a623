"""An nbgrader course of the labs, to hand in to and to grade."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from traitlets.config import Config


def with_answers(notebook: nbformat.NotebookNode, code: str) -> nbformat.NotebookNode:
    """A student's notebook: all of ``code`` in the first answer cell, the others emptied."""
    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    answers = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    for cell in answers:
        cell.source = ""
    answers[0].source = code
    return notebook


def by_nbgrader(number: str, cells: list[str], seed: int | None) -> str:
    """What nbgrader's points cell says of an answer, with which seed; no course is needed."""
    from kvmexit.lab.nbgrader import Referee

    stem = number.replace(".", "-")
    points = {"grade": True, "grade_id": f"{stem}-points", "locked": True, "solution": False}
    last = new_code_cell(f'mark("{number}", globals(), 1)', metadata={"nbgrader": points})
    config = Config()
    config.Referee.seed = seed
    made = new_notebook(cells=[*map(new_code_cell, cells), last])
    notebook, _ = Referee(config=config).preprocess(made, {})
    said: str = notebook.cells[-1].outputs[0].text
    return said


class Course:
    """An nbgrader course that has released all labs."""

    def __init__(self, root: Path, api: Any) -> None:
        self.root, self.api = root, api

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Grade with this seed, and not with the course's."""
        of_course, self.api.config.Referee.seed = self.api.config.Referee.seed, seed
        yield
        self.api.config.Referee.seed = of_course

    def release(self, name: str) -> nbformat.NotebookNode:
        return nbformat.read(self.root / "release" / name / f"{name}.ipynb", as_version=4)

    def grade(self, name: str, student: str, notebook: Any) -> dict[str, tuple[float, str]]:
        """Submit, autograde; points and the text of the points cell, by the cell's id."""
        from nbgrader.api import Gradebook

        folder = self.root / "submitted" / student / name
        folder.mkdir(parents=True)
        text = notebook if isinstance(notebook, str) else nbformat.writes(notebook)
        (folder / f"{name}.ipynb").write_text(text)
        done = self.api.autograde(name, student)
        assert done["success"], done["log"]
        graded = nbformat.read(
            self.root / "autograded" / student / name / f"{name}.ipynb", as_version=4
        )
        said = {
            cell.metadata.nbgrader.grade_id: "".join(o.get("text", "") for o in cell.outputs)
            for cell in graded.cells
            if cell.metadata.get("nbgrader", {}).get("grade")
        }
        with Gradebook(f"sqlite:///{self.root}/gradebook.db", "exit-and-entry") as gradebook:
            grades = gradebook.find_submission_notebook(name, name, student).grades
            return {grade.name: (grade.auto_score, said[grade.name]) for grade in grades}


@contextmanager
def released(*names: str) -> Iterator[Course]:
    """The labs of these names, assigned by nbgrader in a folder that goes away."""
    import nbgrader.api

    sys.path.append(str(Path(__file__).resolve().parent))
    from release import course as make_course

    bin_folder = str(Path(sys.executable).parent)
    os.environ["PATH"] = f"{bin_folder}:{os.environ['PATH']}"
    nbgrader.api.get_alembic_version = cache(nbgrader.api.get_alembic_version)
    with make_course(seed=2026) as (root, api):
        for name in names:
            made = api.generate_assignment(name)
            assert made["success"], made["log"]
        yield Course(root, api)
