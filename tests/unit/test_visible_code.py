"""What a reader can see of a chapter's code runs by itself: hidden cells lend no names to it."""

import ast
import builtins
from pathlib import Path

import nbformat
import pytest
from pages import ROOT, notebooks

UNSEEN = {"remove-cell", "remove-input"}
CHAPTERS = [path for path in notebooks() if path.parent.name == "book"]


def names(code: str, kind: type[ast.expr_context]) -> set[str]:
    return {
        node.id
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Name) and isinstance(node.ctx, kind)
    }


def defined(code: str) -> set[str]:
    """What a cell binds: names, imports, functions and classes with their arguments."""
    found = names(code, ast.Store)
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found


def borrowed(path: Path) -> set[str]:
    """Names that visible cells use and only cells out of sight have bound."""
    known, missing = set(dir(builtins)), set()
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and not UNSEEN & set(cell.metadata.get("tags", ())):
            known |= defined(cell.source)
            missing |= names(cell.source, ast.Load) - known
    return missing


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.relative_to(ROOT / "book").stem)
def test_visible_code_needs_no_hidden_cell(path: Path) -> None:
    assert borrowed(path) == set()


def test_a_borrowed_name_is_found(tmp_path: Path) -> None:
    hidden = nbformat.v4.new_code_cell("there = 1", metadata={"tags": ["remove-cell"]})
    notebook = nbformat.v4.new_notebook(cells=[hidden, nbformat.v4.new_code_cell("print(there)")])
    nbformat.write(notebook, tmp_path / "one.ipynb")
    assert borrowed(tmp_path / "one.ipynb") == {"there"}
