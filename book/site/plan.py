"""A Sphinx extension: ``{lecture-plan}`` lists the chapters for somebody who teaches them.

What a chapter teaches is its rule, the longest sentence that it sets in bold. How long it takes is
measured: its words, at `PACE` a minute, answers and code left out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from sources import table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

BOOK = Path(__file__).resolve().parents[1]
PACE = 130
"""Words a minute of somebody who reads to understand: slower than a novel's 200 to 250."""
BOLD = re.compile(r"\*\*((?:(?!\*\*).){40,}?\.)\*\*", re.S)
ROLE = re.compile(r"\{[a-z-]+\}`[^`]*`")
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Chapter:
    """A chapter as a lecturer sees it."""

    page: str
    title: str
    rule: str
    words: int
    questions: int

    @property
    def minutes(self) -> int:
        """Reading time, to five minutes."""
        return max(5, 5 * round(self.words / PACE / 5))


def chapters() -> list[Chapter]:
    """All numbered chapters, in order."""
    return [read(path) for path in sorted(BOOK.glob("[0-9][0-9]-*.ipynb")) if path.name[:2] != "00"]


def read(path: Path) -> Chapter:
    """One chapter, out of its notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    shown = "\n\n".join(re.sub(r"(?s)^(`{3,}|:{3,})\{solution.*", "", text) for text in texts)
    plain = LINK.sub(r"\1", ROLE.sub("", shown))
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    rules = [" ".join(rule.split()) for rule in BOLD.findall(plain)]
    heading = re.search(r"^# (.*)", plain, re.M)
    return Chapter(
        page=path.stem,
        title=heading[1] if heading else path.stem,
        rule=max(rules, key=len, default=""),
        words=len(re.findall(r"\w[\w'-]*", plain)),
        questions=sum(bool(re.search(r"\b(predict|tap|paint)\(", text)) for text in code),
    )


class PlanDirective(SphinxDirective):
    """``{lecture-plan}``: a row a chapter."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # the page follows the chapters
        rows: list[list[list[nodes.Node]]] = []
        found = chapters()
        for one in found:
            link = nodes.reference("", one.title, refuri=f"../{one.page}.html", internal=True)
            rule, _ = self.parse_inline(one.rule)
            numbers = [str(one.minutes), str(one.questions)]
            rows.append(
                [
                    [nodes.Text(f"{int(one.page[:2])} "), link],
                    rule,
                    *([nodes.Text(number)] for number in numbers),
                ]
            )
        total = sum(one.words for one in found)
        said = f"{total:,} words in {len(found)} chapters, at {PACE} a minute:"
        said += f" {total / PACE / 60:.1f} hours of reading."
        heads = ["chapter", "what it teaches, in its own words", "min", "questions"]
        shown = table(heads, rows)
        shown["classes"].append("titles")
        return [shown, nodes.paragraph("", said)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("lecture-plan", PlanDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
