"""A Sphinx extension for the book's questions: what answers them, and who counts the guesses.

1.  What answers a question is put into a ``kvmexit-answer``: the output of a code cell with the tag
    ``answer`` and the text behind it, and where the question's own cell has the tag
    ``answered-below``, what is behind that one. Nothing is hidden here. The page's script covers
    it until there is a guess, so without scripts, and on paper, all of it is to be seen.
2.  Questions with scripts are the library's (kvmexit/show/ask). `ask/` adds what only a page
    of the book has, the covers and the count, and a page loads the lot if it holds a question.
3.  ``{guesses}`` is the table that the script counts into: every page that asks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from html import escape
from itertools import takewhile
from pathlib import Path
from typing import Any

from docutils import nodes
from head import numbered
from kvmexit.show import player
from light import classic_script
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

HERE = Path(__file__).resolve()
ROOT, FOLDER = HERE.parents[2], HERE.parent / "ask"
MARKS = ('class="kvmexit-predict"', 'class="kvmexit-guesses"')
QUESTION = re.compile(r'<div class="kvmexit-predict" id="predict-(\w+)".*?</strong> (.*?)</p>')
PROSE = (
    nodes.paragraph,
    nodes.bullet_list,
    nodes.enumerated_list,
    nodes.definition_list,
    nodes.block_quote,
)
NO_SCRIPT = (
    "This page counts what you have guessed, chapter by chapter, and lists the questions to go back"
    " to. Your browser keeps the guesses and sends them nowhere; counting them takes a script, and"
    " here none runs."
)


@cache
def questions(page: str) -> list[tuple[str, str]]:
    """Key and text, as HTML, of every question in the stored outputs of a page."""
    path = ROOT / f"{page}.ipynb"
    if not path.exists():
        return []
    cells = json.loads(path.read_text())["cells"]
    shown = [
        "".join(output["data"].get("text/html", ""))
        for cell in cells
        for output in cell.get("outputs", ())
        if "data" in output
    ]
    return [found for html in shown for found in QUESTION.findall(html)]


def title(page: str) -> str:
    """The heading of a notebook."""
    cells = json.loads((ROOT / f"{page}.ipynb").read_text())["cells"]
    text = next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return text.partition("\n")[0].removeprefix("# ")


class GuessesDirective(SphinxDirective):
    """``{guesses}``: one row for each page that asks."""

    def run(self) -> list[nodes.Node]:
        pages = sorted(self.env.found_docs)  # by their numbers: the order of the chapters
        rows = "".join(self.row(page) for page in pages if questions(page))
        html = (
            f'<div class="kvmexit-guesses"><p class="without">{NO_SCRIPT}</p>'
            '<table class="titles table"><thead><tr><th scope="col">chapter</th>'
            '<th scope="col">guessed</th><th scope="col">right</th>'
            f"</tr></thead><tbody>{rows}</tbody></table></div>"
        )
        return [nodes.raw("", html, format="html")]

    def row(self, page: str) -> str:
        """One page: its questions are data for the script."""
        asked = questions(page)
        here = self.env.docname.count("/")
        href = f"{'../' * here}{page}.html"
        data = escape(json.dumps(dict(asked)), quote=True)
        name = escape(numbered(page, title(page)))
        return (
            f'<tr data-questions="{data}"><td><a href="{href}">{name}</a></td>'
            f"<td>0 of {len(asked)}</td><td>0</td></tr>"
        )


def mark_answers(app: Sphinx, tree: nodes.document, page: str) -> None:
    """Put what answers a question into containers of a class that bears its key."""
    key = None
    for cell in list(tree.findall(is_cell)):
        below = behind(cell)
        if found := QUESTION.search(raw_html(cell)):
            key = found[1]
            if "tag_answered-below" not in cell["classes"]:
                continue
            answers = [*below[:1], *takewhile(is_text, below[1:])]
        elif key and "tag_answer" in cell["classes"]:
            outputs = [one for one in cell.children if "cell_output" in one["classes"]]
            answers = [*outputs, *takewhile(is_text, below)]
        else:
            continue
        for block in answers:
            wrap(block, key)


def is_cell(node: nodes.Node) -> bool:
    """A code cell, as myst-nb builds it."""
    return isinstance(node, nodes.container) and "cell" in node["classes"]


def is_text(node: nodes.Node) -> bool:
    """A block of prose."""
    return isinstance(node, PROSE)


def raw_html(cell: nodes.Element) -> str:
    """All raw HTML in a cell."""
    return "".join(part.astext() for part in cell.findall(nodes.raw))


def behind(cell: nodes.Element) -> list[nodes.Element]:
    """The blocks that follow, up to the next heading."""
    siblings: list[Any] = list(cell.parent.children)
    following = siblings[siblings.index(cell) + 1 :]
    return list(takewhile(lambda one: not isinstance(one, nodes.section), following))


def wrap(block: nodes.Element, key: str) -> None:
    """Put a block into a container of its own, unless it is in one."""
    case = nodes.container(classes=["kvmexit-answer", f"of-{key}"])
    around = block.parent
    while around is not None:
        if "kvmexit-answer" in around.get("classes", ()):
            return
        around = around.parent
    block.parent.replace(block, case)
    case += block


def script() -> str:
    """The questions' script for a page of the book."""
    own = {path.name: path.read_text() for path in sorted(FOLDER.glob("*.js"))}
    joined = player.lean(player.join({**player.parts(), **own}, "site.js"))
    return classic_script(joined, "player();\n")


def load(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Load the script on pages that ask or count, and on no other."""
    if any(mark in context.get("body", "") for mark in MARKS):
        app.add_js_file("guesses.js", loading_method="defer")


def finish(app: Sphinx, error: Exception | None) -> None:
    """Write what the pages load."""
    if error is None and app.builder.format == "html":
        (Path(app.outdir) / "_static" / "guesses.js").write_text(script())


def note_questions(app: Sphinx, env: Any, added: Any, changed: Any, removed: Any) -> Iterator[str]:
    """What other pages ask is shown on the page that counts."""
    questions.cache_clear()
    if (page := "book/reference/guesses") in env.found_docs:
        yield page


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("guesses", GuessesDirective)
    app.connect("env-get-outdated", note_questions)
    app.connect("doctree-resolved", mark_answers)
    app.connect("html-page-context", load)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
