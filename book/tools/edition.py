"""An edition to hand out: the built pages as one PDF, and each figure as an image for a slide.

Nothing is run or drawn anew. The articles of all pages are put behind one another, links between
them become links inside, and Chromium prints that with the style sheet for paper, without scripts:
of a film one sees what a reader without scripts sees, its two rows of bytes and its lanes.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Iterator
from functools import partial
from html import escape
from pathlib import Path

from kvmexit.commands.built import version
from pages import ROOT, SITE, contents
from playwright.sync_api import Browser, Locator, Page, sync_playwright

EDITION = ROOT / "_build" / "edition"
BOOK = EDITION / "book.html"
PDF = EDITION / "between-exit-and-entry.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FIGURES = ", ".join(f".kvmexit-{kind}" for kind in ("film", "figure", "picture", "night", "atlas"))
"""What is a picture by itself."""
TAG = re.compile(r"<[a-zA-Z][^<>]*>")
HEAD = re.compile(r"<link [^>]*stylesheet[^>]*>")
STYLE = (
    "<style>.page{break-before:page}.front{padding-top:60mm}.front h1{font-size:30pt!important}"
    ".contents li{list-style:none;margin:2pt 0}</style>"
)

ALONE = (
    "#pst-skip-link, #pst-back-to-top, .bd-header-article, .bd-sidebar, .kxp-control"
    " {display: none !important}"
    ".bd-main .bd-content .bd-article-container {max-width: 960px; width: 960px}"
)
"""What stands over a page is in no picture of it, nor is what is to be pressed; the widest row of
bytes of the book has room."""


def article(page: str) -> str:
    """What is to be read on a built page."""
    text = (SITE / f"{page}.html").read_text(encoding="utf-8")
    begin = text.index(">", text.index("<article")) + 1
    return text[begin : text.index("</article>", begin)]


def anchor(page: str) -> str:
    """Where a page begins, in the one that has them all."""
    return "page-" + page.replace("/", "-")


class Joined:
    """The articles, one behind the other; names that two of them have are told apart."""

    def __init__(self, pages: list[str]) -> None:
        self.pages, self.taken = pages, set[str]()
        self.texts = {page: article(page) for page in pages}
        self.renamed = {page: self._rename(page) for page in pages}

    def _rename(self, page: str) -> dict[str, str]:
        """The names of this page that an earlier one has, and what they become."""
        tags = "".join(TAG.findall(self.texts[page]))
        own = set(re.findall(r'\b(?:id|name)="([^"]+)"', tags))
        clash = own & self.taken
        self.taken |= own
        return {name: f"{anchor(page)}--{name}" for name in clash}

    def sections(self) -> Iterator[str]:
        """Each page as a section that begins on a sheet of its own."""
        for page in self.pages:
            text = TAG.sub(partial(self._tag, page), self.texts[page])
            for old, new in self.renamed[page].items():  # rules of style that name an element
                text = re.sub(rf"#{re.escape(old)}(?=[\s:>+~,{{.\[])", f"#{new}", text)
            yield f'<section class="page" id="{anchor(page)}">{text}</section>'

    def _tag(self, page: str, found: re.Match[str]) -> str:
        names, tag = self.renamed[page], found[0]

        def known(match: re.Match[str]) -> str:
            words = " ".join(names.get(word, word) for word in match[2].split())
            return f'{match[1]}="{words}"'

        tag = re.sub(r'\b(id|name|for|aria-[a-z]+)="([^"]*)"', known, tag)
        return re.sub(r'\b(href|src)="([^"]*)"', lambda m: self._link(page, m[1], m[2]), tag)

    def _link(self, page: str, kind: str, where: str) -> str:
        if re.match(r"[a-z]+:", where):
            return f'{kind}="{where}"'
        path, _, fragment = where.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else ""
        other = target.removesuffix(".html") if target else page
        if other not in self.texts:
            return f'{kind}="{posixpath.join("../html", target)}"'
        name = self.renamed[other].get(fragment, fragment)
        inside = name in self.taken or fragment in self.taken
        return f'{kind}="#{name if inside else anchor(other)}"'


def title(text: str) -> str:
    """The first heading of an article, as text."""
    found = re.search(r"<h1>(.*?)<a class=\"headerlink\"", text, re.S)
    return re.sub(r"<[^>]*>", "", found[1]) if found else ""


def join() -> None:
    """Write all pages as one."""
    joined = Joined(contents())
    first = (SITE / f"{joined.pages[1]}.html").read_text(encoding="utf-8")
    sheets = "\n".join(HEAD.findall(first)).replace('href="../', 'href="../html/')
    lines = "".join(
        f'<li><a href="#{anchor(page)}">{title(text)}</a></li>'
        for page, text in joined.texts.items()
    )
    body = "\n".join(joined.sections())
    EDITION.mkdir(parents=True, exist_ok=True)
    BOOK.write_text(
        f'<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head>'
        f'<meta charset="utf-8"><title>Between Exit and Entry</title>{sheets}{STYLE}</head><body>'
        '<main class="bd-main"><div class="bd-content"><div class="bd-article-container">'
        '<article class="bd-article"><div class="front"><h1>Between Exit and Entry</h1>'
        f"<p>Printed from the pages of {escape(version())}.</p></div>"
        f'<div class="page"><h2>Contents</h2><ul class="contents">{lines}</ul></div>'
        f"{body}</article></div></div></main></body></html>",
        encoding="utf-8",
    )


def missing(page: Page) -> list[str]:
    """Pictures of the joined page that are not drawn."""
    found: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('img')]"
        ".filter(one => !one.complete || !one.naturalWidth).map(one => one.src)"
    )
    return found


def figures(page: Page) -> list[Locator]:
    """What is a picture on the open page, each as it is in an image: alone."""
    page.evaluate(
        "css => document.head.append("
        "Object.assign(document.createElement('style'), {textContent: css}))",
        ALONE,
    )
    return [one for one in page.locator(FIGURES).all() if one.is_visible()]


def draw_figures(browser: Browser) -> int:
    """Each figure of the chapters and labs as an image twice as fine as a screen."""
    folder, count = EDITION / "figures", 0
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    context = browser.new_context(
        java_script_enabled=False, device_scale_factor=2, viewport={"width": 1280, "height": 900}
    )
    page = context.new_page()
    for name in contents():
        if not re.match(r"book/(labs/)?\d", name):
            continue
        page.goto((SITE / f"{name}.html").as_uri())
        shown = figures(page)
        for number, figure in enumerate(shown, 1):
            figure.screenshot(path=folder / f"{Path(name).name}-{number}.png")
        count += len(shown)
    return count


def main() -> None:
    """Join, print, draw."""
    join()
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise SystemExit("No Chromium to print with. On Debian: sudo apt-get install chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_context(java_script_enabled=False).new_page()
        page.set_default_timeout(0)
        page.goto(BOOK.as_uri())
        if lost := missing(page):
            raise SystemExit("\n".join(["pictures that are not there:", *lost]))
        page.pdf(path=PDF, format="A4", prefer_css_page_size=True, outline=True, tagged=True)
        print(f"{PDF}: {PDF.stat().st_size >> 10} kB", flush=True)
        print(f"{draw_figures(browser)} figures in {EDITION / 'figures'}")
        browser.close()


if __name__ == "__main__":
    main()
