"""The player in a browser: driven by keys and buttons, from a file, against the experiment."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Landing, run
from kvmexit.show import film
from kvmexit.show.films import Film, landing_of
from kvmexit.show.page import page as page_of
from playwright.sync_api import Browser, Page
from visits import DESK, PHONE, SMALL_TEXT, WIDER_THAN_THE_SCREEN, patient

READ = 12
CHOICES = {
    "missing": ("save-at-once", "none", "new-vm"),
    "duplicate": ("drain", "rewind", "new-vm"),
    "stale": ("save-at-once", "none", "same-vcpu"),
    "ok": ("drain", "none", "new-vm"),
}


@pytest.fixture(scope="module")
def made() -> Film:
    return film(14, policy="all", compensation="all", restore="all", read=READ)


@pytest.fixture(scope="module")
def written(made: Film, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("film") / "film.html"
    path.write_text(page_of(made))
    return path.as_uri()


@pytest.fixture
def player(browser: Browser, written: str) -> Iterator[Page]:
    context = patient(browser, viewport=DESK)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(written)
    yield page
    context.close()
    assert complaints == []


def slider(page: Page, name: str):
    return page.locator(f"input[type=range][id$={name}]")


def sentence(page: Page) -> str:
    return page.locator("[aria-live]").inner_text()


def value(page: Page, name: str) -> int:
    return int(slider(page, name).input_value())


def test_arrows_step_and_home_and_end_jump(player: Page, made: Film) -> None:
    frames = made.frames()
    step = slider(player, "step")
    step.focus()
    assert value(player, "step") == made.step
    player.keyboard.press("ArrowRight")
    assert value(player, "step") == made.step + 1
    assert sentence(player) == frames[made.step + 1].sentence
    assert step.get_attribute("aria-valuetext") == frames[made.step + 1].sentence
    player.keyboard.press("ArrowLeft")
    player.keyboard.press("ArrowLeft")
    assert sentence(player) == frames[made.step - 1].sentence
    player.keyboard.press("Home")
    assert sentence(player) == frames[0].sentence
    player.keyboard.press("End")
    assert sentence(player) == frames[-1].sentence
    assert value(player, "step") == len(frames) - 1


def test_every_step_shows_what_the_run_was(player: Page, made: Film) -> None:
    """Sentence, rip, pending and FIFO of every step, against the run filmed in Python."""
    frames = made.frames()
    slider(player, "step").focus()
    player.keyboard.press("Home")
    seen = player.evaluate(
        """async (count) => {
          const root = document.querySelector(".kx"), seen = [];
          const step = root.querySelector("[id$=step]");
          const cards = [...root.querySelectorAll(".pane")];
          const card = (head) => cards.find((one) => one.textContent.startsWith(head));
          const rip = [...root.querySelectorAll("tr")].find((r) => r.textContent.startsWith("rip"));
          for (let i = 0; i < count; i++) {
            step.value = i;
            step.dispatchEvent(new Event("input"));
            seen.push([root.querySelector("[aria-live]").textContent, rip.lastChild.textContent,
              card("Pending").lastChild.textContent,
              card("Device").querySelectorAll(".gone").length]);
          }
          return seen;
        }""",
        len(frames),
    )
    for shown, frame in zip(seen, frames, strict=True):
        pending = f"{frame.seen.pending}." if frame.seen.pending else "Nothing."
        assert shown == [
            frame.sentence,
            hex(frame.seen.registers[8]),
            pending,
            frame.seen.device[0],
        ]


def test_the_landing_slider_moves_the_suspend(player: Page, made: Film) -> None:
    landing = slider(player, "landing")
    landing.focus()
    player.keyboard.press("ArrowRight")
    assert value(player, "landing") == made.landing + 1
    assert made.verdict(made.landing + 1).kind in landing.get_attribute("aria-valuetext")
    player.keyboard.press("Home")
    assert "undisturbed" in landing.get_attribute("aria-valuetext")
    assert f"Outcome: {made.verdict(0).kind}" in player.locator(".result").inner_text()
    player.keyboard.press("End")
    assert value(player, "landing") == len(made.worlds[0].frames)


@pytest.mark.parametrize(("outcome", "choice"), CHOICES.items(), ids=CHOICES)
def test_outcomes_can_be_reached_by_hand(
    player: Page, made: Film, outcome: str, choice: tuple[str, str, str]
) -> None:
    """Buttons, then the end of the run: words, verdict and bytes are the experiment's."""
    for name in choice:
        player.get_by_label(name, exact=True).check()
    slider(player, "step").focus()
    player.keyboard.press("End")
    policy, compensation, restore = choice
    scenario = made.scenario(
        (
            0,
            made.policies.index(policy),
            made.compensations.index(compensation),
            made.restores.index(restore),
        )
    )
    result = run(SimulatedKernel(), scenario, Landing(READ, data_only=True))
    assert result.outcome.kind.value == outcome
    assert f"Outcome: {result.outcome}," in player.locator(".result").inner_text()
    card = player.locator(".pane", has_text="Driver's verdict")
    assert f"returned {result.ending.returned}" in card.inner_text()
    items = player.locator(".pane", has_text="Guest's buffer").first.locator("li:not(.gap) b")
    assert bytes.fromhex("".join(items.all_inner_texts())) == result.ending.guest
    marks = {"missing": "gap", "duplicate": "twice", "stale": "old"}
    for kind, mark in marks.items():
        shown = player.locator(".pane", has_text="Guest's buffer").first.locator(f"li.{mark}")
        assert shown.count() == (1 if kind == outcome else 0)


def test_the_strip_is_that_of_every_landing(player: Page, made: Film) -> None:
    for policy in made.policies:
        player.get_by_label(policy, exact=True).check()
        kinds = made.kinds((0, made.policies.index(policy), 0, 0))
        legend = player.locator(".legend").inner_text()
        for kind in set(kinds):
            assert f"{kind}: {kinds.count(kind)}" in legend
        label = player.locator(".strip svg").get_attribute("aria-label")
        assert f"{len(kinds)} landings" in label


def test_a_click_on_the_strip_lands_there(player: Page, made: Film) -> None:
    svg = player.locator(".strip svg")
    box = svg.bounding_box()
    wanted = landing_of(made.worlds[0], 3, "served")
    x = box["width"] * wanted / len(made.worlds[0].frames)
    svg.click(position={"x": x, "y": box["height"] / 2})
    assert value(player, "landing") == wanted


def test_the_next_change_of_outcome(player: Page, made: Film) -> None:
    kinds = ["ok", *made.kinds()]
    player.get_by_label("On to where the outcome changes").click()
    at = value(player, "landing")
    assert at > made.landing and kinds[at] != kinds[made.landing]
    assert set(kinds[made.landing : at]) == {kinds[made.landing]}


def test_the_difference_is_told(player: Page) -> None:
    player.get_by_label("Show the difference").check()
    table = player.locator(".diff table").inner_text()
    assert "reads of the response" in table
    cells = player.locator(".diff tr", has_text="reads of the response").locator("td")
    assert cells.all_inner_texts() == ["14", "15"]
    assert "not in the undisturbed run" in player.locator(".diff p").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_readable_for_all(browser: Browser, written: str, scheme: str, size: dict) -> None:
    context = patient(browser, viewport=size, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(written)
    page.get_by_label("Show the difference").check()
    slider(page, "step").focus()
    page.keyboard.press("End")
    assert page.evaluate(SMALL_TEXT, 12) == []
    assert page.evaluate(WIDER_THAN_THE_SCREEN.replace("article *", "main *")) == []
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"][:90] for node in rule["nodes"]]) for rule in found] == []
    moving = page.evaluate(
        """() => [...document.querySelectorAll(".kx *")].filter((el) => {
          const { transitionDuration, animationName } = getComputedStyle(el);
          return transitionDuration !== "0s" || animationName !== "none"; }).length"""
    )
    assert moving == 0
    context.close()


def test_without_scripts(browser: Browser, written: str) -> None:
    context = patient(browser, java_script_enabled=False, viewport=PHONE)
    page = context.new_page()
    page.goto(written)
    text = page.locator(".kvmexit-film").inner_text()
    assert "Outcome: missing at 11" in text and "landings" in text
    assert page.locator(".kvmexit-film svg").count() == 2
    context.close()


@pytest.mark.parametrize("source", [None, "mov al, [0xfed40024]\nhlt"], ids=["driver", "own"])
def test_a_film_without_landings(browser: Browser, tmp_path: Path, source: str | None) -> None:
    plain = film(11, source=source, suspend=False, at="exit")
    path = tmp_path / "plain.html"
    path.write_text(page_of(plain))
    context = patient(browser, viewport=DESK)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    assert sentence(page) == plain.frames()[plain.step].sentence
    assert not slider(page, "landing").is_visible()
    slider(page, "step").focus()
    page.keyboard.press("End")
    assert sentence(page) == plain.frames()[-1].sentence
    assert page.locator(".pane", has_text="verdict").is_visible() == (source is None)
    assert complaints == []
    context.close()


def test_keys_are_the_films_and_not_jupyters(player: Page) -> None:
    assert player.locator(".kx :is(input, button)").count() > 10
    assert (
        player.locator(".kx :is(input, button):not([data-lm-suppress-shortcuts=true])").count() == 0
    )


def test_nothing_of_it_is_printed_that_only_hands_need(player: Page) -> None:
    player.emulate_media(media="print")
    assert not slider(player, "step").is_visible()
    assert player.locator(".kx .panes").is_visible()


def test_the_file_needs_nothing_else(tmp_path: Path, made: Film) -> None:
    text = page_of(made)
    assert "src=" not in text and "@import" not in text and "fetch(" not in text
