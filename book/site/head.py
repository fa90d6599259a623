"""A Sphinx extension: what a page says of itself to those who do not read it.

1.  Its name, a description, and the card that is shown where somebody links to it. The
    description is the notebook's metadata ``description``, or the first sentences of the page.
2.  ``index.html``, the front door, which leads to the first page; and ``404.html``, which a
    server may show at any address.
3.  ``robots.txt`` and ``sitemap.xml``.

Where the site stands is said once, by ``html: baseurl`` in ``_config.yml``. With it, pages name
their own address (canonical), and the map of the site is written, which needs whole addresses.
Without it nothing is claimed, and all else works.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from card import ALT, CARD, HEIGHT, WIDTH, write_pictures
from docutils import nodes
from sources import SourceMark
from sphinx.application import Sphinx

LONGEST = 200
"""Characters of a description: what is longer, search engines and cards cut."""
SHORTEST = 40
"""Characters that say anything: a way back to another page is shorter."""
SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z`\"“])")
ASIDE = {"index": "redirect.html", "404": "404.html"}
"""Pages that are not in the table of contents, and their templates."""
BARE_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.5 system-ui,sans-serif;margin:0}"
    "main{max-width:44rem;margin:0 auto;padding:1rem}"
    "h1{font-size:1.6rem;font-weight:500}ul{list-style:none;padding:0}li{margin:.35rem 0}"
    "a{color:light-dark(mediumblue,lightskyblue)}"
    "input,button{min-height:2.5rem;box-sizing:border-box;padding:0 .6rem}"
    "a{overflow-wrap:anywhere}input,button{font:inherit;max-width:100%}"
)
"""For a page that loads nothing."""


def first_sentences(text: str, longest: int = LONGEST) -> str:
    """As many whole sentences as fit, at least one; one that is too long is cut at a word."""
    said = ""
    for sentence in SENTENCE.split(" ".join(text.split())):
        longer = f"{said} {sentence}".strip()
        if said and len(longer) > longest:
            break
        said = longer
    return said if len(said) <= longest else said[: longest - 1].rsplit(" ", 1)[0] + "…"


def words_of(paragraph: nodes.Node) -> str:
    """The text of a paragraph without its marks of sources."""
    marks = list(paragraph.findall(SourceMark))
    return "".join(
        part.astext()
        for part in paragraph.findall(nodes.Text)
        if not any(mark is part.parent for mark in marks)
    )


def description(document: nodes.document | None, metadata: dict[str, Any]) -> str:
    """What a page is about, in a line or two; empty if it has no text."""
    if said := str(metadata.get("description", "")).strip():
        return said
    paragraphs = document.findall(nodes.paragraph) if document else ()
    wanted = (words_of(one) for one in paragraphs if isinstance(one.parent, nodes.section))
    return first_sentences(next((words for words in wanted if len(words) >= SHORTEST), ""))


def page_name(title: str, book: str) -> str:
    """``Chapter — Book``; the book's own name is not said twice."""
    name = unescape(re.sub(r"<[^>]*>", "", title)).strip()
    return escape(f"{name} — {book}" if name and name != book else book)


def numbered(page: str, title: str) -> str:
    """``5. Where the suspend lands``, as the menu has it: a chapter's file begins with its number.
    Of a page without one, its title."""
    number = re.match(r"book/0*([1-9]\d*)-", page)
    return f"{number[1]}. {title}" if number else title


def metatags(
    name: str, about: str, book: str, address: str, file: str, picture: str, first: bool
) -> str:
    """The lines of a head that describe a page. ``address`` is the site's, with its last slash,
    or empty; ``file`` the page's place in it; ``picture`` the card's place, seen from the page."""
    social = {
        "og:type": "website" if first else "article",
        "og:site_name": book,
        "og:title": unescape(name),
        "og:description": about,
        "og:url": address and address + file,
        "og:image": address + f"_static/{CARD}" if address else picture,
        "og:image:width": str(WIDTH),
        "og:image:height": str(HEIGHT),
        "og:image:alt": ALT,
    }
    lines = [f'<meta name="description" content="{escape(about)}">'] if about else []
    lines += [
        f'<meta property="{key}" content="{escape(value)}">'
        for key, value in social.items()
        if value
    ]
    return "\n".join([*lines, '<meta name="twitter:card" content="summary_large_image">'])


def address_of(app: Sphinx) -> str:
    """The site's address, with one slash at its end; empty if the site does not say it."""
    stated = str(app.config.html_baseurl or "").rstrip("/")
    return f"{stated}/" if stated else ""


def reading_order(app: Sphinx) -> list[str]:
    """The pages of the table of contents."""
    root = app.config.root_doc
    included = app.env.toctree_includes
    return [root, *(page for page in included.get(root, ()) if page in app.env.found_docs)]


def describe(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Called for each page that is written."""
    root, book = app.config.root_doc, app.config.html_title
    about_page = root if page == "index" else page
    known = about_page in app.env.found_docs
    document = app.env.get_doctree(about_page) if known else None
    title = app.env.titles[root].astext() if page == "index" else context.get("title") or ""
    about = description(document, app.env.metadata[about_page] if known else {})
    name = book if page == "index" else page_name(title, book)
    context |= {
        "address": address_of(app),
        "bare_style": BARE_STYLE,
        "description": escape(about),
        "docstitle": book,
        "doctree_shown": tree is not None,
        "every_page": [
            (one, escape(numbered(one, app.env.titles[one].astext()))) for one in reading_order(app)
        ],
        "page_name": name,
        "pageurl": address_of(app) and f"{address_of(app)}{about_page}.html",
        "root_title": escape(app.env.titles[root].astext()),
    }
    picture = context["pathto"](f"_static/{CARD}", 1)
    context["metatags"] = metatags(
        name,
        about,
        book,
        address_of(app),
        f"{about_page}.html",
        picture,
        page in (root, "index"),
    )
    if page not in (*app.env.found_docs, *ASIDE):
        context["pageurl"] = ""  # search and indices: nobody is sent there from outside


def doors(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Called by Sphinx: the pages that no source stands for."""
    for page, template in ASIDE.items():
        yield page, {"title": "Not in the book" if page == "404" else ""}, template


def sitemap(address: str, pages: list[str]) -> str:
    """All pages by their whole addresses."""
    lines = [f"<url><loc>{escape(address + page)}.html</loc></url>" for page in pages]
    space = "http://www.sitemaps.org/schemas/sitemap/0.9"
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{space}">'
    return "\n".join([head, *lines, "</urlset>\n"])


def robots(address: str) -> str:
    """All may be read, once: a page's source says the same."""
    rules = f"User-agent: *\nDisallow: {urlsplit(address).path or '/'}_sources/\n"
    return rules + (f"Sitemap: {address}sitemap.xml\n" if address else "")


def finish(app: Sphinx, error: Exception | None) -> None:
    """Write what lies beside the pages."""
    if error is None and app.builder.format == "html":
        out, address = Path(app.outdir), address_of(app)
        (out / ".nojekyll").touch()  # GitHub's pages would leave out every name that begins with _
        (out / "robots.txt").write_text(robots(address))
        if address:
            (out / "sitemap.xml").write_text(sitemap(address, reading_order(app)))
        write_pictures(out / "_static", app.config.html_title)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("html-page-context", describe, priority=900)
    app.connect("html-collect-pages", doors)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
