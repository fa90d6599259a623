"""The dots of chapter 1 in the built page: they come, can be chosen, and are the run's."""

from collections.abc import Callable

import pytest
from kvmexit.packet.experiment import Scenario, response_of
from kvmexit.packet.longtest import LongTest, long_test
from playwright.sync_api import Locator
from visits import PHONE, Visit, wait_until

CHAPTER = "book/01-a-byte-goes-missing"
FALLING = "document.querySelector('.kx-night').dataset.falling !== undefined"

COUNTED = """() => {
  const root = document.querySelector(".kx-night"), wrong = [];
  const colour = (one) => one.getAttribute("fill") + one.getAttribute("fill-opacity");
  const counts = [...root.querySelectorAll(".count")];
  const there = [...root.querySelectorAll("[role=listbox] > path[fill]")].filter((one) =>
    !one.hasAttribute("visibility") && !one.hasAttribute("opacity"));
  const said = counts.reduce((sum, one) => sum + Number(one.textContent), 0);
  if (said !== there.length) wrong.push(`${said} said, ${there.length} there`);
  for (const kind of new Set(there.map(colour))) {
    const of = counts.filter((one) => colour(one.querySelector("path")) === kind);
    const sum = of.reduce((all, one) => all + Number(one.textContent), 0);
    const dots = there.filter((one) => colour(one) === kind).length;
    if (sum !== dots) wrong.push(`${kind}: ${sum} said, ${dots} there`);
  }
  return [there.length, wrong];
}"""
"""How many dots are in their places, and the counts that are not theirs."""


@pytest.fixture(scope="module")
def night() -> LongTest:
    return long_test(Scenario(response_of(16)), suspends=1000)


def bytes_of(night: Locator) -> tuple[bytes, bytes]:
    """The bytes that were sent, and the ones that the guest got, as they are shown."""
    rows = [row.locator("td").all_inner_texts() for row in night.locator(".bytes tr").all()]
    sent, got = (bytes.fromhex("".join(cells).replace("·", "")) for cells in rows)
    return sent, got


def test_the_dots_fall_when_they_are_seen(
    visit: Callable[..., Visit], over_http: str, night: LongTest
) -> None:
    """Once by themselves, until the reader chooses one; and again if they are asked to."""
    page = visit(over_http, CHAPTER, viewport=PHONE, has_touch=True, timed=True).page
    figure = page.locator(".kx-night").first
    dots, counts = figure.get_by_role("listbox"), figure.locator(".count")
    whole = [str(count) for count, _, _ in night.tally]
    assert not page.evaluate(FALLING), "nobody has seen them yet"
    dots.scroll_into_view_if_needed()
    wait_until(page, FALLING, "the dots to fall")
    landed = [0]
    for _ in range(12):
        page.clock.run_for(300)
        there, wrong = page.evaluate(COUNTED)
        assert wrong == [], "a count is ahead of its dots, or behind them"
        landed.append(there)
    assert landed == sorted(landed) and len(set(landed)) > 9 and page.evaluate(FALLING)
    dots.tap()
    assert not page.evaluate(FALLING)
    assert counts.all_inner_texts() == whole
    figure.get_by_role("button", name="again").tap()
    assert page.evaluate(FALLING)
    page.clock.run_for(10_000)
    assert not page.evaluate(FALLING)
    assert counts.all_inner_texts() == whole


def test_every_packet_is_the_runs(
    visit: Callable[..., Visit], over_http: str, night: LongTest
) -> None:
    """By keys, by a tap, and by a count that leaves its own: what is shown is what the guest got.

    The reader asks for less motion."""
    still = visit(over_http, CHAPTER, reduced_motion="reduce").page
    figure = still.locator(".kx-night").first
    assert not still.evaluate(FALLING)
    dots, number = figure.get_by_role("listbox"), figure.locator(".head span")

    def agrees() -> int:
        at = int(number.inner_text().split()[1])
        one = night.suspends[at - 1]
        assert bytes_of(figure) == (night.sent, one.packet)
        said = figure.locator("p").inner_text().lower()
        assert one.packet_words in said and one.driver_words.lower() in said
        name = dots.get_attribute("aria-activedescendant")
        chosen = figure.locator(f"#{name}")
        assert chosen.get_attribute("aria-selected") == "true"
        assert (chosen.get_attribute("aria-label") or "").lower() == f"packet {at}: {said}"[:-1]
        return at

    first = agrees()
    dots.focus()
    for key, way in (("ArrowRight", 1), ("ArrowDown", 40), ("ArrowLeft", -1), ("ArrowUp", -40)):
        still.keyboard.press(key)
        first += way
        assert agrees() == first
    still.keyboard.press("End")
    assert agrees() == len(night.suspends)
    assert figure.get_by_role("button", name="The next packet").is_disabled()
    still.keyboard.press("Home")
    assert agrees() == 1
    box = dots.bounding_box()
    assert box
    dots.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.5})
    assert 450 < agrees() < 550
    figure.locator(".count").nth(2).click()
    wanted = night.tally[2]
    silent = [n for n, one in enumerate(night.suspends, 1) if _row(one) == wanted[1:]]
    dim = figure.locator("[role=listbox] .pale").count()
    assert len(night.suspends) - dim == wanted[0] == len(silent)
    for at in silent[:4]:
        assert agrees() == at
        figure.get_by_role("button", name="The next packet").click()
    figure.locator(".count").nth(2).click()
    assert figure.locator(".pale").count() == 0


def _row(one: object) -> tuple[str, str]:
    return one.packet_words, one.driver_words
