"""A Sphinx extension: the table of exits, from the library's `exits.toml`.

``{exits}`` lists every exit by number, type and architecture, with what the next KVM_RUN
completes. The rows are data, so that a test can hold them against the library's own tables.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from kvmexit.kernel.exit_table import PC, Exit, read_exits
from sources import mark_of, read_registry, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class ExitsDirective(SphinxDirective):
    """``{exits}``: the table."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # changed rows are read again by the page that shows them
        rows = [self.cells(exit) for exit in read_exits()]
        shown = table(["exit", "completed by", "PC", "the guest"], rows)
        shown["classes"].append("exits")
        return [shown]

    def cells(self, exit: Exit) -> list[list[nodes.Node]]:
        """The four cells of one row."""
        name: list[nodes.Node] = [nodes.Text(f"{exit.number} "), nodes.literal("", exit.name)]
        name.append(nodes.Text(f" {exit.type}; {exit.arch}" if exit.type else f" {exit.arch}"))
        what: list[nodes.Node] = [nodes.Text("nothing")]
        if exit.completes:
            again = "; can exit again" if exit.again else ""
            note = "" if exit.listed else "; not in the note"
            what = [*self.functions(exit.by), nodes.Text(again + note)]
        who, _ = self.parse_inline(exit.who)
        marks = [mark_of(read_registry()[source]) for source in exit.sources]
        return [name, what, [nodes.Text(PC[exit.pc])], [*who, *marks]]

    @staticmethod
    def functions(names: str) -> list[nodes.Node]:
        """Names of functions as code, separated by commas."""
        parts: list[nodes.Node] = []
        for name in names.split(", "):
            function, _, of = name.partition(" ")
            parts += [nodes.Text(", ")] if parts else []
            parts += [nodes.literal("", function), nodes.Text(f" {of}" if of else "")]
        return parts


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("exits", ExitsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
