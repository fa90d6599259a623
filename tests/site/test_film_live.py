"""The film with a kernel behind it, in JupyterLab: every knob runs the machine again."""

import json
import statistics
from collections.abc import Iterator
from urllib.request import Request, urlopen

import pytest
from kvmexit.show import film
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.timeout(400)  # of a busy machine; alone it takes a tenth

CELL = """from kvmexit.show import explore

def my_stop(vcpu, bus):
    vcpu.kvm_run.immediate_exit = 1
    while repr(vcpu.run()) != "EINTR":
        bus.serve(vcpu.kvm_run)
    vcpu.kvm_run.immediate_exit = 0

explore(64, policy=my_stop, read=12)"""
FAST = 100
"""Milliseconds from a hand's move to the repainted film."""

REPAINTED = """async ([target, value, event]) => {
  const root = document.querySelector(".kx");
  const control = target === "select"
    ? [...document.querySelectorAll(".widget-dropdown select")].find((one) =>
        [...one.options].some((option) => option.value === value || option.text === value))
    : root.querySelector(`[id$=${target}]`);
  const changed = new Promise((done) => {
    const watch = new MutationObserver(() => { watch.disconnect(); requestAnimationFrame(done); });
    watch.observe(root.querySelector(".panes").previousSibling,
      { childList: true, subtree: true });
  });
  const start = performance.now();
  if (target === "select") {
    control.selectedIndex = [...control.options].findIndex((one) => one.text === value);
  } else control.value = value;
  control.dispatchEvent(new Event(event, { bubbles: true }));
  const late = new Promise((_, fail) => setTimeout(() => fail(Error("no repaint")), 8000));
  await Promise.race([changed, late]);
  await new Promise((done) => setTimeout(done));
  return performance.now() - start;
}"""


def notebook(source: str) -> dict:
    cell = {"cell_type": "code", "id": "one", "metadata": {}, "outputs": [], "source": source}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": [{**cell, "execution_count": None}],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


@pytest.fixture(scope="module")
def lab(browser: Browser, jupyterlab: str) -> Iterator[Page]:
    body = json.dumps({"type": "notebook", "content": notebook(CELL)}).encode()
    address = f"{jupyterlab}/api/contents/live.ipynb"
    urlopen(Request(address, body, {"Content-Type": "application/json"}, method="PUT")).close()
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.goto(f"{jupyterlab}/lab/tree/live.ipynb?reset")
    page.locator(".jp-CodeCell .cm-content").first.click(timeout=120_000)
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for(timeout=120_000)
    page.keyboard.press("Shift+Enter")
    page.locator(".kx .say").wait_for(timeout=120_000)
    page.wait_for_function("document.querySelector('.kx .legend').childElementCount > 0")
    yield page
    page.close()


def outcome(page: Page) -> str:
    return page.locator(".kx .result strong").inner_text()


def test_the_readers_function_is_the_policy(lab: Page) -> None:
    assert "Outcome: ok" in outcome(lab)
    assert lab.locator(".kx .legend").inner_text().strip().startswith("ok: ")


def median_of(page: Page, name: str, moves: list) -> float:
    """Milliseconds from a move to the repainted film; between moves the strip has time."""
    times = []
    for move in moves:
        times.append(page.evaluate(REPAINTED, list(move)))
        page.wait_for_timeout(500)
    print(f"{name}: median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms")
    return statistics.median(times)


def test_every_knob_repaints_in_time(lab: Page) -> None:
    """Landing, policy, and back to the reader's own function; medians of several moves."""
    slow = {}
    at = int(lab.locator(".kx [id$=landing]").input_value())
    moves = {
        "landing": [("landing", at + 1 + n % 3, "input") for n in range(9)],
        "policy": [("select", ("save-at-once", "drain")[n % 2], "change") for n in range(8)],
        "function": [("select", ("save-at-once", "my_stop")[n % 2], "change") for n in range(8)],
    }
    for name, those in moves.items():
        for _ in range(3):  # other work on the machine can spoil a round
            slow[name] = median_of(lab, name, those)
            if slow[name] <= FAST:
                break
    assert max(slow.values()) <= FAST, slow


def test_a_policy_changes_film_and_strip(lab: Page) -> None:
    lab.evaluate(REPAINTED, ["landing", film(64, read=12, suspend=False).landing, "input"])
    lab.evaluate(REPAINTED, ["select", "save-at-once", "change"])
    lab.wait_for_function("document.querySelector('.kx .legend').textContent.includes('missing')")
    assert "Outcome: missing at" in outcome(lab)


def test_arrow_keys_step_and_stay_in_the_film(lab: Page) -> None:
    step = lab.locator(".kx [id$=step]")
    step.focus()
    before = int(step.input_value())
    lab.keyboard.press("ArrowRight")
    lab.keyboard.press("ArrowDown")
    assert int(step.input_value()) == before  # one on, and down is one back
    lab.keyboard.press("End")
    assert int(step.input_value()) == int(step.get_attribute("max"))
    assert step.evaluate("(it) => it === document.activeElement")


def test_another_length_is_another_run(lab: Page) -> None:
    length = lab.locator(".widget-text input[type=number]").first
    length.fill("20")
    length.press("Enter")
    lab.wait_for_function("document.querySelector('.kx .bytes').children.length === 20")
    assert lab.locator(".widget-html [role=alert]").count() == 0
