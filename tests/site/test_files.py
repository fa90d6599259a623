"""The built files, read without a browser: what every page must have, and what lies beside them."""

import json
import re
import struct
from collections import Counter
from html import unescape
from html.parser import HTMLParser

import pytest
from pages import SITE, contents

ALL = [*contents(), "genindex", "py-modindex", "search", "index", "404"]


class Page(HTMLParser):
    """What a page is made of, counted while it is read."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.metas: dict[str, list[str]] = {}
        self.links: dict[str, list[str]] = {}
        self.language, self.title, self.forms = "", "", []
        self._form: list[str] | None = None
        self._in_title = False
        self.feed((SITE / f"{name}.html").read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        if "id" in has:
            self.ids[has["id"]] += 1
        if tag == "html":
            self.language = has.get("lang", "")
        if tag == "meta":
            key = has.get("name") or has.get("property") or has.get("http-equiv", "")
            self.metas.setdefault(key, []).append(has.get("content", ""))
        if tag == "link":
            self.links.setdefault(has["rel"], []).append(has["href"])
        if tag == "form":
            self._form = []
            self.forms.append(self._form)
        if tag in ("button", "input") and self._form is not None:
            self._form.append(has.get("type", "submit" if tag == "button" else "text"))
        self._in_title = tag == "title" and not self.title

    def handle_endtag(self, tag: str) -> None:
        self._form = None if tag == "form" else self._form
        self._in_title = False

    def handle_data(self, data: str) -> None:
        self.title += data if self._in_title else ""


@pytest.fixture(scope="module")
def site() -> dict[str, Page]:
    """Every page, read."""
    return {name: Page(name) for name in ALL}


def test_no_id_stands_twice(site: dict[str, Page]) -> None:
    twice = {n: [one for one, count in p.ids.items() if count > 1] for n, p in site.items()}
    assert {name: ids[:5] for name, ids in twice.items() if ids} == {}


def test_a_form_can_be_sent_without_a_key(site: dict[str, Page]) -> None:
    assert all("submit" in form for page in site.values() for form in page.forms)
    assert all(site[name].forms for name in contents())


def test_a_page_has_one_heading_a_language_and_landmarks(site: dict[str, Page]) -> None:
    for name, page in site.items():
        assert page.tags["h1"] == page.tags["main"] == 1, name
        assert page.language == "en", name
        assert page.tags["nav"] or name in ("index", "404"), name
        assert len(page.metas["viewport"]) == 1, name


def test_a_page_says_what_it_is(site: dict[str, Page]) -> None:
    said = Counter(site[name].metas["description"][0] for name in contents())
    assert max(said.values()) == 1
    for name in contents():
        page = site[name]
        assert 40 <= len(page.metas["description"][0]) <= 200, name
        assert page.metas["og:title"] == [page.title], name
        assert page.title.endswith("Between Exit and Entry"), name
        assert page.metas["og:description"] == page.metas["description"], name
        picture = page.metas["og:image"][0].removeprefix("../" * name.count("/"))
        assert (SITE / picture).is_file(), name
    assert len({page.title for page in site.values()}) >= len(contents())


def test_the_front_door_says_it_too(site: dict[str, Page]) -> None:
    door = site["index"]
    assert door.title == "Between Exit and Entry" and door.metas["description"][0]
    assert "00-start-here.html" in door.metas["refresh"][0] and door.tags["a"] == 1


def test_a_search_engine_is_told_what_not_to_keep(site: dict[str, Page]) -> None:
    assert site["404"].metas["robots"] == ["noindex"]
    assert "Disallow: /_sources/" in (SITE / "robots.txt").read_text()
    assert (SITE / ".nojekyll").exists()  # or GitHub leaves out what begins with _


def test_every_icon_and_picture_is_there(site: dict[str, Page]) -> None:
    sizes = {"card.png": (1200, 630), "icon-32.png": (32, 32), "icon-180.png": (180, 180)}
    for name, size in sizes.items():
        head = (SITE / "_static" / name).read_bytes()[:24]
        assert head.startswith(b"\x89PNG") and struct.unpack(">II", head[16:]) == size, name
    for rel in ("icon", "apple-touch-icon"):
        assert all((SITE / "book" / one).is_file() for one in site[contents()[0]].links[rel])


def searched() -> dict[str, list[list[object]]]:
    text = (SITE / "_static" / "search-data.js").read_text()
    return json.loads(text.removeprefix("globalThis.searchData = ").removesuffix(";\n"))


def test_what_is_searched_is_on_the_page(site: dict[str, Page]) -> None:
    data = searched()
    assert [f"{name}.html" for name in contents()] == [page[0] for page in data["pages"]]
    for page, anchor, title, *_ in data["parts"]:
        name = str(data["pages"][int(page)][0]).removesuffix(".html")
        assert anchor in site[name].ids or not anchor, (name, anchor, title)


def test_a_chapter_has_its_number_wherever_it_is_listed() -> None:
    """As in the menu: where one does not exist, what is missed, what is found, what is guessed."""
    menu = (SITE / "book/reference/guesses.html").read_text()
    names = re.findall(r'href="\.\./([^"/]*)\.html">\s*(\d+\. [^<\n]+)', menu)
    assert len({file for file, _ in names}) > 15
    missed, found = (SITE / "404.html").read_text(), {page[3] for page in searched()["pages"]}
    for file, name in names:
        assert f'<a href="book/{file}.html">{name}</a>' in missed and unescape(name) in found
        row = f'<td><a href="../{file}.html">'
        assert row not in menu or f"{row}{name}</a>" in menu


def test_the_search_gives_no_answer_away() -> None:
    """Neither answers to questions, nor hints and solutions, nor the data of films."""
    data, asked = searched(), 0
    kept = dict.fromkeys(range(len(contents())), "")
    for page, *texts in data["parts"]:
        kept[int(page)] += " ".join(map(str, texts[2:]))
    for number, name in enumerate(contents()):
        page = (SITE / f"{name}.html").read_text()
        answers = re.findall(r'class="kvmexit-predict".*?</div>', page, re.DOTALL)
        answers += re.findall(r'id="[^"]*solution-content">.*?</section>', page, re.DOTALL)
        said = [one for box in answers for one in re.findall(r"[>.] ?([\w ,]{30,})[.<]", box)]
        assert [one for one in said if one in kept[number]] == [], name
        assert "image/svg" not in kept[number] and '"landing":' not in kept[number]
        asked += len(said)
    assert asked > 40 and kept[contents().index("book/07-finish-what-you-started")].count("drain")


def test_a_source_names_the_pages_that_cite_it() -> None:
    page = (SITE / "book/reference/sources.html").read_text()
    entries = page.split('<dt id="source-')[1:]
    assert len(entries) > 50
    for entry in entries:
        cited = re.findall(r'href="([^"#]*)#(cite-[a-z0-9-]+)"', entry.split("<dt")[0])
        for file, anchor in cited:
            citing = (SITE / "book/reference" / (file or "sources.html")).read_text()
            assert f'id="{anchor}"' in citing and f'id="mark-{anchor[5:]}"' in citing
    assert sum("Cited in" in entry for entry in entries) == len(entries)
