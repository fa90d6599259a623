"""The control of a picture: slider, buttons, address, time; and the picture without any of it."""

from collections.abc import Callable

import pytest
from edition import figures
from kvmexit.show.moving.picture import NO_SCRIPT
from kvmexit.show.vocabulary import AGAIN
from visits import SETTLED, SITE_ON_DISK, Visit, wait_until

KICK = "book/12-the-whole-stop-path"
ODDS = "book/14-how-rare-is-rare"
AT = """() => [...document.querySelectorAll(".kvmexit-picture")].map((one) =>
  [...one.querySelectorAll(".kxp-stage > input")].findIndex((radio) => radio.checked) + 1)"""
SHOWN = """() => [...document.querySelectorAll(".kvmexit-picture")].map((one) => {
  const at = [...one.querySelectorAll(".kxp-stage > input")].findIndex((radio) => radio.checked);
  return `#picture-${one.dataset.name}-${at + 1}`; })"""


@pytest.fixture
def kick(visit: Callable[..., Visit]) -> Visit:
    visited = visit(SITE_ON_DISK, KICK)
    visited.page.evaluate(SETTLED)
    return visited


def test_keys_buttons_and_a_click_walk_and_the_address_follows(kick: Visit) -> None:
    page = kick.page
    slider = page.locator(".kxp-control input").first
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.evaluate(AT)[0] == 2
    page.get_by_role("button", name="one on").first.click()
    page.get_by_role("button", name="one on").first.click()
    page.get_by_role("button", name="one back").first.click()
    assert page.evaluate(AT)[0] == 3
    spoken = page.locator(".kxp-spoken").first.inner_text()
    assert spoken == slider.get_attribute("aria-valuetext")
    page.locator(".kxp-strip").first.locator("label").nth(4).click()
    assert page.evaluate(AT)[0] == 5
    wait_until(page, "location.hash === '#picture-kick-5'", "the address of the frame")
    page.evaluate("location.hash = '#picture-migration-2'")
    wait_until(page, f"({AT})()[1] === 2", "the frame of the address")
    assert page.evaluate(AT)[0] == 5


def test_a_link_in_the_prose_shows_its_frame(kick: Visit) -> None:
    page = kick.page
    links = page.locator("article a[href^='#picture-']")
    addresses = [link.get_attribute("href") for link in links.all()]
    assert len(addresses) >= 3
    for link, address in zip(links.all(), addresses):
        link.click()
        wait_until(page, f"({SHOWN})().includes('{address}')", address)
    page.go_back()
    wait_until(page, f"({SHOWN})().includes('{addresses[-2]}')", "the frame before")
    assert kick.complaints == []


def test_without_a_script_each_frame_is_reached_by_keys(visit: Callable[..., Visit]) -> None:
    """As an output of JupyterLab shows it, too."""
    page = visit(SITE_ON_DISK, KICK, java_script_enabled=False).page
    first = page.locator(".kxp-stage").first
    frames = first.locator(".kxp-frame")
    count = frames.count()
    radio = first.locator("input:checked")
    radio.focus()
    seen = set()
    for _ in range(count):
        page.keyboard.press("ArrowRight")
        (shown,) = [n for n in range(count) if frames.nth(n).is_visible()]
        seen.add(shown)
    assert seen == set(range(count))
    for link in page.locator("article a[href^='#picture-']").all():
        assert page.locator(link.get_attribute("href")).count() == 1
    assert NO_SCRIPT in first.locator("..").inner_text()
    said = [one.inner_text() for one in figures(page)]
    assert len(said) >= 2 and not any(NO_SCRIPT in text for text in said), (
        "no image can be chosen in"
    )


def test_time_runs_when_asked_and_stops_at_any_touch(visit: Callable[..., Visit]) -> None:
    page = visit(SITE_ON_DISK, ODDS, timed=True).page
    start = page.evaluate(AT)[0]
    page.clock.run_for(2000)
    assert page.evaluate(AT)[0] == start, "it plays by itself"
    page.get_by_label("speed").select_option("faster")
    assert page.get_by_role("button", name="Play").inner_text() == AGAIN, "it stands at the end"
    page.get_by_role("button", name="Play").click()
    page.clock.run_for(330)
    assert 3 < page.evaluate(AT)[0] < 9
    page.mouse.wheel(0, 10)
    wait_until(
        page,
        "[...document.querySelectorAll('button')].some((b) => b.textContent === 'Play')",
        "the stop",
    )
    stopped = page.evaluate(AT)[0]
    page.clock.run_for(2000)
    assert page.evaluate(AT)[0] == stopped < start


def test_who_wants_no_motion_has_single_steps(visit: Callable[..., Visit]) -> None:
    page = visit(SITE_ON_DISK, ODDS, reduced_motion="reduce").page
    assert page.get_by_role("button", name="Play").count() == 0
    page.get_by_role("button", name="one back").click()
    assert page.evaluate(AT)[0] > 1
    moved = page.evaluate(
        "getComputedStyle(document.querySelector('.kxp-still')).transitionDuration"
    )
    assert moved == "0s"


def test_on_paper_there_are_the_words_of_all(kick: Visit) -> None:
    page = kick.page
    page.emulate_media(media="print")
    says = page.locator(".kxp-stage").first.locator(".kxp-says")
    assert all(says.nth(n).is_visible() for n in range(says.count()))
    drawn = page.locator(".kxp-stage").first.locator(".kxp-frame .kxp-kicks")
    assert sum(drawn.nth(n).is_visible() for n in range(drawn.count())) == 1
    assert not page.locator(".kxp-control").first.is_visible()


def test_of_a_play_paper_has_what_is_shown(visit: Callable[..., Visit]) -> None:
    page = visit(SITE_ON_DISK, ODDS).page
    page.emulate_media(media="print")
    says = page.locator(".kxp-says")
    assert [n for n in range(says.count()) if says.nth(n).is_visible()] == [says.count() - 1]
