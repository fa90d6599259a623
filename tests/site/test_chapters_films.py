"""The films of chapters 5 to 7 in the built pages, walked by hand: every knob, every landing.

What a page shows is compared with the experiment, which knows nothing of pages; it is what
`kvmexit run --json` prints.
"""

from collections.abc import Callable
from itertools import product

import pytest
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Scenario, run
from kvmexit.packet.outcome import Kind
from kvmexit.show import film
from kvmexit.show.films import landings_of
from playwright.sync_api import Browser
from visits import DESK, Visit, patient

CHAPTERS = {
    "book/05-where-the-suspend-lands": ("driver", {"ok", "missing", "stale"}),
    "book/06-the-fix-that-duplicated": ("driver", {"ok", "missing", "duplicate"}),
    "book/07-finish-what-you-started": ("string", {"ok", "missing"}),
}
"""The guest's program in a chapter's films, and outcomes that a reader must come by there."""

FIRST_ANSWER = """
  globalThis.answers = new Promise((tell) => {
    new MutationObserver((_, watch) => {
      const slider = document.querySelector(".kx [id$=landing]");
      if (!slider) return;
      watch.disconnect();
      const result = slider.closest(".kx").querySelector(".result"), before = result.textContent;
      slider.value = 1;
      slider.dispatchEvent(new Event("input"));
      tell([before, result.textContent]);
    }).observe(document, { childList: true, subtree: true });
  });"""
"""What a film says when its slider has just come into the page, and when that was moved."""

DATA = """async () => {
  const page = new DOMParser().parseFromString(
    await (await fetch(location)).text(), "text/html");  // the script has used up its own
  return [...page.querySelectorAll(".kvmexit-film script[type='application/json']")]
    .map((one) => JSON.parse(one.textContent).data); }"""

WALK = """([nth, names]) => {
  const root = document.querySelectorAll(".kx")[nth], seen = [];
  for (const name of names) {
    const knobs = [...root.querySelectorAll("fieldset label")];
    const label = knobs.find((one) => one.textContent.trim() === name);
    if (label) label.control.click();  // a knob of one value is not shown
  }
  const slider = root.querySelector("[id$=landing]");
  for (let landing = 1; landing <= +slider.max; landing++) {
    slider.value = landing;
    slider.dispatchEvent(new Event("input"));
    seen.push(root.querySelector(".result").textContent);
  }
  return seen;
}"""


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_landing_of_every_knob_is_the_experiments(
    visit: Callable[..., Visit], over_http: str, chapter: str
) -> None:
    program, wanted = CHAPTERS[chapter]
    page = visit(over_http, chapter).page
    films = page.evaluate(DATA)
    assert films and page.locator(".kx").count() == len(films)
    kinds, walked = set(), 0
    for nth, data in enumerate(films):
        for names in product(*data["names"].values()):
            settings = dict(zip(data["names"], names))
            response = bytes.fromhex(data["worlds"][0]["response"])
            scenario = Scenario(response=response, program=program, **settings)
            said = page.evaluate(WALK, [nth, list(names)])
            made = film(response=response, program=program, **settings)
            assert len(said) == len(made.worlds[0].frames)
            for number, landing in landings_of(made.worlds[0]).items():
                result = run(SimulatedKernel(), scenario, landing)
                assert f"Outcome: {result.outcome}," in said[number - 1], (settings, landing)
                kinds.add(result.outcome.kind)
                walked += 1
    assert walked > 50
    assert {kind.value for kind in kinds} >= wanted, {Kind(kind).value for kind in kinds}


def test_a_slider_answers_as_soon_as_it_is_there(browser: Browser, over_http: str) -> None:
    """Nothing else has to load or run first. How soon that is, `make bench` says."""
    context = patient(browser, viewport=DESK)
    page = context.new_page()
    page.add_init_script(FIRST_ANSWER)
    page.goto(f"{over_http}/book/05-where-the-suspend-lands.html")
    before, after = page.evaluate("answers")
    assert "Outcome: " in before and "Outcome: " in after and before != after
    context.close()
