"""A Sphinx extension: what the search looks in, a part for each section of the book.

The page of search (``templates/pages/search.html``, ``static/search.js``) loads the parts as a
script, so it works from a disk, too. Sphinx's own index knows pages only, and takes the data of
films and the answers to questions for text. Here a part is a heading, the prose under it, the
words that stress has marked, and the code; what a reader is to find out is left out: outputs,
answers, hints and solutions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docutils import nodes
from head import numbered, reading_order
from ids import WORDS
from sources import PAGE as SOURCES, SourceMark
from sphinx import addnodes
from sphinx.application import Sphinx

SECRET = {
    "cell_output",
    "dropdown",
    "foot",
    "kvmexit-answer",
    "kvmexit-predict",
    "sd-dropdown",
    "solution",
}
"""Classes of what is not searched."""
NO_TEXT = (
    SourceMark,
    addnodes.index,
    nodes.comment,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.title,
)
DATA = "search-data.js"
LONGEST_SIGNATURE = 60
GROUPS = {WORDS: "words", SOURCES: "sources", "book/reference/api": "library"}


@dataclass
class Part:
    """A section: its id on the page, its heading, and its text by kind."""

    anchor: str
    title: str
    prose: list[str] = field(default_factory=list)
    stressed: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)

    def row(self, page: int) -> list[Any]:
        """As the script reads it."""
        texts = (" ".join(" ".join(one).split()) for one in (self.prose, self.stressed, self.code))
        return [page, self.anchor, self.title, *texts]


def is_secret(node: nodes.Node) -> bool:
    """Is this something that a reader is to find out, or no text at all?"""
    if isinstance(node, NO_TEXT):
        return True
    return isinstance(node, nodes.Element) and bool(SECRET & set(node.get("classes", ())))


def parts_of(document: nodes.document) -> list[Part]:
    """All parts of a page, in their order."""
    parts: list[Part] = []

    def begin(anchor: str, title: str) -> Part:
        parts.append(Part(anchor, " ".join(title.split())))
        return parts[-1]

    def walk(node: nodes.Node, part: Part) -> None:
        for child in node.children:
            if is_secret(child):
                continue
            if isinstance(child, nodes.section) and isinstance(child[0], nodes.title):
                walk(child, begin(child["ids"][0], child[0].astext()))
            elif isinstance(child, nodes.definition_list_item) and child[0].get("ids"):
                walk(child[1], begin(child[0]["ids"][0], child[0].astext()))
            elif isinstance(child, addnodes.desc) and child[0].get("ids"):
                name = child[0].get("fullname") or child[0].astext()[:LONGEST_SIGNATURE]
                walk(child[-1], begin(child[0]["ids"][0], name))
            elif isinstance(child, nodes.literal_block):
                part.code.append(child.astext())
            elif isinstance(child, nodes.Text):
                part.prose.append(child.astext())
            else:
                if isinstance(child, nodes.strong | nodes.emphasis):
                    part.stressed.append(child.astext())
                walk(child, part)
                part.prose += [" "] * (not isinstance(child, nodes.Inline))

    walk(document, Part("", document.get("title", "")))
    return parts


def joined(part: Part) -> Part:
    """With the pieces of prose put together as they stood in the text."""
    part.prose = [re.sub(r"\s+([.,;:?!)])", r"\1", "".join(part.prose))]
    return part


def rows(app: Sphinx) -> Iterator[tuple[list[str], list[list[Any]]]]:
    """For each page its file, title, group, and title with a number, and the rows of its parts."""
    for number, page in enumerate(reading_order(app)):
        group = GROUPS.get(page) or ("chapter" if page.count("/") == 1 else page.split("/")[1])
        title = app.env.titles[page].astext()
        about = [f"{page}.html", title, group, numbered(page, title)]
        parts = parts_of(app.env.get_doctree(page))
        yield about, [joined(part).row(number) for part in parts]


def finish(app: Sphinx, error: Exception | None) -> None:
    """Write the data of the search."""
    if error is None and app.builder.format == "html":
        pages, parts = [], []
        for page, its_parts in rows(app):
            pages.append(page)
            parts += its_parts
        data = json.dumps({"pages": pages, "parts": parts}, ensure_ascii=False)
        (Path(app.outdir) / "_static" / DATA).write_text(f"globalThis.searchData = {data};\n")


def switch_off(app: Sphinx) -> None:
    """Sphinx builds no index of its own, and no page of search."""
    if app.builder.format == "html":
        app.builder.search = False  # type: ignore[attr-defined]  # the HTML builder's


def add_page(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Called by Sphinx: the page of search."""
    yield "search", {"title": "Search"}, "search.html"


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", switch_off)
    app.connect("html-collect-pages", add_page)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
