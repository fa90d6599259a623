"""The films of chapters 5 to 9 in the built pages, walked by hand: knobs, landings, addresses.

What a page shows is compared with the experiment, which knows nothing of pages; it is what
`kvmexit run --json` prints.
"""

import re
from collections.abc import Iterator
from itertools import product
from urllib.parse import parse_qs

import pytest
from browsers import DESK, patient
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Scenario, run
from kvmexit.packet.outcome import Kind
from kvmexit.show import film
from kvmexit.show.films import landings_of
from kvmexit.vmm.machine import POLICIES
from pages import ROOT
from patience import draws, some
from playwright.sync_api import Browser, Page
from visits import SITE_ON_DISK, Visit, visiting, wait_until

SWEPT = {
    "book/05-where-the-suspend-lands": ("driver", {"ok", "missing", "stale"}),
    "book/06-the-fix-that-duplicated": ("driver", {"ok", "missing", "duplicate"}),
    "book/07-finish-what-you-started": ("string", {"ok", "missing"}),
}
"""The guest's program in a chapter's films, and outcomes that a reader must come by there."""
CHAPTERS = [*SWEPT, "book/08-proof-by-every-landing", "book/09-the-index-register"]
SCREENS = {
    "desk": ({"width": 1280, "height": 720}, 620),
    "phone": ({"width": 390, "height": 844}, 720),
    "phone on its side": ({"width": 844, "height": 390}, 720),
}
"""Screens, and how tall a film may be on them."""
LOOKED = draws(43, in_ci=11)
"""Of so many landings or steps one is measured: no multiple of a read's steps."""
FAR = 180
"""Pixels from the top of the strip to the bottom of the bytes, at most."""

FIRST_ANSWER = """
  globalThis.answers = new Promise((tell) => {
    new MutationObserver((_, watch) => {
      const slider = document.querySelector(".kx [data-role=landing]");
      if (!slider) return;
      watch.disconnect();
      const before = slider.getAttribute("aria-valuetext");
      slider.dispatchEvent(new KeyboardEvent("keydown", { key: "Home" }));
      tell([before, slider.getAttribute("aria-valuetext")]);
    }).observe(document, { childList: true, subtree: true });
  });"""
"""What a film says when its slider has just come into the page, and when that was moved."""

DATA = """async () => {
  const page = new DOMParser().parseFromString(
    await (await fetch(location)).text(), "text/html");  // the script has used up its own
  return [...page.querySelectorAll(".kvmexit-film script[type='application/json']")]
    .map((one) => JSON.parse(one.textContent).data); }"""

WALK = """([nth, names, stride, looked]) => {
  const root = document.querySelectorAll(".kx")[nth], seen = [], places = new Set();
  for (const name of names) {
    const knobs = [...root.querySelectorAll("fieldset label")];
    const label = knobs.find((one) => one.textContent.trim() === name);
    if (label) label.control.click();  // a knob of one value is not shown
  }
  const slider = root.querySelector("[data-role=landing]");
  const press = (key) => slider.dispatchEvent(new KeyboardEvent("keydown", { key }));
  const below = [...root.querySelectorAll(".rows > *, .told, .lanes, .time, .say, details")];
  below.push(root.closest(".kvmexit-film").parentElement);
  press("Home");
  for (let landing = 1; landing <= slider.ariaValueMax; landing++) {
    press("ArrowRight");
    if (landing % stride) continue;
    const got = [...root.querySelectorAll("[data-role=got] li")];
    const harmed = got.find((one) => !["ok", "moved"].includes(one.dataset.fate));
    seen.push([got.filter((one) => !["missing", "unread"].includes(one.dataset.fate))
      .map((one) => one.firstChild.textContent).join(""),
      harmed ? [harmed.dataset.fate, +harmed.dataset.at] : null,
      root.querySelector("[data-role=driver]").textContent]);
    if (landing % looked) continue;  // to ask for places costs a layout
    places.add(below.map((one) => one.getBoundingClientRect().bottom + scrollY).join());
  }
  return [seen, places.size];
}"""
STEPS = """([nth, looked]) => {
  const root = document.querySelectorAll(".kx")[nth], places = new Set();
  const slider = root.querySelector("[data-role=step]");
  const press = (key, shiftKey) =>
    slider.dispatchEvent(new KeyboardEvent("keydown", { key, shiftKey }));
  const below = [...root.querySelectorAll(".rows, .lanes, .time, .say, details")];
  below.push(root.closest(".kvmexit-film").parentElement);
  press("Home");
  for (let step = 0; step < slider.ariaValueMax; step++) {
    press("ArrowRight", true);
    if (step % looked) continue;
    places.add(below.map((one) => one.getBoundingClientRect().bottom + scrollY).join());
  }
  return [places.size, slider.ariaValueNow === slider.ariaValueMax];
}"""
BOXES = """(nth) => {
  const root = document.querySelectorAll(".kx")[nth];
  const box = (role) => root.querySelector(`[data-role=${role}]`).getBoundingClientRect();
  const top = box("landing").top;
  return { height: root.offsetHeight, bytes: box("got").bottom - top,
    word: box("driver").bottom - top, order: ["landing", "sent", "got", "driver"]
      .map((role) => box(role).top) };
}"""
STATE = """() => Object.fromEntries([...document.querySelectorAll(".kx")].map((root) => [
  root.querySelector(".title").textContent,
  [...root.querySelectorAll("[role=slider]")].map((one) => one.getAttribute("aria-valuenow"))
    .concat([...root.querySelectorAll("input:checked")].map((one) => one.parentNode.textContent),
      root.querySelector("[data-role=outcome]").textContent)]))"""


@pytest.fixture(scope="module", params=some(CHAPTERS, usual=2))
def chapter(request: pytest.FixtureRequest, browser: Browser, over_http: str) -> Iterator[Visit]:
    """A chapter with films of landings, over http; one visit for all that it is asked."""
    for visit in visiting(browser):
        visit = visit(over_http, request.param)
        visit.name = request.param
        yield visit


def test_every_landing_of_every_knob_is_the_experiments(chapter: Visit) -> None:
    """Bytes, the first that is harmed, and the driver's word."""
    if chapter.name not in SWEPT:
        return
    program, wanted = SWEPT[chapter.name]
    page = chapter.page
    films = page.evaluate(DATA)
    assert films and page.locator(".kx").count() == len(films)
    kinds, walked = set(), 0
    for nth, data in enumerate(films):
        if not set(data["names"]["policy"]) <= set(POLICIES):
            continue  # the reader's own, and longer than a screen: test_live_pages.py has it
        for names in product(*data["names"].values()):
            settings = dict(zip(data["names"], names))
            response = bytes.fromhex(data["worlds"][0]["response"])
            scenario = Scenario(response=response, program=program, **settings)
            shown, layouts = page.evaluate(WALK, [nth, list(names), 1, 1e9])
            assert layouts == 0
            made = film(response=response, program=program, **settings)
            assert len(shown) == len(made.worlds[0].frames)
            for number, landing in landings_of(made.worlds[0]).items():
                result = run(SimulatedKernel(), scenario, landing)
                bytes_, harmed, word = shown[number - 1]
                assert bytes.fromhex(bytes_) == result.ending.guest, (settings, landing)
                place = harmed and harmed[1]
                assert place == result.outcome.index, (settings, landing)
                assert f"returns {result.ending.returned}, " in word
                assert (result.ending.message or "") in word
                kinds.add(result.outcome.kind)
                walked += 1
    assert walked > 50
    assert {kind.value for kind in kinds} >= wanted, {Kind(kind).value for kind in kinds}


@pytest.mark.parametrize("screen", SCREENS)
def test_control_bytes_and_word_are_on_one_screen(chapter: Visit, screen: str) -> None:
    """Heights, and that nothing moves over a drag of the landing or the step."""
    turn = CHAPTERS.index(chapter.name) + list(SCREENS).index(screen)
    if turn % draws(len(SCREENS), in_ci=1):
        return
    size, tallest = SCREENS[screen]
    page = chapter.page
    page.set_viewport_size(size)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 60)))")
    for nth in range(page.locator(".kx").count()):
        box = page.evaluate(BOXES, nth)
        assert box["height"] <= tallest, (screen, nth)
        assert 0 < box["bytes"] <= FAR, (screen, nth)
        header = 48
        assert box["word"] <= size["height"] - header
        assert box["order"] == sorted(box["order"])
        shown, layouts = page.evaluate(WALK, [nth, [], LOOKED, LOOKED])
        assert shown and layouts == 1, (screen, nth, "the landing moved something")
        layouts, at_end = page.evaluate(STEPS, [nth, LOOKED])
        assert at_end and layouts == 1, (screen, nth, "the step moved something")
    page.set_viewport_size(DESK)


def test_every_state_has_an_address(chapter: Visit, browser: Browser) -> None:
    """A link is copied, opened from the disk and over http; a reload and Back keep the states."""
    if CHAPTERS.index(chapter.name) % draws(3, in_ci=1):
        return
    page = chapter.page
    fresh = page.url.split("#")[0]
    page.goto(f"{fresh}?fresh")
    opened = page.evaluate(STATE)
    root = page.locator(".kx").last
    root.locator("[data-role=landing]").focus()
    for key in ("PageDown", "ArrowLeft"):
        page.keyboard.press(key)
    if knob := root.locator("input:not(:checked)").all():
        knob[0].check()
    root.locator("[data-role=step]").focus()
    page.keyboard.press("ArrowLeft")
    root.get_by_label("Copy a link").click()
    moved, address = page.evaluate(STATE), page.url
    assert moved != opened and "#film=" in address
    page.reload()
    assert page.evaluate(STATE) == moved
    fragment = address[address.index("#") :]
    for other in (f"{fresh}{fragment}", f"{SITE_ON_DISK}/{chapter.name}.html{fragment}"):
        context = patient(browser, viewport=DESK)
        there = context.new_page()
        there.goto(other)
        assert there.evaluate(STATE) == moved
        context.close()
    _walk_back(page, moved, re.search("film=([^&]*)", fragment)[1])


def _walk_back(page: Page, before: dict, name: str) -> None:
    """A link in the prose makes an entry: Back is where the reader was, Forward where it led."""
    page.evaluate(
        """(name) => { const link = document.createElement("a");
        link.href = `#film=${name}&l=0&s=start`; link.id = "there"; link.textContent = "there";
        document.querySelector("article").prepend(link); link.click(); }""",
        name,
    )
    wait_until(page, "location.hash.includes('l=0')", "the link's address")
    there = page.evaluate(STATE)
    assert there != before
    for go, wanted in ((page.go_back, before), (page.go_forward, there), (page.go_back, before)):
        go()
        assert page.evaluate(STATE) == wanted


def test_a_link_of_the_prose_sets_what_it_names(chapter: Visit) -> None:
    """After a click the address of the film says what the link said, and the film is in view."""
    page = chapter.page
    links = page.locator("a[href*='#film=']").all()
    assert links
    for link in links:
        said = parse_qs(link.get_attribute("href").split("#")[1])
        link.click()
        wait_until(page, f"location.hash.includes('film={said['film'][0]}')", "its address")
        shown = parse_qs(page.url.split("#")[1])
        stop = said.pop("s")[0]
        assert said.items() <= shown.items(), said
        assert stop in (*shown["s"], "serve"), (stop, shown)  # a kind of step is no named stop


def test_every_link_of_the_prose_names_a_film_of_its_page() -> None:
    found = 0
    for path in sorted((ROOT / "book").glob("0*.ipynb")):
        text = path.read_text()
        names = set(re.findall(r'name=\\"([\w-]+)\\"', text))
        for link in re.findall(r"\]\(#(film=[^)]*)\)", text):
            values = dict(part.split("=") for part in link.split("&"))
            assert values["film"] in names, (path.name, link)
            assert set(values) <= set("lspdcr") | {"film"}, (path.name, link)
            found += 1
    assert found


def test_a_slider_answers_as_soon_as_it_is_there(browser: Browser, over_http: str) -> None:
    """Nothing else has to load or run first. How soon that is, `make bench` says."""
    context = patient(browser, viewport=DESK)
    page = context.new_page()
    page.add_init_script(FIRST_ANSWER)
    page.goto(f"{over_http}/book/05-where-the-suspend-lands.html")
    before, after = page.evaluate("answers")
    assert "missing" in before and "undisturbed" in after
    context.close()
