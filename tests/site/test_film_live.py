"""The film with a kernel behind it, in JupyterLab: every knob runs the machine again."""

from collections.abc import Iterator

import pytest
from browsers import patient
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Scenario, response_of, run
from kvmexit.show import film
from kvmexit.show.films import landing_of, landings_of
from live_lab import EXPLORER, open_notebook, run_cell
from playwright.sync_api import Browser, Page, WebSocket
from visits import wait_until

HEAVIEST_ANSWER = 100_000
"""Bytes that may come from the kernel for one move of a hand, the film's tables included."""

STRIP = "[data-role=landing] path.ok"
"""What is there when a strip is."""
TOLD = {"ok": "Every byte arrived.", "missing": "1 byte missing: "}

MOVE = """([target, value]) => {
  if (target === "landing") {
    const strip = document.querySelector(".kx [data-role=landing] svg");
    const { left, top, width } = strip.getBoundingClientRect();
    const last = +strip.parentNode.ariaValueMax;
    const at = { bubbles: true, isPrimary: true, pointerId: 1, pointerType: "touch",
      clientX: left + 8 + (width - 16) * value / last, clientY: top + 20 };
    strip.dispatchEvent(new PointerEvent("pointerdown", at));
    strip.dispatchEvent(new PointerEvent("pointerup", at));
    return;
  }
  const menu = [...document.querySelectorAll(".widget-dropdown select")].find((one) =>
    [...one.options].some((option) => option.text === value));
  menu.selectedIndex = [...menu.options].findIndex((one) => one.text === value);
  menu.dispatchEvent(new Event("change", { bubbles: true }));
}"""


@pytest.fixture(scope="module")
def opened(browser: Browser, jupyterlab: str) -> Iterator[tuple[Page, list[bytes]]]:
    """The notebook, and each message that came from the kernel."""
    context = patient(browser, viewport={"width": 1280, "height": 1000})
    page, received = context.new_page(), []

    def listen(socket: WebSocket) -> None:
        socket.on(
            "framereceived",
            lambda data: received.append(data.encode() if isinstance(data, str) else data),
        )

    page.on("websocket", listen)
    open_notebook(page, jupyterlab, EXPLORER)
    yield page, received
    context.close()


@pytest.fixture
def lab(opened: tuple[Page, list[bytes]]) -> Page:
    """The notebook with its cell just run: whatever the tests before have turned is as new."""
    page, _ = opened
    page.evaluate("document.querySelectorAll('.kx').forEach((one) => one.classList.add('old'))")
    run_cell(page)
    wait_until(
        page,
        f"document.querySelector('.kx:not(.old) {STRIP}') && !document.querySelector('.kx.old')",
        "the film and its strip",
    )
    return page


def outcome(page: Page) -> str:
    return page.locator(".kx [data-role=outcome]").inner_text()


def test_the_readers_function_is_the_policy(lab: Page) -> None:
    assert outcome(lab) == TOLD["ok"]
    assert lab.locator(".kx [data-role=landing] path.missing").count() == 0


def test_every_knob_asks_for_its_own_run(lab: Page, opened: tuple[Page, list[bytes]]) -> None:
    """Landing, policy, and back to the reader's own function: the film shows what a run of just
    these settings gives, and does not wait for its strip. How soon, `make bench` says."""
    response, received = response_of(64), opened[1]
    world = film(response=response, read=12).worlds[0]
    places = landings_of(world)
    slider = lab.locator(".kx [data-role=landing]")
    policy, landing = "my_stop", int(slider.get_attribute("aria-valuenow"))
    turns: list[tuple[str, str | int]] = [("policy", "save-at-once")]
    turns += [("landing", landing_of(world, read, "served")) for read in (20, 21, 30)]
    turns += [("policy", name) for name in ("drain", "save-at-once", "my_stop")]
    for what, value in turns:
        policy, landing = (policy, value) if what == "landing" else (value, landing)
        ran = "drain" if policy == "my_stop" else policy
        ending = run(SimulatedKernel(), Scenario(response, policy=ran), places[landing]).outcome
        told = TOLD[ending.kind.value]
        if ending.index is not None:
            told += f"{response[ending.index]:02x}."
        assert told != outcome(lab)
        received.clear()
        lab.evaluate(MOVE, [what, value])
        wait_until(
            lab,
            f"document.querySelector('.kx [data-role=outcome]').textContent === '{told}'",
            f"{ending} at step {landing} with {policy}",
        )
        if what == "policy":
            missing = str(policy == "save-at-once").lower()
            strip = "Boolean(document.querySelector('.kx [data-role=landing] path.missing'))"
            wait_until(lab, f"{strip} === {missing}", f"the strip of {policy}")
        large = [message for message in received if len(message) > 3000]
        shown = ["strip" if b'"strip"' in message else "film" for message in large]
        assert shown == ["film", "strip"][: 1 + (what == "policy")]
        assert sum(map(len, large)) <= HEAVIEST_ANSWER


def test_a_policy_changes_film_and_strip(lab: Page) -> None:
    lab.evaluate(MOVE, ["landing", film(64, read=12, suspend=False).landing])
    lab.evaluate(MOVE, ["select", "save-at-once"])
    lab.locator(".kx [data-role=landing] path.missing").first.wait_for(state="attached")
    lab.locator(".kx [data-role=outcome]", has_text="missing").wait_for()


def test_arrow_keys_step_and_stay_in_the_film(lab: Page) -> None:
    step = lab.locator(".kx [data-role=step]")
    step.focus()

    def now() -> int:
        return int(step.get_attribute("aria-valuenow"))

    lab.keyboard.press("ArrowLeft")
    before = now()
    lab.keyboard.press("ArrowRight")
    lab.keyboard.press("ArrowDown")
    assert now() == before  # one on, and down is one back
    lab.keyboard.press("End")
    assert now() == int(step.get_attribute("aria-valuemax"))
    assert step.evaluate("(it) => it === document.activeElement")


def test_another_length_is_another_run(lab: Page) -> None:
    length = lab.locator(".widget-text input[type=number]").first
    length.fill("20")
    length.press("Enter")
    shown = "document.querySelector('.kx [data-role=sent]').children.length"
    wait_until(lab, f"{shown} === 20", "20 bytes")
    assert lab.locator(".widget-html [role=alert]").count() == 0
