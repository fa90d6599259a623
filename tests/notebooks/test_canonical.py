"""A committed notebook is what its own re-execution writes, to the byte.

nbval runs every notebook and compares its outputs; here it is their form that is looked at, which
needs no second run. `book/tools/notebook.py check` does both at once.
"""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from notebook import canonical
from pages import ROOT, contents, notebooks


def tool(act: str, path: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "book/tools/notebook.py"), act, str(path)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_notebook_has_its_canonical_form(path: Path) -> None:
    assert canonical(nbformat.read(path, as_version=4)) == path.read_text()


def test_every_notebook_is_in_the_contents() -> None:
    pages = {path.relative_to(ROOT).with_suffix("").as_posix() for path in notebooks()}
    assert pages and pages <= set(contents())


def one_cell(source: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])


def test_what_varies_is_taken_out() -> None:
    """Two runs of one notebook on two machines: other ids, times, versions, widget models."""
    texts = set()
    for machine in ("a", "b"):
        notebook = one_cell("film")
        notebook.metadata = {"widgets": {machine: {}}, "language_info": {"version": machine}}
        notebook.cells[0].metadata = {"execution": {"iopub.status.busy": machine}}
        data = {
            "text/plain": "a film",
            "application/vnd.jupyter.widget-view+json": {"model_id": machine},
        }
        notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data=data)]
        texts.add(canonical(notebook))
    (text,) = texts
    assert "a film" in text


def test_a_changed_output_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "sum.ipynb"
    nbformat.write(one_cell("1 + 1"), path)
    assert tool("run", path).returncode == 0
    assert tool("check", path).returncode == 0
    path.write_text(path.read_text().replace('"2"', '"3"'))
    done = tool("check", path)
    assert (done.returncode, done.stderr) == (1, f"{path}: differs from its own re-run\n")


def test_a_failing_cell_is_named(tmp_path: Path) -> None:
    path = tmp_path / "wrong.ipynb"
    nbformat.write(one_cell("1 / 0"), path)
    before = path.read_text()
    done = tool("run", path)
    assert done.returncode == 1 and "ZeroDivisionError" in done.stderr
    assert path.read_text() == before
