"""The front door, the search, the switch of the theme, and pages where no script runs."""

import re
from collections.abc import Callable, Iterator

import pytest
from looks import faint_in_forced_colours, too_wide_at_320
from pages import SITE
from serving import Quiet, served
from visits import PHONE, SITE_ON_DISK, Visit, is_its_turn, wait_until


def test_the_front_door_leads_to_the_first_page(visit: Callable[..., Visit], address: str) -> None:
    page = visit(address, "index").page
    page.wait_for_url("**/00-start-here.html")
    assert page.title().startswith("Between Exit and Entry")


def test_without_scripts_the_text_and_the_stills_are_there(
    visit: Callable[..., Visit], name: str
) -> None:
    if not is_its_turn(name, 6):
        return
    page = visit(SITE_ON_DISK, name, java_script_enabled=False).page
    article = page.locator("article.bd-article")
    assert article.locator("h1").is_visible()
    assert len(article.inner_text()) > 400
    for still in page.locator(".kvmexit-film").all():
        box = still.bounding_box()
        assert box and box["height"] > 100
        assert len(still.inner_text()) > 40


def test_the_theme_can_be_switched(visit: Callable[..., Visit], address: str) -> None:
    page = visit(address, "book/00-start-here", color_scheme="light").page
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    for _ in range(3):
        if page.evaluate("document.documentElement.dataset.theme") != "dark":
            page.locator("button.theme-switch-button:visible").click()
    assert page.evaluate(background) != light


def ask(visit: Callable[..., Visit], address: str, words: str) -> Visit:
    """The page of search with its results."""
    seen = visit(address, "search")
    seen.page.wait_for_load_state("networkidle")  # leaving early ends a request or two
    seen.go(f"{address}/search.html?q={words}")
    seen.page.locator("#search-results li").first.wait_for()
    return seen


TAUGHT = {
    "drain": ["Words › drain", "Finish what you started"],
    "stale": ["Words › stale", "Where the suspend lands"],
    "landing": ["Words › landing", "Where the suspend lands"],
    "compensation": ["Words › compensation", "The fix that duplicated"],
    "immediate_exit": ["Finish what you started"],
}
"""What is found first: the word itself, then the chapter that teaches it."""


def test_search_begins_with_what_teaches_the_word(
    visit: Callable[..., Visit], over_http: str
) -> None:
    seen = ask(visit, over_http, "completion")
    for word, wanted in TAUGHT.items():
        seen.go(f"{over_http}/search.html?q={word}")
        seen.page.locator("#search-results li").first.wait_for()
        found = seen.page.locator("#search-results > li").all_inner_texts()
        for place, title in enumerate(wanted):
            assert re.match(rf"(\d+\. )?{title}", found[place]), (word, found[:3])
        assert seen.page.locator("#search-results li mark").count() >= len(found)
    assert seen.complaints == [] and seen.requests_outside(over_http) == []


def test_a_result_lands_at_the_word(visit: Callable[..., Visit]) -> None:
    """In its section, in view, and marked; from a disk, too."""
    seen = ask(visit, SITE_ON_DISK, "idempotent")
    seen.page.locator("#search-results a").nth(1).click()
    wait_until(seen.page, "CSS.highlights?.get('found')?.size", "the words to be marked")
    assert "#" in seen.page.url
    in_view = """() => [...CSS.highlights.get("found")].some((range) => {
      const {top, bottom} = range.getBoundingClientRect();
      return top > 0 && bottom < innerHeight && /idempotent/i.test(range.toString());
    })"""
    wait_until(seen.page, in_view, "the word to be in view")
    assert seen.complaints == []


def test_what_is_not_in_the_book_is_said_so(visit: Callable[..., Visit]) -> None:
    page = visit(SITE_ON_DISK, "search").page
    page.goto(f"{SITE_ON_DISK}/search.html?q=quaternion")
    said = page.locator("#search-said", has_text="Nothing in the book says")
    said.wait_for()


def test_the_first_key_leads_past_the_menus(visit: Callable[..., Visit], over_http: str) -> None:
    page = visit(over_http, "book/05-where-the-suspend-lands").page
    page.keyboard.press("Tab")
    door = page.locator(":focus")
    assert door.inner_text() == "Skip to the text"
    seen = "(({top, height}) => top >= 0 && height > 10)"
    wait_until(page, f"{seen}(document.activeElement.getBoundingClientRect())", "the door in view")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('article') !== null")


def test_a_notebook_is_kept_and_not_shown(visit: Callable[..., Visit], over_http: str) -> None:
    page = visit(over_http, "book/02-one-exit").page
    with page.expect_download() as download:
        page.locator("a[download][href$=ipynb]").click()
    assert download.value.suggested_filename == "02-one-exit.ipynb"


@pytest.mark.parametrize("made", ["search", "genindex"])
def test_pages_that_no_source_stands_for_are_as_good(
    visit: Callable[..., Visit], over_http: str, made: str
) -> None:
    seen = ask(visit, over_http, "drain") if made == "search" else visit(over_http, made)
    assert made == "genindex" or seen.axe() == []  # of an index of a thousand links, axe takes long
    assert seen.small_text() == []
    assert too_wide_at_320(seen) == [] and faint_in_forced_colours(seen) == []


def test_no_tooltip_stays_where_a_finger_was(visit: Callable[..., Visit], over_http: str) -> None:
    touched = {"has_touch": True, "is_mobile": True, "viewport": PHONE}
    page = visit(over_http, "book/03-a-read-takes-two-runs", **touched).page
    page.locator("button.secondary-toggle").tap()
    page.locator("dialog[open] nav").wait_for()
    assert page.locator("dialog[open] nav a").first.is_visible()
    assert not any(one.is_visible() for one in page.locator(".tooltip").all())


@pytest.fixture(scope="module")
def deep() -> Iterator[str]:
    """The site at an address that is not the top of its server, which shows 404.html."""

    class Deep(Quiet):
        def translate_path(self, path: str) -> str:
            top, rest = path[: len(DEEP)], path[len(DEEP) :]
            return super().translate_path(rest if top == DEEP else "/none")

        def send_error(self, code: int, *args: object, **more: object) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write((SITE / "404.html").read_bytes())

    with served(Deep) as address:
        yield address + DEEP


DEEP = "/some/where"


@pytest.mark.parametrize("lost", ["/none.html", "/book/labs/9-none/at/all.html"])
def test_a_wrong_address_leads_back(visit: Callable[..., Visit], deep: str, lost: str) -> None:
    """However deep it is, and wherever the site stands."""
    seen = visit(deep, lost.removeprefix("/").removesuffix(".html"))
    assert seen.page.locator("h1").inner_text() == "This page is not in the book"
    assert seen.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    seen.page.get_by_role("link", name="2. One exit", exact=True).click()
    seen.page.wait_for_url(f"{deep}/book/02-one-exit.html")
    assert seen.page.title().startswith("2. One exit")


def test_a_code_cell_can_be_copied(visit: Callable[..., Visit], over_http: str) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    page = visit(over_http, "book/01-a-byte-goes-missing", permissions=allowed).page
    cell = page.locator(".cell_input:visible").first
    cell.hover()
    page.evaluate("navigator.clipboard.writeText('')")
    cell.locator("button.copybtn").click()
    wait_until(page, "navigator.clipboard.readText().then((text) => text !== '')", "a copied cell")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == cell.locator("pre").inner_text().strip()
