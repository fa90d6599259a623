"""The player in a browser: by keys, buttons and fingers, from a file, against the experiment."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browsers import DESK, lent, stop_clock
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Landing, run
from kvmexit.show import film
from kvmexit.show.fates import columns
from kvmexit.show.films import Film, landing_of
from kvmexit.show.page import page as page_of
from kvmexit.show.scene import scene
from kvmexit.show.story import events, stops
from kvmexit.show.vocabulary import OUTCOMES, STEPS
from patience import some
from playwright.sync_api import Browser, Locator, Page
from visits import PHONE, SETTLED, SITE_ON_DISK, SMALL_TEXT, WIDER_THAN_THE_SCREEN, wait_until

READ = 12
CHOICES = {
    "missing": ("save-at-once", "none", "new-vm"),
    "duplicate": ("drain", "rewind", "new-vm"),
    "stale": ("save-at-once", "none", "same-vcpu"),
    "ok": ("drain", "none", "new-vm"),
}
MADE = """(key) => {
  let made = 0;
  for (const name of ["createElement", "createElementNS"]) {
    const real = Document.prototype[name];
    document[name] = (...all) => { made += 1; return real.apply(document, all); };
  }
  const landing = document.querySelector("[data-role=landing]"), counts = [];
  for (let n = 0; n < 40; n++) {
    made = 0;
    landing.dispatchEvent(new KeyboardEvent("keydown", { key }));
    counts.push(made);
  }
  return Math.max(...counts);
}"""
"""The most elements that one move of the landing makes."""
FINGER = """([role, moves]) => {
  const slider = document.querySelector(`[data-role=${role}]`);
  const box = slider.getBoundingClientRect();
  moves.forEach(([type, x, y]) => slider.dispatchEvent(new PointerEvent(type, {
    bubbles: true, isPrimary: true, pointerType: "touch", pointerId: 1,
    clientX: box.left + x, clientY: box.top + y })));
}"""


@pytest.fixture(scope="module")
def made() -> Film:
    return film(14, policy="all", compensation="all", restore="all", read=READ, name="all")


@pytest.fixture(scope="module")
def written(made: Film, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("film") / "film.html"
    path.write_text(page_of(made))
    return path.as_uri()


def opened(browser: Browser, address: str, **options: object) -> Iterator[Page]:
    complaints: list[str] = []

    def hear(what: object) -> None:
        complaints.append(str(getattr(what, "text", what)))

    with lent(browser, SITE_ON_DISK, **options) as page:
        for event in ("pageerror", "console"):
            page.on(event, hear)
        page.goto(address)
        if options.get("java_script_enabled", True):
            page.evaluate(SETTLED)
        yield page
        for event in ("pageerror", "console"):
            page.remove_listener(event, hear)
    assert complaints == []


@pytest.fixture
def player(browser: Browser, written: str) -> Iterator[Page]:
    yield from opened(browser, written)


@pytest.fixture
def phone(browser: Browser, written: str) -> Iterator[Page]:
    yield from opened(browser, written, viewport=PHONE, has_touch=True, is_mobile=True)


def slider(page: Page, name: str) -> Locator:
    return page.locator(f"[data-role={name}]")


def sentence(page: Page) -> str:
    return slider(page, "step").get_attribute("aria-valuetext")


def value(page: Page, name: str) -> int:
    return int(slider(page, name).get_attribute("aria-valuenow"))


def story(made: Film, landing: int) -> tuple[list[int], dict[str, int]]:
    """The events and the named stops of a run, by Python."""
    frames, verdict = made.filmed(landing)
    named = stops(frames, verdict, made.worlds[0].expected)
    return events(frames, named), named


def test_it_opens_at_the_end_of_the_damaged_run(player: Page, made: Film) -> None:
    assert made.verdict(made.landing).kind == "missing"
    assert value(player, "step") == made.step == len(made.frames()) - 1
    assert player.locator("[data-role=got] [data-fate=missing]").count() == 1


def test_arrows_go_by_event_and_with_shift_by_instruction(player: Page, made: Film) -> None:
    frames, (told, _) = made.frames(), story(made, made.landing)
    slider(player, "step").focus()
    player.keyboard.press("Home")
    seen = [value(player, "step")]
    for _ in told[1:]:
        player.keyboard.press("ArrowRight")
        seen.append(value(player, "step"))
        assert sentence(player) == frames[seen[-1]].sentence
    assert seen == told and len(told) < 20
    assert player.locator("button[aria-label='One event on']").is_disabled()
    player.keyboard.press("Home")
    player.keyboard.press("Shift+ArrowRight")
    assert value(player, "step") == 1
    player.keyboard.press("End")
    player.get_by_label("One event back").click()
    assert value(player, "step") == told[-2]
    assert player.locator("[role=status]").inner_text() == frames[told[-2]].sentence


def test_every_step_shows_what_the_run_was(player: Page, made: Film) -> None:
    """Sentence, rip and pending of every step, against the run filmed in Python."""
    frames = made.frames()
    player.locator("summary").click()
    player.locator(".panes td").first.wait_for()
    slider(player, "step").focus()
    player.keyboard.press("Home")
    seen = player.evaluate(
        """async (count) => {
          const root = document.querySelector(".kx"), seen = [];
          const step = root.querySelector("[data-role=step]");
          const cards = [...root.querySelectorAll(".pane")];
          const card = (head) => cards.find((one) => one.textContent.startsWith(head));
          const rip = [...root.querySelectorAll("tr")].find((r) => r.textContent.startsWith("rip"));
          for (let i = 0; i < count; i++) {
            seen.push([root.querySelector(".say").textContent, rip.lastChild.textContent,
              card("Pending").lastChild.textContent]);
            step.dispatchEvent(
              new KeyboardEvent("keydown", { key: "ArrowRight", shiftKey: true }));
          }
          return seen;
        }""",
        len(frames),
    )
    for shown, frame in zip(seen, frames, strict=True):
        assert shown == [
            frame.sentence,
            hex(frame.seen.registers[8]),
            frame.seen.pending or "none.",
        ]
    assert player.locator(".legend path").count() == len(OUTCOMES) + len(STEPS) + 1
    reads = player.locator("tr", has_text="reads of the response").locator("td")
    assert reads.all_inner_texts() == ["14", "15"]


def test_the_landing_slider_moves_the_suspend(player: Page, made: Film) -> None:
    landing = slider(player, "landing")
    landing.focus()
    player.keyboard.press("ArrowRight")
    assert value(player, "landing") == made.landing + 1
    assert f"{made.landing + 1} of" in landing.get_attribute("aria-valuetext")
    player.keyboard.press("Home")
    assert "undisturbed" in landing.get_attribute("aria-valuetext")
    assert player.get_by_label("One landing earlier").is_disabled()
    player.keyboard.press("End")
    assert value(player, "landing") == len(made.worlds[0].frames)
    assert player.get_by_label("One landing later").is_disabled()


@pytest.mark.parametrize(("outcome", "choice"), CHOICES.items(), ids=CHOICES)
def test_outcomes_can_be_reached_by_hand(
    player: Page, made: Film, outcome: str, choice: tuple[str, str, str]
) -> None:
    """Knobs; the bytes, their fates and the driver's word are the experiment's."""
    for name in choice:
        player.get_by_label(name, exact=True).check()
    policy, compensation, restore = choice
    numbers = (
        0,
        made.policies.index(policy),
        made.compensations.index(compensation),
        made.restores.index(restore),
    )
    result = run(SimulatedKernel(), made.scenario(numbers), Landing(READ, data_only=True))
    assert result.outcome.kind.value == outcome
    assert f"returns {result.ending.returned}," in player.locator("[data-role=driver]").inner_text()
    shown = [
        (one.get_attribute("data-fate"), int(one.get_attribute("data-at")), one.locator("b"))
        for one in player.locator("[data-role=got] li").all()
    ]
    got = [text.inner_text() for fate, _, text in shown if fate not in ("missing", "unread")]
    assert bytes.fromhex("".join(got)) == result.ending.guest
    sent = player.locator("[data-role=sent] b").all_inner_texts()
    assert bytes.fromhex("".join(sent)) == result.undisturbed.guest
    frames, verdict = made.filmed(made.landing, numbers)
    found = columns(scene(frames).bytes(), result.undisturbed.guest, verdict)
    fates = [(one.fate, one.sent if one.got is None else one.got) for one in found]
    assert [(fate, at) for fate, at, _ in shown] == fates


def test_what_is_not_read_yet_is_faint(player: Page, made: Film) -> None:
    ghosts = player.locator("[data-role=got] .ghost")
    assert ghosts.count() == 0
    slider(player, "step").focus()
    player.keyboard.press("Home")
    assert ghosts.count() == player.locator("[data-role=got] li").count()
    final = player.locator("[data-role=got] b").all_inner_texts()
    player.keyboard.press("End")
    assert player.locator("[data-role=got] b").all_inner_texts() == final


def test_a_click_on_the_strip_lands_there(player: Page, made: Film) -> None:
    strip = player.locator("[data-role=landing] svg").first
    box = strip.bounding_box()
    wanted = landing_of(made.worlds[0], 3, "served")
    x = 8 + (box["width"] - 16) * wanted / len(made.worlds[0].frames)
    strip.click(position={"x": x, "y": box["height"] / 2})
    assert value(player, "landing") == wanted


def test_the_suspend_is_dragged(player: Page) -> None:
    box = slider(player, "landing").bounding_box()
    player.mouse.move(box["x"] + 100, box["y"] + 20)
    player.mouse.down()
    first = value(player, "landing")
    player.mouse.move(box["x"] + 400, box["y"] + 25, steps=4)
    player.mouse.up()
    assert value(player, "landing") > first + 50
    there = value(player, "landing")
    player.mouse.move(box["x"] + 200, box["y"] + 25)
    assert value(player, "landing") == there


def test_the_next_damage(player: Page, made: Film) -> None:
    """Each press lands on damage, on every stretch of it, to the last; then there is none."""
    kinds = ["ok", *made.kinds()]
    later = player.get_by_label("Next damage")
    slider(player, "landing").focus()
    player.keyboard.press("Home")
    found = []
    while later.is_enabled():
        later.click()
        found.append(value(player, "landing"))
    assert found == [at for at, kind in enumerate(kinds) if kind != "ok" and kinds[at - 1] != kind]
    player.get_by_label("Previous damage").click()
    assert kinds[value(player, "landing")] != "ok" and value(player, "landing") < found[-1]


def test_a_finger_can_choose_any_landing_and_a_scroll_chooses_none(phone: Page, made: Film) -> None:
    before = value(phone, "landing")
    down = [["pointerdown", 100, 20]]
    away = [["pointermove", 101, 20 + 4 * n] for n in range(1, 30)] + [["pointerup", 101, 140]]
    phone.evaluate(FINGER, ["landing", down + away])
    assert value(phone, "landing") == before
    assert slider(phone, "landing").evaluate("(it) => getComputedStyle(it).touchAction") == "pan-y"
    phone.evaluate(FINGER, ["landing", [*down, ["pointerup", 100, 20]]])  # a tap
    there = value(phone, "landing")
    assert there != before
    last = len(made.worlds[0].frames)
    while value(phone, "landing") > there - 3:
        phone.get_by_label("One landing earlier").tap()
    for way, end in (("later", last), ("earlier", 0)):  # each one, by the button
        seen = phone.evaluate(
            """(way) => {
              const button = document.querySelector(`[aria-label="One landing ${way}"]`);
              const slider = document.querySelector("[data-role=landing]"), seen = [];
              for (; !button.disabled; button.click()) seen.push(+slider.ariaValueNow);
              return [...seen, +slider.ariaValueNow];
            }""",
            way,
        )
        step = 1 if way == "later" else -1
        assert seen == list(range(seen[0], end + step, step))


def test_near_landings_are_as_wide_as_a_finger(phone: Page) -> None:
    before, row = value(phone, "landing"), phone.locator(".near")
    box = row.bounding_box()
    count = row.evaluate("(it) => (it.childElementCount - 1) / 2")
    each = box["width"] / count
    assert each >= 24
    for away in (2, -3, 1):
        row.tap(position={"x": box["width"] / 2 + away * each, "y": box["height"] / 2})
        before += away
        assert value(phone, "landing") == before


@pytest.fixture
def timed(browser: Browser, written: str) -> Iterator[Page]:
    """A player whose clock the test turns, in a context that nobody else has."""
    yield from opened(browser, written, alone=True)


def test_it_plays_once_to_the_wrong_byte_and_a_touch_stops_it(timed: Page, made: Film) -> None:
    _, named = story(made, made.landing)
    timed.emulate_media(reduced_motion="reduce")
    stop_clock(timed)
    timed.get_by_label("Play from").click()
    assert value(timed, "step") == named["request"]
    timed.clock.run_for(10_000)
    assert value(timed, "step") == named["wrong"]
    timed.clock.run_for(10_000)
    assert value(timed, "step") == named["wrong"]
    timed.get_by_label("Play from").click()
    timed.clock.run_for(1_000)
    slider(timed, "landing").focus()
    timed.keyboard.press("Shift")
    there = value(timed, "step")
    assert named["request"] < there < named["wrong"]
    timed.clock.run_for(10_000)
    assert value(timed, "step") == there


def test_the_byte_rides_on_its_message(player: Page, made: Film) -> None:
    """From the device to the VMM, then to the kernel; at the restore it falls out."""
    _, named = story(made, made.landing)
    assert player.locator(".lanes .rider").count() > 1
    slider(player, "step").focus()
    while value(player, "step") > named["restore"]:
        player.keyboard.press("ArrowLeft")
    lost = player.locator(".lanes .fell").text_content()
    assert lost == player.locator("[data-role=got] [data-fate=missing] b").inner_text()


@pytest.mark.parametrize("key", some(["ArrowRight", "ArrowLeft"], usual=1))
def test_a_move_makes_as_many_elements_at_any_length(
    browser: Browser, tmp_path: Path, key: str
) -> None:
    counts = []
    for length in (20, 64):
        path = tmp_path / f"{length}.html"
        path.write_text(page_of(film(length, read=length - 4)))
        for page in opened(browser, path.as_uri()):
            counts.append(page.evaluate(MADE, key))
    assert counts[1] <= counts[0] + 8 and counts[0] > 10  # the events of two runs differ a little


def test_a_long_response_is_shown_about_the_damage(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "long.html"
    path.write_text(page_of(film(64, read=40)))
    for page in opened(browser, path.as_uri(), viewport=PHONE):
        shown = page.locator("[data-role=got] li")
        assert shown.count() < 30
        assert page.locator("[data-role=got] [data-fate=missing]").count() == 1
        words = page.locator(".name small").inner_text().split()
        assert int(words[0]) + shown.count() + int(words[2]) == 64 + 1
        assert page.evaluate(WIDER_THAN_THE_SCREEN.replace("article *", "main *")) == []


@pytest.mark.parametrize("scheme", some(["light", "dark"], usual=1))
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_readable_for_all(browser: Browser, written: str, scheme: str, size: dict) -> None:
    for page in opened(
        browser, written, viewport=size, color_scheme=scheme, reduced_motion="reduce"
    ):
        page.locator("summary").click()
        for key in ("Home", "End"):  # all faint, none faint
            slider(page, "step").focus()
            page.keyboard.press(key)
            assert page.evaluate(SMALL_TEXT, 12) == []
            assert page.evaluate(WIDER_THAN_THE_SCREEN.replace("article *", "main *")) == []
            found = Axe().run(page).response["violations"]
            assert [(rule["id"], [n["html"][:90] for n in rule["nodes"]]) for rule in found] == []
        assert page.evaluate("document.getAnimations().length") == 0


def test_bytes_stay_apart_in_forced_colours(browser: Browser, written: str) -> None:
    for page in opened(browser, written, forced_colors="active"):
        plain, missing, paper = page.evaluate(
            """() => {
              const paper = document.body.appendChild(document.createElement("i"));
              paper.style.color = "Canvas";
              const edge = (fate) => { const { borderTopStyle, borderTopColor } = getComputedStyle(
                document.querySelector(`[data-role=got] [data-fate=${fate}]`));
                return [borderTopStyle, borderTopColor]; };
              return [edge("ok"), edge("missing"), getComputedStyle(paper).color]; }"""
        )
        assert plain[1] == paper, "a plain byte has a box"
        assert missing[0] == "dashed" and missing[1] != paper


def test_without_scripts(browser: Browser, written: str) -> None:
    for page in opened(browser, written, java_script_enabled=False, viewport=PHONE):
        text = page.locator(".kvmexit-film").inner_text()
        assert "1 byte missing: " in text and "landings" in text
        assert page.locator(".kvmexit-film svg text").count() == 0  # a sanitiser keeps no heap
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("source", [None, "mov al, [0xfed40024]\nhlt"], ids=["driver", "own"])
def test_a_film_without_landings(browser: Browser, tmp_path: Path, source: str | None) -> None:
    plain = film(11, source=source, suspend=False, at="exit")
    path = tmp_path / "plain.html"
    path.write_text(page_of(plain))
    for page in opened(browser, path.as_uri()):
        assert sentence(page) == plain.frames()[plain.step].sentence
        assert not slider(page, "landing").is_visible()
        slider(page, "step").focus()
        page.keyboard.press("End")
        assert sentence(page) == plain.frames()[-1].sentence
        assert page.locator("[data-role=got]").is_visible() == (source is None)
        assert page.locator(".panes").is_visible() == (source is not None)


def test_keys_are_the_films_and_not_jupyters(player: Page) -> None:
    hands = ".kx :is(input, button, summary, [role=slider])"
    assert player.locator(hands).count() > 10
    assert player.locator(f"{hands}:not([data-lm-suppress-shortcuts=true] *)").count() == 0


def test_on_paper_the_bytes_and_the_strip_and_no_control(player: Page) -> None:
    player.emulate_media(media="print")
    for role in ("landing", "sent", "got", "driver"):
        assert slider(player, role).is_visible()
    assert player.locator(".kx :is(button, input, summary):visible").count() == 0
    assert slider(player, "film").evaluate("(it) => getComputedStyle(it).breakInside") == "avoid"


def test_the_small_face_walks_in_and_waits_for_a_guess(browser: Browser, tmp_path: Path) -> None:
    """By itself the suspend walks to its landing; veiled, the strip is grey until a place is
    chosen, and the page hears which."""
    settings = {"policy": ["save-at-once", "drain"], "read": 9, "face": "small"}
    path = tmp_path / "small.html"
    walks = film(12, autoplay=True, **settings)
    path.write_text(page_of(walks))
    for size in (DESK, PHONE):
        for page in opened(browser, path.as_uri(), viewport=size):
            assert slider(page, "film").bounding_box()["height"] <= 260
            seen = f"document.querySelector('[data-role=landing]').ariaValueNow == {walks.landing}"
            wait_until(page, seen, "the suspend at its landing")
            assert page.locator("[data-role=got] [data-fate=missing]").count() == 1
    path.write_text(page_of(film(12, veiled=True, **settings)))
    for page in opened(browser, path.as_uri()):
        assert page.locator("[data-role=landing] path.missing").count() == 0
        page.evaluate("addEventListener('film:guess', (it) => { window.heard = it.detail; })")
        slider(page, "landing").click(position={"x": 300, "y": 20})
        assert page.locator("[data-role=landing] path.missing").count() == 1
        assert page.evaluate("heard.landing") == value(page, "landing")


def test_the_file_needs_nothing_else(tmp_path: Path, made: Film) -> None:
    text = page_of(made)
    assert "src=" not in text and "@import" not in text and "fetch(" not in text
