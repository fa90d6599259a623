"""A Sphinx extension: {limit}`memory` prints what the grader of the labs allows, as it is enforced.

The names are those that ``limits()`` prints in a notebook, and three for who grades.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from kvmexit.lab import catalogue, grade
from kvmexit.lab.notebook import limits
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

PAGE = "book/labs/instructor"


def known() -> dict[str, str]:
    """Each limit by its name."""
    counts = {len(catalogue.questions(lab)): lab for lab in catalogue.TITLES}
    words = {1: "one question", 2: "two questions"}
    mine = {
        f"a submission of {words[count]}": f"{grade.most_seconds(lab):.0f} s"
        for count, lab in counts.items()
    }
    return limits().rows() | mine | {"a referee": f"{grade.SUBMISSION_SECONDS / 60:.0f} minutes"}


class Limit(SphinxRole):
    """{limit}`name`: how much it is."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        return [nodes.Text(known()[self.text])], []


def always(app: Sphinx, env: Any, added: Any, changed: Any, removed: Any) -> list[str]:
    """The page follows the library, which is no source of Sphinx's."""
    return [PAGE] if PAGE in env.found_docs else []


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_role("limit", Limit())
    app.connect("env-get-outdated", always)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
