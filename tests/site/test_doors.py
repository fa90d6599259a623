"""The front door, the search, the switch of the theme, and pages where no script runs."""

from collections.abc import Callable

from visits import SITE_ON_DISK, Visit, wait_until


def test_the_front_door_leads_to_the_first_page(visit: Callable[..., Visit], address: str) -> None:
    page = visit(address, "index").page
    page.wait_for_url("**/00-start-here.html")
    assert page.title().startswith("Between Exit and Entry")


def test_without_scripts_the_text_and_the_stills_are_there(
    visit: Callable[..., Visit], name: str
) -> None:
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


def test_search_finds_a_word(visit: Callable[..., Visit], over_http: str) -> None:
    seen = visit(over_http, "search")
    seen.page.wait_for_load_state("networkidle")  # leaving early ends a request or two
    seen.go(f"{over_http}/search.html?q=completion")
    # Results come in one by one; the page of words is among them.
    seen.page.locator("#search-results li a", has_text="Words").first.wait_for()
    assert seen.complaints == []


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
