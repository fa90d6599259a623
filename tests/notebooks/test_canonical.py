"""A committed notebook is what its own re-execution writes, to the byte.

nbval runs every notebook and compares its outputs; here it is their form that is looked at, which
needs no second run. `book/tools/notebook.py check` does both at once.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from notebook import canonical, main
from pages import ROOT, contents, notebooks


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_notebook_has_its_canonical_form(path: Path) -> None:
    assert canonical(nbformat.read(path, as_version=4)) == path.read_text()


def test_every_notebook_is_in_the_contents() -> None:
    pages = {path.relative_to(ROOT).with_suffix("").as_posix() for path in notebooks()}
    assert pages and pages <= set(contents())


def tool(act: str, path: Path) -> int:
    """The tool's status. In a thread of its own, where nobody else's event loop runs."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(main, [act, str(path)]).result()


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


def test_a_changed_output_is_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sum.ipynb"
    nbformat.write(one_cell("1 + 1"), path)
    assert tool("run", path) == 0
    assert tool("check", path) == 0
    path.write_text(path.read_text().replace('"2"', '"3"'))
    assert tool("check", path) == 1
    assert capsys.readouterr().err == f"{path}: differs from its own re-run\n"


def test_a_failing_cell_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "wrong.ipynb"
    nbformat.write(one_cell("1 / 0"), path)
    before = path.read_text()
    assert tool("run", path) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert path.read_text() == before
