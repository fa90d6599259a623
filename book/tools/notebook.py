"""Write notebooks in one canonical form: executed, and the same to the byte on every machine.

    python book/tools/notebook.py run book/03-*.ipynb     execute, write back
    python book/tools/notebook.py text book/03-*.ipynb    write drafts/03-x.md, to edit
    python book/tools/notebook.py run drafts/03-x.md      execute, write book/03-x.ipynb
    python book/tools/notebook.py check                   does any differ from its own re-run?

The committed notebook is the only source; a draft is MyST text for an afternoon's editing,
and git ignores it. Stored outputs are what the site shows and what the tests compare, so
whatever varies from run to run is taken out: widget models (a live frontend makes its own),
times of execution, versions of the kernel, random ids of cells.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from pages import ROOT, notebooks

BOOK, DRAFTS = ROOT / "book", ROOT / "drafts"
CELL_TIMEOUT = 600
"""Seconds: it ends a loop without end, and no load reaches it."""
KEPT_METADATA = ("tags", "nbgrader", "deletable", "editable", "mystnb")
FOLDED_TAGS = {"remove-input", "hide-input", "remove-cell"}
WIDGET_TYPES = ("application/vnd.jupyter.widget-view+json",)
NOTEBOOK_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read(path: Path) -> NotebookNode:
    """A notebook, or MyST text in which ```{code-cell} blocks are the code cells."""
    if path.suffix == ".md":
        notebook: NotebookNode = jupytext.reads(path.read_text(), fmt="md:myst")
    else:
        notebook = nbformat.read(path, as_version=4)
    return notebook


def notebook_of(path: Path) -> Path:
    """The notebook that a draft becomes; a notebook is its own."""
    if path.suffix != ".md":
        return path
    return BOOK / path.resolve().relative_to(DRAFTS).with_suffix(".ipynb")


def draft_of(path: Path) -> Path:
    """Where the text of a notebook goes to be edited."""
    return DRAFTS / path.resolve().relative_to(BOOK).with_suffix(".md")


async def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run all cells in a new kernel. CellExecutionError if one raises and is not tagged so."""
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        coalesce_streams=True,
        shutdown_kernel="immediate",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    await client.async_execute()


def canonical(notebook: NotebookNode) -> str:
    """The text of the notebook without anything that a second run would write differently."""
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(NOTEBOOK_METADATA)
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:02}"
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in KEPT_METADATA}
        if FOLDED_TAGS & set(cell.metadata.get("tags", ())):
            cell.metadata["jupyter"] = {"source_hidden": True}  # JupyterLab knows no such tags
        cell.source = cell.source.strip("\n")
        for output in cell.get("outputs", ()):
            for widget_type in WIDGET_TYPES:
                output.get("data", {}).pop(widget_type, None)
    return str(nbformat.writes(notebook)).rstrip("\n") + "\n"


async def rerun(path: Path) -> str:
    """The canonical text of the notebook at ``path``, freshly executed."""
    notebook = read(path)
    await execute(notebook, notebook_of(path).parent)
    return canonical(notebook)


async def run_all(paths: Sequence[Path], write: bool) -> list[str]:
    """Re-run notebooks two at a time; write them, or only compare. One line a difference."""
    two_kernels = asyncio.Semaphore(2)

    async def one(path: Path) -> str | None:
        target = notebook_of(path)
        async with two_kernels:
            try:
                text = await rerun(path)
            except CellExecutionError as error:
                return f"{path}: a cell failed\n{error}"
        if target.exists() and target.read_text() == text:
            return None
        if write:
            target.write_text(text)
            print(f"wrote {target}")
            return None
        return f"{path}: differs from its own re-run"

    return [line for line in await asyncio.gather(*map(one, paths)) if line]


def main(argv: Sequence[str] | None = None) -> int:
    """0 if all is as it should be, 1 if a notebook failed or differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("act", choices=("run", "check", "text"))
    parser.add_argument("path", nargs="*", type=Path, help="default: all of book/")
    args = parser.parse_args(argv)
    paths = args.path or notebooks()
    if args.act == "text":
        for path in paths:
            draft = draft_of(path)
            draft.parent.mkdir(parents=True, exist_ok=True)
            jupytext.write(read(path), draft, fmt="md:myst")
            print(f"wrote {draft.relative_to(ROOT)}")
        return 0
    failures = asyncio.run(run_all(paths, write=args.act == "run"))
    print("\n".join(failures), file=sys.stderr, end="\n" if failures else "")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
