"""A Sphinx extension: ``{helptext}`` shows what every subcommand says to ``--help``.

The text is the parser's own, asked when the book is built, so that no page can lag behind.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from docutils import nodes
from kvmexit.commands import parser_of, subcommands
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

COLUMNS = 76
"""What stands in a page without a bar to scroll with."""


@contextmanager
def as_wide_as(columns: int) -> Iterator[None]:
    """The width that parsers lay their help out for."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(columns)
    try:
        yield
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before


def help_texts() -> dict[str, str]:
    """The help of each subcommand, by name."""
    with as_wide_as(COLUMNS):
        texts = {}
        for module in subcommands():
            name = module.__name__.rpartition(".")[2]
            texts[name] = parser_of([module]).help_of(name)
        return texts


class HelpDirective(SphinxDirective):
    """``{helptext}``: a section for each subcommand."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # the page follows the library, which is no source of Sphinx's
        sections: list[nodes.Node] = []
        for name, text in help_texts().items():
            section = nodes.section(ids=[f"kvmexit-{name}"], names=[f"kvmexit-{name}"])
            section += nodes.title("", "", nodes.literal("", f"kvmexit {name}"))
            section += nodes.literal_block(text, text, language="text")
            sections.append(section)
        return sections


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("helptext", HelpDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
