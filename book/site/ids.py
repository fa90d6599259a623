"""A Sphinx extension: on a page each id stands once, and what a reader wants to link to has one.

The directives for exercises and solutions give the same id to each; here it is named after its
owner. And the words of the book can be linked to one by one: ``words.html#word-drain``.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

WORDS = "book/reference/words"


class OncePerPage(SphinxPostTransform):
    """An id that a page has given before is named after the element around it."""

    default_priority = 999

    def run(self, **kwargs: Any) -> None:
        seen: set[str] = set()
        for element in self.document.findall(nodes.Element):
            around = (element.parent.get("ids") if element.parent else None) or ["part"]
            fresh = [rename(name, around[0], seen) for name in element.get("ids", ())]
            if fresh:
                element["ids"] = fresh


def rename(name: str, around: str, seen: set[str]) -> str:
    """An id that is not in ``seen``, and now is."""
    wanted = name if name not in seen else f"{around}-{name}"
    number, free = 2, wanted
    while free in seen:
        free, number = f"{wanted}-{number}", number + 1
    seen.add(free)
    return free


def word_id(word: str) -> str:
    """The id of a word on its page."""
    return "word-" + re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")


def name_words(app: Sphinx, document: nodes.document) -> None:
    """Called for each page that was read: give the words their ids."""
    if app.env.docname == WORDS:
        for term in document.findall(nodes.term):
            term["ids"].append(word_id(term.astext()))


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_post_transform(OncePerPage)
    app.connect("doctree-read", name_words)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
