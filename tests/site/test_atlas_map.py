"""The map of chapter 10 in a browser: guessed at, walked, filtered, compared, and without a script.

What it says of each cell is held against the reports by ``tests/unit/test_show_atlas.py``; here,
that a reader gets to see it.
"""

from collections.abc import Callable, Iterator

import pytest
from browsers import DESK
from playwright.sync_api import Browser, Page
from visits import PHONE, SITE_ON_DISK, Visit, again, visiting

CHAPTER = "book/10-the-atlas-of-exits"
SCREENS = 1.5
"""Heights of a desk's screen that the whole map may take."""
FINGER, PANEL = 40, 0.28
"""Pixels of a button; the share of a phone's screen that the words may take, or the knobs."""
COLOURED = "() => document.querySelectorAll('.kvmexit-atlas td.{}:not(.dim)').length"


@pytest.fixture(scope="module")
def chapter(browser: Browser, over_http: str) -> Iterator[Visit]:
    """The chapter, loaded once."""
    for visit in visiting(browser):
        yield visit(over_http, CHAPTER)


@pytest.fixture
def page(chapter: Visit) -> Page:
    """The chapter as a reader finds it who has never been there."""
    chapter.page.evaluate("localStorage.clear(); history.replaceState(null, '', location.pathname)")
    chapter.page.reload()
    return chapter.page


def count(page: Page, fate: str) -> int:
    return page.evaluate(COLOURED.format(fate))


def said(page: Page) -> str:
    return page.locator(".kvmexit-atlas .say").inner_text()


def press(page: Page, name: str) -> None:
    page.locator(".kvmexit-atlas").get_by_role("button", name=name).click()


def go(page: Page, place: str) -> None:
    """As a link in the text would."""
    page.evaluate("(place) => { location.hash = place; }", place)
    page.wait_for_function("(place) => location.hash.startsWith(place)", arg=f"#{place[:20]}")
    page.wait_for_function("document.querySelector('.kvmexit-atlas .knobs select')")


def test_a_guess_uncovers_its_like_and_is_kept(page: Page) -> None:
    assert count(page, "repeated") == count(page, "fine") == 0
    assert "MMIO read 1, exit 1 of 1" in said(page) and "what becomes of it?" in said(page)
    press(page, "lost")
    assert "Not lost." in said(page) and "repeated. The registers stand before" in said(page)
    assert count(page, "repeated") > 50 and count(page, "lost") == 0
    fresh = page.locator(".kvmexit-atlas td.fresh")
    assert fresh.count() == count(page, "repeated"), "what the guess has opened is outlined"
    press(page, "next")
    page.keyboard.press("f")  # a letter is a guess
    assert "of 2 right" in said(page)
    score = said(page).splitlines()[-1]
    again(page, lambda: said(page).splitlines()[-1:] == [score], "the score of before")
    assert count(page, "repeated") > 50
    press(page, "show all")
    assert count(page, "hid") == 0 and count(page, "lost") > 100
    press(page, "cover it and guess")
    assert count(page, "hid") == page.locator(".kvmexit-atlas td").count()


def test_the_keyboard_walks_and_the_words_follow(page: Page, chapter: Visit) -> None:
    go(page, "atlas=in-al-dx.1&save=unserved")
    assert said(page).startswith("in al, dx, exit 1 of 1") and "Saved unserved" in said(page)
    stops = page.locator(".kvmexit-atlas td[tabindex='0']")
    assert stops.count() == 1
    stops.focus()
    for key in ("ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    focused = "document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(focused) == "in ax, dx, exit 1 of 1, served: repeated"
    assert page.url.endswith("#atlas=in-ax-dx.1")
    page.keyboard.press("End")
    assert page.evaluate(focused) == "in ax, dx, exit 1 of 1, drain: fine"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "in ax, dx, exit 1 of 1, drain: fine"
    page.keyboard.press("Control+End")
    page.keyboard.press("Control+Home")
    assert page.evaluate(focused).startswith("MMIO read 1, exit 1 of 1, served")
    assert stops.count() == 1


def test_filters_and_other_worlds(page: Page, chapter: Visit) -> None:
    go(page, "atlas=retf-stack-in-mmio-gp.2&save=unserved&fate=torn")
    assert count(page, "torn") == 2 and count(page, "repeated") == 0
    go(page, "atlas=mmio-read-1.1&access=msr")
    assert 0 < count(page, "repeated") < 20 and count(page, "lost") == 0
    go(page, "atlas=mmio-read-1.1&beside=x86%2C+recorded")
    assert page.locator(".kvmexit-atlas [role=status]").inner_text() == "0 cells differ"
    go(page, "atlas=mmio-read-1.1&beside=into")
    assert "Beside it, x86, the same vCPU, registers and events: stale." in said(page)
    assert count(page, "two") == page.locator(".kvmexit-atlas td.two").count() > 100
    page.get_by_label("machine").select_option("powerpc")
    assert page.url.endswith("&machine=powerpc&beside=into")
    assert count(page, "stale") > 30
    height = page.evaluate("document.querySelector('.kvmexit-atlas').offsetHeight")
    assert height <= SCREENS * DESK["height"]
    assert chapter.axe() == []
    assert chapter.small_text() == []


def test_a_link_of_the_text_leads_to_each_place_it_names(page: Page) -> None:
    """Each names an exit that there is, and what it sets can be set."""
    links = page.locator(
        "article .bd-article-container a[href^='#atlas'], article a[href^='#atlas']"
    )
    hrefs = {link.get_attribute("href") for link in links.all()} - {None}
    assert len(hrefs) > 8
    for href in hrefs:
        go(page, href.removeprefix("#"))
        chosen = page.locator(".kvmexit-atlas tr:has(td.here)")
        wanted = href.removeprefix("#").split("&")[0]
        assert chosen.get_attribute("id") == wanted, href
        if "beside=" in href:
            assert "Beside it" in said(page), href


def test_on_a_phone_the_map_is_seen_beside_its_words(visit: Callable[..., Visit]) -> None:
    """What is said, and what can be turned, leave most of the screen to the map."""
    hand = {"viewport": PHONE, "has_touch": True, "is_mobile": True}
    page = visit(SITE_ON_DISK, CHAPTER, **hand).page
    words, knobs = page.locator(".kvmexit-atlas .say"), page.locator(".kvmexit-atlas .knobs")

    def tall() -> float:
        boxes = [it.bounding_box() for it in words.locator("button").all()]
        assert all(box and min(box["width"], box["height"]) >= FINGER for box in boxes)
        return words.evaluate("(it) => it.offsetHeight")

    least = PHONE["height"] * PANEL
    assert tall() <= least
    words.get_by_role("button", name="repeated").tap()
    assert tall() <= least
    page.get_by_role("button", name="show all").tap()
    words.get_by_role("button", name="The next exit").tap()
    assert tall() <= least and "exit 1 of 1" in words.inner_text()
    assert knobs.evaluate("(it) => it.offsetHeight") <= least
    open_cell = "getComputedStyle(document.querySelector('.kvmexit-atlas td.fine')).outlineColor"
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(open_cell) != page.evaluate(paper)


def test_without_scripts_on_a_narrow_screen(visit: Callable[..., Visit]) -> None:
    """The map is coloured, the table has the words, and nothing is wider than the screen."""
    narrow = {"width": 320, "height": 700}
    bare = visit(SITE_ON_DISK, CHAPTER, java_script_enabled=False, viewport=narrow)
    page, table = bare.page, bare.page.locator(".kvmexit-atlas table")
    colour = "(td) => getComputedStyle(td).backgroundColor"
    seen = {
        page.locator(f".kvmexit-atlas td.{one}").first.evaluate(colour)
        for one in ("fine", "repeated", "lost", "torn")
    }
    assert len(seen) == 4
    first = table.locator("td").first
    assert first.inner_text() == "repeated" and first.bounding_box()["width"] < 20
    assert bare.wider_than_the_screen() == []
    page.locator(".kvmexit-atlas label", has_text="table of words").click()
    assert first.bounding_box()["width"] > 40
    assert table.locator("small").first.is_visible()
    assert page.get_by_text("What the words mean, and why").is_visible()
    assert page.get_by_text("Nobody had asked the device; the new VM does.").is_visible()
    assert bare.wider_than_the_screen() == []
    assert bare.small_text() == []
