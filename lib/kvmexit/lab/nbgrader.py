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
    c.Referee.seed = 2027  # the problems to grade with; else those of the source notebook
"""

from __future__ import annotations

import re
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from nbgrader import preprocessors as stock  # type: ignore[import-untyped]
from nbgrader.api import Gradebook  # type: ignore[import-untyped]
from nbgrader.preprocessors import NbGraderPreprocessor  # type: ignore[import-untyped]
from traitlets import Integer

from kvmexit.lab import catalogue
from kvmexit.lab.grade import verdict_on
from kvmexit.lab.notebook import Checked, Mark
from kvmexit.lab.submission import code_of

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


class Mend(NbGraderPreprocessor):  # type: ignore[misc]
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
            for cell in nb.cells:
                settings = cell.metadata.pop("nbgrader", None)
                name = settings.get("grade_id") if isinstance(settings, dict) else None
                if isinstance(name, str) and name in left:
                    cell.metadata.nbgrader = _settings(left.pop(name), points, solutions)
            for name, cell in left.items():
                if name in points:
                    nb.cells.append(_copy(cell, points, solutions))
                if name in points or name in solutions:
                    notes.append(f"the cell {name} or its metadata is missing")
        nb.metadata["kvmexit"] = {"notes": notes}
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


class Referee(NbGraderPreprocessor):  # type: ignore[misc]
    """Puts the verdict on each question into the cell that gives its points."""

    seed = Integer(
        None, allow_none=True, help="grade with these problems instead of the source notebook's"
    ).tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: Any) -> tuple[NotebookNode, Any]:
        answer = code_of(nb.cells)
        notes = nb.metadata.get("kvmexit", {}).get("notes", [])
        for cell in nb.cells:
            settings = cell.metadata.get("nbgrader", {})
            if cell.cell_type != "code" or not settings.get("grade"):
                continue
            number, seed = _question_of(cell.source)
            seed = seed if self.seed is None else self.seed
            verdict = verdict_on(catalogue.question(number), answer, seed)
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


def _question_of(source: str) -> tuple[str, int]:
    """The question and the seed that a points cell, in its form with hidden tests, names."""
    numbers = re.findall(r'mark\("(\d\.\d)"', source)
    seeds = re.findall(r"^seed = (\d+)", source, re.MULTILINE)
    return numbers[-1], int(seeds[-1])
