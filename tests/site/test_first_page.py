"""The first page: something moves, the reader guesses, a byte goes missing, and a careful VMM
keeps it. What is counted is held against the runs."""

from collections.abc import Callable

import pytest
from kvmexit.show import film
from kvmexit.show.vocabulary import ASKING, MARKS, OUTCOMES
from kvmexit.show.words import loss_words
from patience import some
from playwright.sync_api import Locator, Page
from visits import HEADER, PHONE, Visit, wait_until

FIRST = "book/00-start-here"
SMALL_DESK = {"width": 1280, "height": 720}
SCREENS = {
    "desk": {"viewport": SMALL_DESK, "color_scheme": "light"},
    "phone": {"viewport": PHONE, "color_scheme": "dark", "has_touch": True, "is_mobile": True},
}
LINE, GUEST = ".kx [data-role=landing]", ".kx [data-role=got]"
LOSSES = f"{LINE} .missing"
"""The columns of the strip at which a byte goes missing, one path."""
HOLE = f"{GUEST} [data-fate=missing]"
ON_ITS_SIDE = {"width": 844, "height": 390}
NARROWEST = {"width": 320, "height": 640}
FAR = """() => {
  const box = (role) => document.querySelector(`.kx [data-role=${role}]`).getBoundingClientRect();
  const from = box("landing").top;
  return { got: box("got").bottom - from, driver: box("driver").bottom - from };
}"""
"""How far below the top of the line the bytes end, and the driver's word."""
THREAD = """() => {
  const line = document.querySelector(".kx .thread");
  const { left } = line.ownerSVGElement.getBoundingClientRect();
  return left + line.getPointAtLength(line.getTotalLength()).x;
}"""
"""Where the thread from the suspend's place ends, from the left."""
ARRIVING = "!!document.querySelector('.kx.arriving')"
MOVED = 10_000
"""Milliseconds after which nothing moves by itself any more."""
WORN = """() => {
  const size = (node) => node.getBoundingClientRect();
  const all = (nodes) => [...document.querySelectorAll(nodes)].map(size);
  return [size(document.querySelector(".kx")).height, ...all(".kx label").map((one) => one.width)]
    .map(Math.round);
}"""
"""How high the box is, and how wide its buttons are."""
APART = """() => {
  const boxes = [...document.querySelectorAll(".kx .legend span")]
    .map((one) => one.getBoundingClientRect());
  const gaps = boxes.slice(1).map((one, k) => one.top - boxes[k].bottom);
  return gaps.every((gap) => gap < 0 || gap >= 5);
}"""
"""Marks that stand below others keep away from them."""
TOUCHING = """() => {
  const boxes = [...document.querySelectorAll(".kx [data-role=landing] text")]
    .map((one) => one.getBoundingClientRect()).sort((a, b) => a.left - b.left);
  return boxes.slice(1).filter((one, k) => one.left < boxes[k].right + 2).length;
}"""
"""Words under the line that have no gap between them."""
LENGTH = 16
FINGER = 40
"""Pixels of a button."""
EDGE = 8
"""Pixels of the strip on either side of its columns."""


@pytest.fixture(params=some(SCREENS, usual=1))
def page(request: pytest.FixtureRequest, visit: Callable[..., Visit], over_http: str) -> Page:
    """The page as it is when it has been opened, on two screens; its clock is the test's."""
    return visit(over_http, FIRST, timed=True, **SCREENS[request.param]).page


def in_view(page: Page, node: Locator) -> bool:
    box, size = node.bounding_box(), page.viewport_size
    assert box and size
    return box["y"] >= 0 and box["y"] + box["height"] <= size["height"]


def choose(page: Page, place: float) -> None:
    """Tap or click a place of the line, from 0 to 1."""
    line = page.locator(LINE)
    box = line.bounding_box()
    assert box
    at = {"x": box["width"] * place, "y": box["height"] / 2}
    if page.evaluate("navigator.maxTouchPoints > 0"):
        line.tap(position=at)
    else:
        line.click(position=at)


def a_finger_is_wide(page: Page, kinds: list[str]) -> None:
    """Beside a mark it means the mark; far from all it means the place where it is; and there are
    buttons for each place, large enough."""
    box = page.locator(LINE).bounding_box()
    assert box
    bad, wide = kinds.index("missing") + 1, box["width"]
    for away, lost in ((-3, 1), (-30, 0)):
        choose(page, (EDGE + bad * (wide - 2 * EDGE) / len(kinds) + away) / wide)
        assert page.locator(HOLE).count() == lost
    now = int(page.locator(LINE).get_attribute("aria-valuenow") or 0)
    for way, step in (("later", 1), ("earlier", 0)):
        button = page.get_by_label(f"One landing {way}")
        size = button.bounding_box()
        assert size and min(size["width"], size["height"]) >= FINGER
        button.tap()
        assert page.locator(LINE).get_attribute("aria-valuenow") == str(now + step)


def test_it_moves_and_asks_and_two_touches_tell(page: Page) -> None:
    """A guess, which shows a byte that goes missing; and the VMM that keeps it."""
    wait_until(page, ARRIVING, "the packet to come in by itself")
    for node in ("article h1", ".kx", ".kx .ask"):
        assert in_view(page, page.locator(node)), node
    page.clock.run_for(MOVED)
    assert not page.evaluate(ARRIVING), "the packet is there"
    assert page.locator(f"{GUEST} li").count() == LENGTH
    assert page.locator(LOSSES).count() == 0, "nothing is given away before the guess"

    choose(page, 0.5)
    page.clock.run_for(MOVED)
    page.locator(HOLE).wait_for()
    assert in_view(page, page.locator(HOLE))
    assert "1 byte missing" in page.locator("[data-role=outcome]").inner_text()
    assert page.locator(LOSSES).count() == 1
    hole = page.locator(HOLE).bounding_box()
    assert hole and hole["x"] < page.evaluate(THREAD) < hole["x"] + hole["width"]
    made = film(LENGTH, policy=["save-at-once", "drain"])
    counted = [loss_words([run[3] for run in runs]) for runs in made.runs.values()]
    assert page.locator(".tally").inner_text() == counted[0]

    marks = page.locator(".legend span").all_inner_texts()
    shown = [MARKS[kind] for kind in OUTCOMES if kind.value in made.kinds()]
    assert [mark[-len(words) :] for mark, words in zip(marks, shown, strict=True)] == shown

    if page.evaluate("navigator.maxTouchPoints > 0"):
        a_finger_is_wide(page, made.kinds())
    assert page.evaluate(APART)
    worn = page.evaluate(WORN)
    page.get_by_role("radio", name="careful").check()
    assert page.evaluate(WORN) == worn
    assert [mark for mark in page.locator(".legend span").all_inner_texts() if mark] == marks[:1]
    assert page.locator(".ask").inner_text() == ASKING["safe"].format(other="a careless VMM")
    assert page.evaluate("document.querySelector('.kx .thread').getAttribute('d')") == ""
    assert page.locator(HOLE).count() == page.locator(LOSSES).count() == 0
    assert page.locator(f"{GUEST} li").count() == LENGTH
    assert page.locator("[data-role=outcome]").inner_text() == "Every byte arrived."
    assert page.locator(".tally").inner_text() == counted[1]
    page.set_viewport_size(ON_ITS_SIDE)
    far = page.evaluate(FAR)
    assert far["got"] <= 180 and far["driver"] <= ON_ITS_SIDE["height"] - HEADER
    page.get_by_role("radio", name="careless").check()
    page.set_viewport_size(NARROWEST)
    wait_until(page, f"({TOUCHING})() === 0", "words under the line that keep apart")


def test_a_drag_is_a_guess_when_the_hand_is_off(page: Page) -> None:
    """It is answered as a click is, and not before; the next one changes the bytes at once."""
    kinds = film(LENGTH).kinds()
    page.locator(LINE).wait_for()
    box = page.locator(LINE).bounding_box()
    assert box

    def x(landing: int) -> float:
        return box["x"] + EDGE + landing * (box["width"] - 2 * EDGE) / len(kinds)

    bad, y = kinds.index("missing") + 1, box["y"] + box["height"] / 2
    page.mouse.move(x(0), y)
    page.mouse.down()
    page.mouse.up()
    assert page.locator(".ask").inner_text() == ASKING["guess"], "the arrow was only touched"
    page.mouse.down()
    for landing in (bad, bad - 6):
        page.mouse.move(x(landing), y)
        assert page.locator(LINE).get_attribute("aria-valuenow") == str(landing)
        assert page.locator(HOLE).count() == page.locator(LOSSES).count() == 0
    assert page.locator(".ask").inner_text() == ASKING["commit"]
    before = page.locator(GUEST).inner_text()
    page.mouse.up()
    assert page.locator(".ask").inner_text() == ASKING["lossAfter"].format(steps="6 steps")
    page.clock.run_for(MOVED)
    page.locator(HOLE).wait_for()
    assert page.locator(LINE).get_attribute("aria-valuenow") == str(bad)

    page.mouse.down()
    assert page.locator(HOLE).count() == 0 and page.locator(GUEST).inner_text() == before
    page.mouse.move(x(bad), y)
    assert page.locator(HOLE).count() == 1
    assert in_view(page, page.locator(GUEST)) and in_view(page, page.locator(LINE))
    page.mouse.up()


def test_no_motion_for_who_wants_none_and_no_question_twice(
    visit: Callable[..., Visit], over_http: str
) -> None:
    """On paper nobody is asked; and who comes back finds the place that was chosen."""
    page = visit(over_http, FIRST, viewport=SMALL_DESK, reduced_motion="reduce").page
    page.locator(LINE).wait_for()
    assert not page.evaluate(ARRIVING)
    moving = "document.querySelector('.kx').getAnimations({ subtree: true }).length"
    assert page.evaluate(moving) == 0
    page.locator(LINE).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    assert page.locator(LOSSES).count() == 0, "a key moves the arrow, and Enter is the guess"
    page.keyboard.press("Enter")
    assert page.locator(LOSSES).count() == 1
    page.locator(HOLE).wait_for()
    wait_until(page, "location.hash.includes('film=first')", "the place in the address")
    page.reload()
    page.locator(LOSSES).wait_for(state="attached")
    page.goto("about:blank")
    page.goto(f"{over_http}/{FIRST}.html")
    page.locator(LINE).wait_for()
    assert page.locator(LOSSES).count() == 0
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(LOSSES).count() == page.locator(HOLE).count() == 1


def test_a_phone_on_its_side_has_it_in_one_view(
    visit: Callable[..., Visit], over_http: str
) -> None:
    hand = {"viewport": ON_ITS_SIDE, "has_touch": True, "is_mobile": True}
    page = visit(over_http, FIRST, timed=True, **hand).page
    wait_until(page, ARRIVING, "the packet to come in by itself")
    for node in (".kx .ask", LINE, GUEST, ".kx [data-role=driver]", ".kx .knobs"):
        assert in_view(page, page.locator(node)), node
