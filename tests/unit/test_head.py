"""What a page says of itself, with an address of the site and without; ids; style sheets."""

import re
import sys
from pathlib import Path

import pytest
from head import first_sentences, metatags, page_name, robots, sitemap
from ids import rename, word_id
from jupyterlab_server.settings_utils import get_settings
from kvmexit.show import strip
from pages import ROOT
from thin import Words, thinned

ADDRESS = "https://example.org/book/"


def test_a_description_is_whole_sentences() -> None:
    text = "A guest reads. " * 30
    said = first_sentences(text)
    assert 150 < len(said) <= 200 and said.endswith("reads.")
    assert first_sentences("One.") == "One." and first_sentences("") == ""
    long = first_sentences("word " * 100)
    assert len(long) <= 200 and long.endswith("word…")
    assert first_sentences("e.g. this. `KVM_RUN` returns.", 12) == "e.g. this."


def test_a_page_names_the_book_once() -> None:
    assert page_name("2. One <code>exit</code>", "Book") == "2. One exit — Book"
    assert page_name("Book", "Book") == page_name("", "Book") == "Book"
    assert page_name("A &amp; B", "Book") == "A &amp; B — Book"


@pytest.mark.parametrize("address", [ADDRESS, ""])
def test_an_address_is_claimed_only_where_it_is_stated(address: str) -> None:
    tags = metatags(
        'A "b" — B', "Says <so>.", "B", address, "p/x.html", "../_static/card.png", False
    )
    assert 'content="Says &lt;so&gt;."' in tags and 'content="A &quot;b&quot; — B"' in tags
    assert (f'<meta property="og:url" content="{ADDRESS}p/x.html">' in tags) == bool(address)
    picture = f"{ADDRESS}_static/card.png" if address else "../_static/card.png"
    assert f'<meta property="og:image" content="{picture}">' in tags
    assert ("Sitemap: https://example.org/book/sitemap.xml" in robots(address)) == bool(address)


def test_the_map_of_the_site_has_whole_addresses() -> None:
    assert "<loc>https://example.org/book/p/x.html</loc>" in sitemap(ADDRESS, ["p/x"])
    assert "Disallow: /book/_sources/" in robots(ADDRESS)


def test_an_id_that_was_given_is_named_after_its_owner() -> None:
    seen: set[str] = set()
    names = [rename("content", owner, seen) for owner in ("ex-1", "ex-2", "ex-2")]
    assert names == ["content", "ex-2-content", "ex-2-content-2"] and len(seen) == 3
    assert word_id("struct kvm_run") == "word-struct-kvm-run"


def test_two_charts_share_no_id() -> None:
    one, two = (set(re.findall(r' id="([^"]*)"', strip(n).html())) for n in (8, 9))
    assert one and two and not one & two
    html = strip(8).html()
    assert set(re.findall(r'(?:url\(|href=")#([^")]+)', html)) <= one


def test_a_style_sheet_keeps_what_may_match() -> None:
    words = Words(['<p class="a b-c">', 'el.className = "side-" + way'])
    css = (
        "/* x */@charset 'u';.a{x:y}.gone{x:y}.a,.gone .b-c{x:y}.side-left{x:y}"
        '.a:not(.gone)::before{content:"}"}@media print{.gone{x:y}}@media screen{.a{x:y}}'
        "@keyframes gone{0%{x:y}}p{x:y}"
    )
    assert thinned(css, words) == (
        "@charset 'u';.a{x:y}.a{x:y}.side-left{x:y}"
        '.a:not(.gone)::before{content:"}"}@media screen{.a{x:y}}'
        "@keyframes gone{0%{x:y}}p{x:y}"
    )


def test_no_news_lie_over_a_film_in_jupyterlab() -> None:
    """`make lab` starts JupyterLab with settings that ask nothing of anybody."""
    settings = re.search(r"app_settings_dir=(\S+)", (ROOT / "Makefile").read_text())
    assert settings
    schemas = Path(sys.prefix) / "share/jupyter/lab/schemas"
    name = "@jupyterlab/apputils-extension:notification"
    known, _ = get_settings(str(ROOT / settings[1]), str(schemas), str(ROOT / "none"), name)
    chosen = known["schema"]["properties"]
    assert chosen["fetchNews"]["default"] == "false"
    assert chosen["checkForUpdates"]["default"] is False
