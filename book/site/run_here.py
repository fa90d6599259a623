"""A Sphinx extension: "Run it here", by which the cells of a page come alive in the browser.

1.  A page with code gets one small script, which puts a button under its heading. What the page
    loads when it is pressed lies in ``_static/live``; nothing of it is loaded before.
2.  The cells of each page are written beside it: their sources, and by what the page knows the
    outputs that it has already. A hidden cell is kept if a later cell uses what it defines.
3.  All that is packed by ``run_pack.py`` out of what npm has fetched (``run_npm.py``). Where that
    is not there, the site is as it is without.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
from pathlib import Path
from typing import Any

import run_cells
import run_npm
import run_pack
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[2]
SHOWN = re.compile(r'<div class="cell[ "]')
FOLDER = "live"
FOLLOWS = "follows"
"""The tag of a cell that runs by itself when its text has changed, or that of what it needs."""


def names(source: str) -> tuple[set[str], set[str]]:
    """What a cell defines, and what it uses and does not define itself."""
    tree = ast.parse(source)
    bound: set[str] = set()
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {one.asname or one.name.split(".")[0] for one in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
    return bound, used - set(dir(builtins))


def how_shown(cell: dict[str, Any]) -> str:
    """``all`` of a cell, its ``output`` alone, or ``none`` of it."""
    tags = cell["metadata"].get("tags", [])
    if "remove-cell" in tags:
        return "none"
    return "output" if "remove-input" in tags else "all"


def stored(cell: dict[str, Any]) -> list[str]:
    """The digests of the HTML that a cell's outputs show."""
    data = [output["data"] for output in cell["outputs"] if "data" in output]
    return [run_cells.digest("".join(one["text/html"])) for one in data if "text/html" in one]


def kept(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells to run: those that are shown, and the hidden ones that those after them need."""
    found: list[dict[str, Any]] = []
    needed: set[str] = set()
    for at, cell in reversed(list(enumerate(notebook["cells"]))):
        if cell["cell_type"] != "code":
            continue
        source, shown = "".join(cell["source"]), how_shown(cell)
        bound, used = names(source)
        if shown == "none" and not bound & needed:
            continue
        needed = needed - bound | used if shown == "all" else needed | used
        one: dict[str, Any] = {"at": at, "source": source, "shown": shown}
        one["stored"] = stored(cell)
        if FOLLOWS in cell["metadata"].get("tags", []):
            one["follows"] = []
        found.insert(0, one)
    for number, one in enumerate(found):
        if "follows" in one:
            one["follows"] = needed_by(found, number)
    return found


def needed_by(cells: list[dict[str, Any]], number: int) -> list[int]:
    """The numbers of the cells above a cell that define what it uses, and what those use."""
    wanted = names(cells[number]["source"])[1]
    above: list[int] = []
    for at in reversed(range(number)):
        bound, used = names(cells[at]["source"])
        if bound & wanted:
            wanted = wanted - bound | used
            above.insert(0, at)
    return above


def cells_of(page: str) -> list[dict[str, Any]]:
    """The cells of a page; none, if it has none that a reader could change."""
    path = ROOT / f"{page}.ipynb"
    if not path.exists():
        return []
    found = kept(json.loads(path.read_text()))
    return found if any(cell["shown"] == "all" for cell in found) else []


def script_of(page: str, body: str) -> str:
    """The script that holds a page's cells.

    ExtensionError if the page shows another number of cells than the notebook has.
    """
    found = cells_of(page)
    count = sum(cell["shown"] != "none" for cell in found)
    if count != len(SHOWN.findall(body)):
        raise ExtensionError(
            f"{page}: {len(SHOWN.findall(body))} cells in the page, {count} in its notebook"
        )
    whole = bare(json.loads((ROOT / f"{page}.ipynb").read_text()))
    written = (json.dumps(one, separators=(",", ":")) for one in (found, whole))
    return "".join(
        f"globalThis.{name} = {one};\n"
        for name, one in zip(("kvmexitCells", "kvmexitNotebook"), written, strict=True)
    )


def bare(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook without its outputs, for a reader to take along with what was changed."""
    cells = [
        cell | {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else cell
        for cell in notebook["cells"]
    ]
    return notebook | {"cells": cells}


def load_button(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """The button, on pages with code that a reader can change."""
    if run_npm.is_fetched() and cells_of(page):
        script = script_of(page, context["body"])
        place = Path(app.outdir) / "_static" / FOLDER / "cells" / f"{page}.js"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(script)
        more: Any = {"data-page": page}
        app.add_js_file(f"{FOLDER}/button.js", loading_method="defer", **more)


def finish(app: Sphinx, error: Exception | None) -> None:
    """Write what is served when the button is pressed."""
    if error is None and app.builder.format == "html" and run_npm.is_fetched():
        run_pack.write(Path(app.outdir) / "_static" / FOLDER)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("html-page-context", load_button)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
