"""nbgrader with this grader inside: same notebooks, same gradebook, same feedback.

nbgrader's own way is to run a submission in a Jupyter kernel together with the cells that
award points, where the one can reach the other. Here no submission is executed by nbgrader:
:class:`Referee` takes the place of its ``Execute`` and puts the verdicts of
:mod:`kvmexit.lab.grade` into the points cells. :class:`Mend` comes before its checks and makes
a notebook whole whose cells or metadata were changed or deleted.

In ``nbgrader_config.py``::

    from kvmexit.lab.nbgrader import configure

    c = get_config()
    configure(c)

The problems to grade with are those of a seed that is drawn at the first use and kept in the
folder of the course (:mod:`kvmexit.lab.seeds`); ``c.Referee.seed = 2027`` names one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from copy import deepcopy
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbgrader import preprocessors as stock
from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Integer

from kvmexit.lab import catalogue, submission
from kvmexit.lab.grade import verdict_on
from kvmexit.lab.notebook import Checked, Mark
from kvmexit.lab.players import printable
from kvmexit.lab.questions import nothing
from kvmexit.lab.seeds import of_term
from kvmexit.lab.starting import Answers

SCHEMA = 3


def configure(config: Any) -> None:
    """Have ``nbgrader autograde`` use this grader."""
    config.Autograde.sanitize_preprocessors = [
        stock.ClearOutput,
        Mend,
        stock.OverwriteKernelspec,
        stock.OverwriteCells,
        stock.CheckCellMetadata,
    ]
    config.Autograde.autograde_preprocessors = [
        Referee,
        stock.LimitOutput,
        stock.SaveAutoGrades,
        stock.AssignLatePenalties,
        stock.CheckCellMetadata,
    ]
    config.LimitOutput.max_lines = 200
    config.Autograde.exporter_class = Lenient


class Lenient(NotebookExporter):
    """Reads whatever was handed in. Of a file that is no notebook comes one without cells that
    says why: it is graded like any other, gets no points, and its student hears the reason."""

    def from_filename(self, filename: str, resources: Any = None, **more: Any) -> Any:
        path = Path(filename)
        try:
            notebook, problem = _whole(submission.notebook(submission.contents(path))), None
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            notebook, problem = new_notebook(), f"{printable(path.name)} {why}"
        resources = _of_file(resources, path)
        resources["kvmexit"] = problem
        # Of nbconvert's methods this one has no types.
        return self.from_notebook_node(  # type: ignore[no-untyped-call]
            notebook, resources=resources, **more
        )


def _of_file(resources: Any, path: Path) -> Any:
    """What nbconvert wants to know of a file."""
    resources = ResourcesDict() if resources is None else resources
    resources["metadata"] = ResourcesDict(name=path.stem, path=str(path.parent))
    return resources


def _whole(found: dict[str, Any]) -> NotebookNode:
    """A notebook that nbformat takes: as it is, or else its code and its cells' settings."""
    try:
        notebook: NotebookNode = nbformat.reads(json.dumps(found), as_version=4)
        nbformat.validate(notebook)
        deepcopy(notebook)  # as nbconvert does at each step
        return notebook
    except Exception:  # of many kinds, and what is in the cells is good all the same
        cells = [*filter(None, map(_cell, found["cells"]))]
        bare: NotebookNode = new_notebook(cells=cells)
        return bare


def _cell(found: Any) -> NotebookNode | None:
    if not isinstance(found, dict):
        return None
    source = found.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    if not isinstance(source, str):
        return None
    settings = submission.settings(found)
    make: Any = new_code_cell if found.get("cell_type") == "code" else new_markdown_cell
    made: NotebookNode = make(source, metadata={"nbgrader": settings} if settings else {})
    return made


class Mend(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader has no types
    """Gives each known cell its own metadata back, and puts missing points cells at the end."""

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        where = resources["nbgrader"]
        with Gradebook(where["db_url"]) as gradebook:
            source = gradebook.find_notebook(where["notebook"], where["assignment"])
            known = {cell.name: cell for cell in source.source_cells}
            points = {cell.name: cell.max_score for cell in source.grade_cells}
            solutions = {cell.name for cell in source.solution_cells}
            notes: list[str] = []
            left = dict(known)
            times: Counter[str] = Counter()
            for cell in nb.cells:
                settings = cell.metadata.pop("nbgrader", None)
                name = settings.get("grade_id") if isinstance(settings, dict) else None
                times[str(name)] += 1
                if isinstance(name, str) and name in left:
                    cell.metadata.nbgrader = _settings(left.pop(name), points, solutions)
            for name, cell in left.items():
                if name in points:
                    nb.cells.append(_copy(cell, points, solutions))
            for name in known:
                note = submission.cell_note(name, times[name])
                if note and (name in points or name in solutions):
                    notes.append(note)
        problem = resources.get("kvmexit")  # and nothing that the notebook says of itself
        nb.metadata["kvmexit"] = {"problem": problem} if problem else {"notes": notes}
        return nb, resources


def _settings(cell: Any, points: dict[str, float], solutions: set[str]) -> NotebookNode:
    settings = NotebookNode(
        schema_version=SCHEMA,
        grade_id=cell.name,
        cell_type=cell.cell_type,
        checksum=cell.checksum,
        locked=bool(cell.locked),
        grade=cell.name in points,
        solution=cell.name in solutions,
        task=False,
    )
    if cell.name in points:
        settings.points = points[cell.name]
    return settings


def _copy(cell: Any, points: dict[str, float], solutions: set[str]) -> NotebookNode:
    make: Any = new_code_cell if cell.cell_type == "code" else new_markdown_cell
    metadata = NotebookNode(nbgrader=_settings(cell, points, solutions))
    copy: NotebookNode = make(cell.source, metadata=metadata)
    return copy


class Referee(NbGraderPreprocessor):  # type: ignore[misc]  # nbgrader has no types
    """Puts the verdict on each question into the cell that gives its points."""

    seed = Integer(
        None, allow_none=True, help="grade with these problems, and not with those of the term"
    ).tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        answers = Answers(submission.code_of(nb.cells))
        said = nb.metadata.get("kvmexit", {})
        notes, problem = said.get("notes", []), said.get("problem")
        seed = of_term(Path.cwd()) if self.seed is None else self.seed
        for cell in nb.cells:
            settings = cell.metadata.get("nbgrader", {})
            if cell.cell_type != "code" or not settings.get("grade"):
                continue
            question = catalogue.question(re.findall(r'mark\("(\d\.\d)"', cell.source)[-1])
            if problem:
                verdict = nothing(question, problem)
            else:
                verdict = verdict_on(question, answers, seed)
            text = "\n".join([str(Checked(verdict)), *notes, f"graded with seed {seed}"])
            cell.execution_count = 1
            cell.outputs = [
                new_output("stream", name="stdout", text=text + "\n"),
                new_output(
                    "execute_result",
                    data={"text/plain": repr(Mark(verdict.points))},
                    execution_count=1,
                ),
            ]
        return nb, resources
