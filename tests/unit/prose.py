"""The text of the book's pages, for the tests that read it: text cells and Markdown pages."""

import re
from pathlib import Path

import nbformat
from pages import ROOT, notebooks

BOOK = ROOT / "book"
CODE = re.compile(r"(?s)```(?:python|c|sh)?\n.*?```|`[^`\n]*`")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    """Every page of the book: chapters, labs, reference."""
    return notebooks() + sorted(BOOK.glob("*/*.md"))


def text(page: Path) -> str:
    """What the author of ``page`` wrote: no code cell, no output."""
    if page.suffix == ".md":
        return page.read_text()
    cells = nbformat.read(page, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def words(page: Path) -> str:
    """The sentences of ``page``: its text without code and without the targets of links."""
    return LINK.sub("]", CODE.sub("", text(page)))
