"""A question in a page: one guess, locked and kept; what answers it, covered until then."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page
from visits import PHONE, SITE_ON_DISK, Visit, again, wait_until

CHOICE, STRIP = "book/03-a-read-takes-two-runs", "book/06-the-fix-that-duplicated"
COUNTER = "book/reference/guesses"
NOTHING_KEPT = "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no'); }})"


def first(page: Page) -> Locator:
    return page.locator(".kvmexit-predict").first


def answers(page: Page) -> Locator:
    """What answers the first question of the page."""
    return page.locator(f".kvmexit-answer.of-{first(page).get_attribute('data-key')}")


def inert(page: Page) -> set[bool]:
    return {one.evaluate("el => el.inert") for one in answers(page).all()}


def at(page: Page) -> str:
    """The text, or the name, of what has the focus."""
    return page.evaluate(
        "(document.activeElement.ariaLabel || document.activeElement.textContent).trim()"
    )


def guess(page: Page, right: bool) -> str:
    """Commit to the first right or wrong guess, with the keyboard. What is said then."""
    texts = (
        first(page)
        .locator(".paper details")
        .evaluate_all("all => all.map((one) => 'right' in one.dataset)")
    )
    radios = first(page).locator("input[type=radio]")
    radios.first.focus()
    page.keyboard.press("Space")
    for _ in range(texts.index(right)):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert at(page) == "That is my guess"
    page.keyboard.press("Enter")
    return first(page).locator(".said").inner_text()


def test_a_guess_is_locked_kept_and_counted(visit: Callable[..., Visit], over_http: str) -> None:
    seen = visit(over_http, CHOICE, covered=True, color_scheme="light")
    page = seen.page
    assert inert(page) == {True} and seen.unreachable() == []
    assert (
        not first(page).locator(".kxq").get_by_text("Who should have carried it over?").is_visible()
    )
    first(page).get_by_role("button", name="That is my guess").click()
    assert "Choose one" in first(page).locator(".need").inner_text()
    assert guess(page, right=False).startswith("✗ Not so. Right is:")
    for _ in range(2):
        assert inert(page) == {False}
        assert (
            first(page).locator(".kxq").get_by_text("Who should have carried it over?").is_visible()
        )
        assert first(page).locator("input:enabled").count() == 0
        page.reload()
    key = first(page).get_attribute("data-key")
    seen.go(f"{over_http}/{COUNTER}.html")
    page.get_by_text("You have guessed at 1 of", exact=False).wait_for()
    again = page.locator(f'.again a[href$="#predict-{key}"]')
    assert "What does KVM_GET_REGS say" in again.inner_text()
    again.click()
    page.wait_for_url(f"**/{CHOICE}.html#predict-{key}")
    first(page).get_by_role("button", name="Ask me again").click()
    assert inert(page) == {True} and first(page).locator("input:enabled").count() == 3
    assert guess(page, right=True).startswith("✓ Right.")
    assert "1 of 1 right" in first(page).locator(".tally").inner_text()
    assert seen.axe() == [] and seen.complaints == []
    seen.go(f"{over_http}/{COUNTER}.html")
    for name in ("Forget all guesses", "Yes, forget them"):
        page.get_by_role("button", name=name).click()
    page.get_by_text("You have guessed at 0 of", exact=False).wait_for()


def test_whoever_will_not_guess_sees_the_answer(visit: Callable[..., Visit]) -> None:
    seen = visit(SITE_ON_DISK, CHOICE, covered=True, color_scheme="dark", viewport=PHONE)
    page = seen.page
    assert seen.axe() == [] and seen.wider_than_the_screen() == [] and seen.small_text() == []
    small = page.locator(".kvmexit-predict :is(label, button):visible, .kxv button:visible")
    assert min(one["height"] for one in map(Locator.bounding_box, small.all()) if one) >= 44
    lids = page.locator(".kxv:visible")
    before = lids.count()
    lids.first.get_by_role("button", name="Show without guessing").press("Enter")
    assert inert(page) == {False} and lids.count() == before - 1
    assert page.evaluate("document.activeElement.classList.contains('kvmexit-answer')")
    lids.first.get_by_role("button", name="Never cover answers").press("Enter")
    assert lids.count() == 0
    again(page, lambda: lids.count() == 0, "no cover on any answer")
    assert inert(page) == {False}
    seen.go(f"{SITE_ON_DISK}/{COUNTER}.html")
    page.get_by_role("checkbox").check()
    seen.go(f"{SITE_ON_DISK}/{CHOICE}.html")
    assert lids.count() == before
    page.emulate_media(media="print")
    shown = first(page).locator(".paper .kvmexit-answer")
    assert shown.count() == 3 and all(one.is_visible() for one in shown.all())
    assert lids.count() == 0
    assert (
        answers(page).first.evaluate("el => getComputedStyle(el.firstElementChild).opacity") == "1"
    )


@pytest.mark.parametrize("hand", ["keyboard", "pointer"])
def test_a_strip_is_painted(visit: Callable[..., Visit], hand: str) -> None:
    seen = visit(SITE_ON_DISK, STRIP, covered=True, viewport=PHONE, color_scheme="dark")
    page, one = seen.page, first(seen.page)
    slider, commit = one.get_by_role("slider"), one.get_by_role("button", name="That is my guess")
    need, high = one.locator(".need"), one.evaluate("el => el.offsetHeight")
    assert one.locator(".here").count() == 0 and "yet" in one.locator(".where").inner_text()
    commit.click()
    assert "Paint at least one" in need.inner_text()
    assert one.evaluate("el => el.offsetHeight") == high
    if hand == "keyboard":
        slider.focus()
        assert slider.get_attribute("aria-valuetext") == "Exit 1 of 28: a read of STS, not painted"
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        valuetext = slider.get_attribute("aria-valuetext")
        assert valuetext == "Exit 4 of 28: a read of the response, painted"
        one.get_by_role("button", name="One exit on").press("Enter")
        one.get_by_role("button", name="Paint exit 5").press("Enter")
        painted = 2
    else:
        box = one.locator("svg").first.bounding_box()
        assert box and box["height"] >= 44
        column, y = box["width"] / 28, box["y"] + 20
        page.mouse.move(box["x"] + 3.5 * column, y)
        page.mouse.down()
        page.mouse.move(box["x"] + 24.5 * column, y)  # at once: what lies between is painted too
        page.mouse.up()
        painted = 22
    assert need.inner_text() == "" and one.locator(".here").count() == 1
    commit.press("Enter")
    told = one.locator(".said").inner_text()
    assert f"You painted {painted} of the 22 exits" in told
    assert told.startswith("✓" if painted == 22 else "✗")
    assert not slider.is_visible() and inert(page) == {False}
    again(page, lambda: one.locator(".said").is_visible(), "the guess that was made")
    assert one.locator(".said").inner_text() == told
    assert seen.wider_than_the_screen() == [] and (hand == "pointer" or seen.axe() == [])


def test_a_browser_that_keeps_nothing_says_so(visit: Callable[..., Visit]) -> None:
    seen = visit(SITE_ON_DISK, "index", covered=True, alone=True)
    seen.page.context.add_init_script(NOTHING_KEPT)
    seen.go(f"{SITE_ON_DISK}/{CHOICE}.html")
    said = guess(seen.page, right=True)
    assert said.startswith("✓ Right.") and "keeps nothing" in said
    assert inert(seen.page) == {False}
    seen.go(f"{SITE_ON_DISK}/{COUNTER}.html")
    wait_until(seen.page, "document.body.innerText.includes('keeps nothing')", "the sentence")


def test_without_scripts_all_the_text_is_there(visit: Callable[..., Visit]) -> None:
    page = visit(SITE_ON_DISK, STRIP, covered=True, java_script_enabled=False).page
    assert first(page).locator("summary").inner_text() == "The strip"
    first(page).locator("summary").click()
    assert "22 of 28 exits end badly" in first(page).locator("details").inner_text()
    assert all(one.is_visible() for one in answers(page).all())
    page.goto(f"{SITE_ON_DISK}/{COUNTER}.html")
    assert "counting them takes a script" in page.locator("article").inner_text()


def test_whoever_follows_a_link_to_a_state_of_a_film_sees_it(visit: Callable[..., Visit]) -> None:
    page = visit(SITE_ON_DISK, "book/05-where-the-suspend-lands", covered=True).page
    covered = "document.querySelector('[data-role=film]').closest('.kvmexit-answer').inert"
    assert page.evaluate(covered)
    page.evaluate("location.hash = '#film=served&l=269'")
    wait_until(page, f"!{covered}", "the film to be uncovered")
    top = "document.querySelector('[data-role=film]').getBoundingClientRect().top"
    wait_until(page, f"{top} >= 0 && {top} < innerHeight / 2", "the film to come into view")
