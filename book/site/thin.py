"""A style sheet without the rules for what the site has not got.

The theme brings rules for carousels, offcanvas menus and two thousand icons. A rule goes if each
of its selectors asks for a class that no page has and no script names. What a script may put
together stays: a word in it that ends in a hyphen stands for all words that begin so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

GROUPS = ("@media", "@supports", "@layer", "@container")
CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
SHEETS = (
    "styles/pydata-sphinx-theme.css",
    "styles/sphinx-book-theme.css",
    "sphinx-design.min.css",
    "mystnb.*.css",
)


class Words:
    """All words of some texts, and the beginnings of words."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.whole = {word for text in texts for word in re.findall(r"[\w-]+", text)}
        self.begun = tuple(
            word for word in self.whole if word.endswith("-") and re.search("[a-z]{2}", word)
        )

    def __contains__(self, name: str) -> bool:
        return name in self.whole or name.startswith(self.begun)


def outside(text: str, separator: str) -> list[str]:
    """The pieces of a text between separators that stand in no brackets."""
    pieces, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == separator and not depth:
            pieces.append("")
        else:
            pieces[-1] += letter
    return pieces


def rules(css: str) -> Iterator[tuple[str, str | None]]:
    """Each rule as (what stands before its braces, what stands in them); a statement that has
    no braces as (statement, None)."""
    at = 0
    for found in re.finditer(r"[{};]", css):
        if found.start() < at:
            continue
        if found[0] == ";":
            yield css[at : found.end()], None
            at = found.end()
        elif found[0] == "{":
            end, depth = found.end(), 1
            while depth:
                brace = re.compile(r'[{}]|"(?:[^"\\]|\\.)*"').search(css, end)
                if brace is None:
                    raise ValueError("a brace is open at the end of the style sheet")
                depth += {"{": 1, "}": -1}.get(brace[0], 0)
                end = brace.end()
            yield css[at : found.start()].strip(), css[found.end() : end - 1]
            at = end


def is_used(selector: str, words: Words) -> bool:
    """May something match? What stands in brackets, ``:not(.x)``, is not looked at."""
    bare = re.sub(r"\\.", "_", selector)
    while re.search(r"[(\[][^()\[\]]*[)\]]", bare):
        bare = re.sub(r"[(\[][^()\[\]]*[)\]]", "", bare)
    return all(name in words for name in CLASS.findall(bare))


def thinned(css: str, words: Words) -> str:
    """The style sheet without the rules that match nothing."""
    out = []
    for head, body in rules(re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)):
        if body is None:
            out.append(head)
        elif head.startswith(GROUPS):
            if inner := thinned(body, words):
                out.append(f"{head}{{{inner}}}")
        elif head.startswith("@"):
            out.append(f"{head}{{{body}}}")
        elif kept := [one for one in outside(head, ",") if is_used(one, words)]:
            out.append(f"{','.join(kept)}{{{body}}}")
    return "".join(out)


def thin_out(static: Path, pages: Path) -> None:
    """Write the style sheets of others anew, for these pages."""
    sources = [*pages.rglob("*.html"), *static.rglob("*.js")]
    words = Words(path.read_text() for path in sources)
    for path in (path for sheet in SHEETS for path in static.glob(sheet)):
        path.write_text(thinned(path.read_text(), words))
