"""A page of the book whose "Run it here" was pressed: what its cells said, what is to be seen."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import run_here
import run_npm
from pages import ROOT, contents
from playwright.sync_api import Page
from visits import Visit, wait_until

CHAPTER = "book/07-finish-what-you-started"
LAB = "book/labs/2-stop"
LISTEN = """() => {
  globalThis.said = [];
  document.addEventListener("kvmexit-said", ({detail}) => said.push(detail));
}"""
SET_TEXT = """([n, text, stops]) => {
  const live = kvmexitLive, {python} = live;
  live.readers ??= {limits: live.limits, patience: python.patience};
  live.limits = stops ? live.readers.limits : {first: 1e5, least: 1e5, times: 1};
  python.patience = stops === "with Python" ? live.readers.patience : 1e8;
  live.cells[n].setText(text);
}"""
SEEN = """() => [...document.querySelectorAll("article .cell .cell_output")].map((box) => ({
  words: box.innerText.replace(/\\s+/g, " ").trim(),
  drawings: [...box.querySelectorAll("svg:not(.copybtn svg)")].map((svg) => svg.outerHTML),
}))"""
RESTS = "globalThis.kvmexitLive?.bar?.first && !kvmexitLive.current && !kvmexitLive.queue.length"
BUTTON = ".kvmexit-live button"


def needs_npm() -> None:
    """Skip where the book is built without it."""
    if not run_npm.is_fetched():
        if shutil.which("npm") is None:
            pytest.skip("no npm here")
        why = run_npm.WHY.read_text() if run_npm.WHY.exists() else "make book"
        pytest.skip(why if why.startswith("no registry") else f"npm has fetched nothing: {why}")


def pages() -> list[str]:
    """The pages with a cell that a reader can change."""
    return [page for page in contents() if run_here.cells_of(page)]


def press(visit: Visit) -> None:
    """Press the button and wait until Python is there and nothing runs."""
    visit.page.evaluate(LISTEN)
    visit.page.locator(BUTTON).click()
    rests(visit.page)


def awake(visit: Visit) -> Page:
    """The page, its button pressed: by a test before, or by this one if it runs alone."""
    if not visit.page.evaluate("Boolean(globalThis.kvmexitLive?.bar?.first)"):
        press(visit)
    return visit.page


def rests(page: Page) -> None:
    """Wait until nothing runs."""
    wait_until(page, RESTS, "the cells to have run")


def act(page: Page, name: str) -> None:
    """Press a button of the bar."""
    page.locator(BUTTON, has_text=re.compile(f"^{name}$")).click()


def set_text(page: Page, cell: int, text: str, *, stops: str = "") -> None:
    """Give an editor another text, as typing would. What then runs by itself may take as long as
    this machine needs; or, if ``stops`` is ``by itself``, as long as a reader's may, and if it is
    ``with Python``, a worker that does not hear of it is ended as a reader's is."""
    page.evaluate(SET_TEXT, [cell, text, stops])


def run_cell(page: Page, cell: int) -> None:
    """Run a cell and what it needs, and wait for its end."""
    page.evaluate("(n) => { kvmexitLive.runTo(kvmexitLive.cells[n]) }", cell)
    rests(page)


def outputs(page: Page) -> dict[int, list[tuple[str, Any]]]:
    """What each cell has said since the press, as (kind, value)."""
    found: dict[int, list[tuple[str, Any]]] = {}
    for number, kind, value in page.evaluate("said"):
        found.setdefault(number, []).append((kind, value))
    return found


def seen(page: Page) -> list[dict[str, Any]]:
    """The words and the drawings of each output. Films number their parts as they come."""
    found = page.evaluate(SEEN)
    for one in found:
        one["drawings"] = [re.sub(r"\bkx\d+\b", "kx", svg) for svg in one["drawings"]]
    return found


def said(told: list[tuple[str, Any]]) -> list[Any]:
    """What a cell said, as :func:`stored` gives it."""
    found: list[Any] = []
    for kind, value in told:
        if kind == "stream" and found and isinstance(found[-1], str):
            found[-1] += value
        elif kind == "stream":
            found.append(value)
        elif kind == "output":
            found.append({key: value[key] for key in value if "/" in key})
        else:
            found.append((kind, value))
    return found


def stored(page: str) -> list[list[Any]]:
    """The outputs of the cells that a page runs: text that was printed, and MIME bundles."""
    cells = json.loads(Path(ROOT / f"{page}.ipynb").read_text())["cells"]
    found = []
    for cell in run_here.cells_of(page):
        row: list[Any] = []
        for output in cells[cell["at"]]["outputs"]:
            if "data" not in output:
                row.append("".join(output["text"]))
                continue
            data = output["data"]
            row.append({kind: "".join(data[kind]) for kind in data if kind.startswith("text/")})
        found.append(row)
    return found


def cell_that(page: Page, text: str) -> int:
    """The number of the cell whose text in the book has this in it."""
    with_it = "kvmexitLive.cells.filter((one) => one.first.includes(text))"
    found = page.evaluate(f"(text) => {with_it}.map((one) => one.number)", text)
    assert len(found) == 1, f"{len(found)} cells have {text!r} in them"
    return int(found[0])
