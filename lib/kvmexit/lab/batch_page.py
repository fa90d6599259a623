"""The page of a batch: marks, statistics, and the films of the landings where most answers fail.

One file that needs no network. A film is that of the first student who failed there, played once
more; it bears no name.
"""

from __future__ import annotations

from html import escape
from typing import Any

from kvmexit.lab import catalogue, grade, report
from kvmexit.lab.grade import Graded
from kvmexit.lab.notebook import raw_film
from kvmexit.lab.starting import Answers

FILMS = 2
"""How many landings of a question are shown as films."""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Marks, seed {seed}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 0 8px }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse; margin: 1em 0 }}
caption {{ text-align: left; font-weight: bold }}
td, th {{ border: 1px solid GrayText; padding: 4px 8px; text-align: left; vertical-align: top }}
td {{ overflow-wrap: anywhere }}
</style>
<main>
<h1>Marks</h1>
<p>Graded with seed {seed}; lab 5 ran on the {kernel} kernel.{passed}</p>
<h2>How the questions were answered</h2>
<p>Blank answers are none: the mean, the full marks and the zeros are of the others.</p>
{summary}
<h2>Where answers fail first</h2>
{landings}
<h2>Every answer</h2>
{marks}
</main>
{player}
</html>
"""


def page(all_graded: list[Graded], seed: int, kernel: str, passed_over: list[str]) -> str:
    """The whole page."""
    every = report.statistics(all_graded)
    films: list[str] = []
    places = "".join(_landings(row, seed, films) for row in every)
    passed = f" Not looked at: {escape(', '.join(passed_over))}." if passed_over else ""
    return _PAGE.format(
        seed=seed,
        kernel=kernel,
        passed=passed,
        summary=_table("The questions", report.SUMMARY, map(report.summary, every)),
        landings=places or "<p>No answer fails at a landing.</p>",
        marks=_table(
            "The answers", ("student", "question", "points", "reason"), report.rows(all_graded)
        ),
        player=_player() if films else "",
    )


def _table(caption: str, heads: Any, rows: Any) -> str:
    head = "".join(f"<th scope=col>{escape(text)}</th>" for text in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>\n" for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table></div>"
    )


def _landings(row: report.Statistics, seed: int, films: list[str]) -> str:
    """The landings of one question, with films of the first."""
    if not row.landings:
        return ""
    title = f"{row.question}, {catalogue.question(row.question).title}"
    lines = [(str(count), f"{part}: landing at {where}") for part, where, count, _ in row.landings]
    parts = [f"<h3>{escape(title)}</h3>", _table(title, ("answers", "fail first at"), lines)]
    for part, where, _, graded in row.landings[:FILMS]:
        if html := _film(row.question, graded, seed):
            films.append(html)
            about = escape(f"{part}: landing at {where}")
            parts.append(f"<details><summary>{about}: the film</summary>{html}</details>")
    return "\n".join(parts)


def _film(number: str, graded: Graded, seed: int) -> str | None:
    """The film of the landing at which this answer fails first, played now."""

    def show(verdict: Any, player: Any) -> str | None:
        made = raw_film(verdict.failure, player)
        return None if made is None else str(made.html())

    question = catalogue.question(number)
    html: str | None = grade.judged(question, Answers(graded.submission.cells), seed, show)[1]
    return html


def _player() -> str:
    from kvmexit.show.player import module

    player = module("player.js").replace("export default", "const player =")
    return f'<script type="module">\n{player}\nplayer.host(document);\n</script>'
