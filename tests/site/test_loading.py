"""What a page loads: all of it from the site, little of it, and without a complaint."""

from collections.abc import Callable

from visits import Visit

HEAVIEST_PAGE = 250_000
"""Bytes that a first view may load, compressed, everything counted."""


def test_no_request_leaves_the_site_and_nothing_fails(
    visit: Callable[..., Visit], address: str, name: str
) -> None:
    seen = visit(address, name)
    seen.page.wait_for_load_state("networkidle")
    outside = [url for url in seen.requests if not url.startswith((address, "data:", "blob:"))]
    assert outside == []
    assert seen.complaints == []
    assert [response.url for response in seen.loaded if response.status >= 400] == []


def test_first_view_is_light(desk: Visit, record_property: Callable[..., None]) -> None:
    weight = desk.weight()
    record_property("kilobytes of a first view", sum(weight.values()) / 1000)
    heaviest = sorted(weight.items(), key=lambda item: -item[1])[:5]
    assert 20_000 < sum(weight.values()) <= HEAVIEST_PAGE, heaviest


def test_every_icon_is_in_the_small_font(desk: Visit) -> None:
    fonts = [url.rsplit("/")[-1] for url in desk.requests if ".woff" in url or ".ttf" in url]
    assert fonts == ["icons.woff"]


def test_the_front_door_leads_to_the_first_page(visit: Callable[..., Visit], address: str) -> None:
    page = visit(address, "index").page
    page.wait_for_url("**/00-start-here.html")
    assert page.title().startswith("Start here")


def test_without_scripts_the_text_and_the_stills_are_there(
    visit: Callable[..., Visit], over_http: str, name: str
) -> None:
    page = visit(over_http, name, java_script_enabled=False).page
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


def test_search_finds_a_word(visit: Callable[..., Visit], over_http: str) -> None:
    seen = visit(over_http, "search")
    seen.go(f"{over_http}/search.html?q=completion")
    # Results come in one by one; the page of words is among them.
    seen.page.locator("#search-results li a", has_text="Words").first.wait_for()
    assert seen.complaints == []


def test_a_code_cell_can_be_copied(visit: Callable[..., Visit], over_http: str) -> None:
    allowed = ["clipboard-read", "clipboard-write"]
    page = visit(over_http, "book/00-start-here", permissions=allowed).page
    cell = page.locator(".cell_input:visible").first
    cell.hover()
    cell.locator("button.copybtn").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == cell.locator("pre").inner_text().strip()
