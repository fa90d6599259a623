"""The first page: something moves, the reader guesses, a byte goes missing, and a careful VMM
keeps it. What is counted is held against the experiment."""

from collections.abc import Callable

import pytest
from kvmexit.show import film
from kvmexit.show.words import loss_words
from playwright.sync_api import Locator, Page
from visits import PHONE, Visit, wait_until

FIRST = "book/00-start-here"
SMALL_DESK = {"width": 1280, "height": 720}
SCREENS = {
    "desk": {"viewport": SMALL_DESK, "color_scheme": "light"},
    "phone": {"viewport": PHONE, "color_scheme": "dark", "has_touch": True},
}
GUEST = ".kx [data-role=got]"
LENGTH = 16


@pytest.fixture(params=SCREENS)
def seen(request: pytest.FixtureRequest, visit: Callable[..., Visit], over_http: str) -> Visit:
    """The page as it is when it has been opened."""
    return visit(over_http, FIRST, **SCREENS[request.param])


def in_view(page: Page, node: Locator) -> bool:
    box, size = node.bounding_box(), page.viewport_size
    assert box and size
    return box["y"] >= 0 and box["y"] + box["height"] <= size["height"]


def choose(page: Page, place: float) -> None:
    """Tap or click a place of the line, from 0 to 1."""
    line = page.get_by_role("slider", name="Where the suspend lands")
    box = line.bounding_box()
    assert box
    at = {"x": box["width"] * place, "y": box["height"] / 2}
    if page.evaluate("navigator.maxTouchPoints > 0"):
        line.tap(position=at)
    else:
        line.click(position=at)


def test_it_moves_by_itself_and_asks(seen: Visit) -> None:
    """Title, film and question are in the first view, and nothing has been given away."""
    page = seen.page
    wait_until(page, "!!document.querySelector('.kx.arriving')", "the packet to come in")
    for node in (page.locator("article h1"), page.locator(".kx"), page.get_by_text("Choose a place")):
        assert in_view(page, node.first), node
    wait_until(page, "!document.querySelector('.kx.arriving')", "the packet to be there")
    assert page.locator(f"{GUEST} li").count() == LENGTH
    assert page.locator(".kx svg .missing").count() == 0


def test_two_touches_tell_it_all(seen: Visit) -> None:
    """A guess, which shows a byte that goes missing; and the VMM that keeps it."""
    page = seen.page
    page.locator(".kx").wait_for()
    choose(page, 0.5)
    hole = page.locator(f"{GUEST} [data-fate=missing]")
    hole.wait_for()
    assert in_view(page, hole)
    assert "1 byte missing" in page.locator("[data-role=outcome]").inner_text()
    assert page.locator(".kx svg .missing").count() == 1
    made = film(LENGTH, policy=["save-at-once", "drain"])
    counted = [loss_words([run[3] for run in runs]) for runs in made.runs.values()]
    assert page.locator(".tally").inner_text() == counted[0]
    page.get_by_role("radio", name="careful").check()
    assert page.locator(".tally").inner_text() == counted[1]
    assert hole.count() == 0
    assert page.locator(f"{GUEST} li").count() == LENGTH
    assert page.locator("[data-role=outcome]").inner_text() == "Every byte arrived."
    assert page.locator(".kx svg .missing").count() == 0


def test_the_first_drag_changes_the_bytes(seen: Visit) -> None:
    page = seen.page
    line = page.get_by_role("slider", name="Where the suspend lands")
    line.wait_for()
    box = line.bounding_box()
    assert box
    y, at = box["y"] + box["height"] / 2, lambda part: box["x"] + box["width"] * part
    page.mouse.move(at(0.02), y)
    page.mouse.down()
    rows = set()
    for part in range(2, 90):
        page.mouse.move(at(part / 100), y)
        rows.add(page.locator(GUEST).inner_text())
    page.mouse.up()
    assert len(rows) > 3
    assert in_view(page, page.locator(GUEST)) and in_view(page, line)


def test_who_wants_no_motion_has_none(visit: Callable[..., Visit], over_http: str) -> None:
    page = visit(over_http, FIRST, viewport=SMALL_DESK, reduced_motion="reduce").page
    page.locator(".kx").wait_for()
    assert page.evaluate("document.getAnimations().length") == 0
    assert page.locator(".kx.arriving").count() == 0
    choose(page, 0.5)
    page.locator(f"{GUEST} [data-fate=missing]").wait_for()
