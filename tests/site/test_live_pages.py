"""Every page with code, run in the page: its outputs are the book's own, words and drawings."""

import gzip
import json
import linecache
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from alive import (
    BUTTON,
    CHAPTER,
    LAB,
    LISTEN,
    act,
    awake,
    cell_that,
    needs_npm,
    outputs,
    pages,
    press,
    rests,
    run_cell,
    said,
    seen,
    set_text,
    stored,
)
from kvmexit.lab.strips import TRIED
from kvmexit.show import trial
from lab.nbgrader_course import released
from pages import ROOT
from patience import PATIENCE, draws
from playwright.sync_api import Page
from run_cells import MORE, MOST
from serving import Quiet, served
from visits import SITE_ON_DISK, Visit, wait_until

ABSENT = {"book/14-how-rare-is-rare": ["matplotlib, which draws it, is not in this page"]}
"""The cells that keep the book's output, by what they say of it."""
BEFORE = 4_000
"""Bytes that a page may load of it before the press, compressed."""
FEW = [("book/03-a-read-takes-two-runs", "http"), (LAB, "file")]
EVERY = [(page, kind) for page in pages() for kind in ("http", "file")]
HERE = [turn for turn in (EVERY if os.environ.get("CI") else FEW) if turn != (LAB, "file")]
"""The pages that are looked at besides the lab."""
MINE = """from kvmexit.exits import EINTR
from kvmexit.show import trial

def mine(vcpu, bus):
    vcpu.kvm_run.immediate_exit = 1
    vcpu.run()
    vcpu.kvm_run.immediate_exit = 0

trial(mine)
"""

HEADING = "document.querySelector('.kvmexit-live')?.innerText.includes('{}')"


OWN_LINES = ("book/reference/checking",)
"""Pages on which a check's film names the lines of the answer, and the book's does not: in the page
the answer runs beside the film, in the book in a process of its own."""


def says_what_the_book_has(here: Visit, page: str) -> None:
    """Press, run all: what the cells say, and what is to be seen, is as it was."""
    before = seen(here.page)
    press(here)
    here.page.evaluate("said.length = 0")  # the press has run the first cell
    act(here.page, "Run all")
    rests(here.page)
    told, absent = outputs(here.page), []
    for number, expected in enumerate(stored(page)):
        found = said(told.get(number, []))
        if found and isinstance(found[-1], tuple) and found[-1][0] == "absent":
            absent.append(found[-1][1])
        elif number in told or expected:
            if page in OWN_LINES:
                found, expected = without_lines(found), without_lines(expected)
            assert found == expected, f"cell {number}"
    assert absent == ABSENT.get(page, [])
    assert page in OWN_LINES or seen(here.page) == before
    assert here.complaints == []


def without_lines(outputs: list[Any]) -> list[Any]:
    """The same, of a film only its text, and of that no digest."""
    films = [isinstance(one, dict) and "digest " in one.get("text/plain", "") for one in outputs]
    assert any(films) or not outputs or not any("kvmexit-film" in str(one) for one in outputs)
    return [
        re.sub(r"digest \w+", "digest", one["text/plain"]) if is_film else one
        for one, is_film in zip(outputs, films, strict=True)
    ]


def test_before_the_press_there_is_a_button(alive_chapter: Visit) -> None:
    needs_npm()
    of_it = [one for one in alive_chapter.loaded if "_static/live/" in one.url]
    assert [one.url.split("?")[0].rsplit("/", 1)[-1] for one in of_it] == ["button.js"]
    assert sum(len(gzip.compress(one.body())) for one in of_it) <= BEFORE


CUT = "pyodide.asm.wasm"


class HalfWay(Quiet):
    """A server whose connection is lost in the middle of one file, as soon as it may ``go_on``."""

    go_on = Event()

    def do_GET(self) -> None:
        if CUT not in self.path:
            super().do_GET()
            return
        whole = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/wasm")
        self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        self.wfile.write(whole[: len(whole) // 2])
        self.go_on.wait(PATIENCE)
        self.close_connection = True


def test_what_cannot_be_loaded_is_said_and_leaves_the_page(
    visit: Callable[..., Visit],
) -> None:
    """Its cells, once; then a connection that is lost half way; then the reader gives it up."""
    needs_npm()
    with served(HalfWay) as lossy:
        here = visit(lossy, CHAPTER, alone=True)
        before, cells = seen(here.page), here.page.locator(".cell_input").all_inner_texts()
        here.page.route("**/live/cells/**", lambda route: route.abort(), times=1)
        words = ["07-finish-what-you-started.js could not be loaded", f"{CUT} could not be loaded"]
        for expected in [*words, "it was stopped"]:
            (HalfWay.go_on.set if expected in words else HalfWay.go_on.clear)()
            here.page.evaluate("document.querySelector('.kvmexit-live button').textContent = 'Go'")
            here.page.locator(".kvmexit-live button").click()
            if expected not in words:
                act(here.page, "Stop")
            wait_until(
                here.page,
                "document.querySelector('.kvmexit-live button').textContent === 'Try again'",
                "the page to say that it failed",
            )
            said = here.page.locator(".kvmexit-live").inner_text()
            assert expected in said and said.endswith("The page is as it was."), said
            assert seen(here.page) == before
            assert here.page.locator(".cell_input").all_inner_texts() == cells
        HalfWay.go_on.set()


def test_a_policy_of_ones_own_is_swept_as_it_is_typed(alive_chapter: Visit) -> None:
    needs_npm()
    page = alive_chapter.page
    # What another edition or another program has left is no hindrance, and can be read.
    left = json.dumps({"a": 5, "old": "my <b>lines"})
    page.evaluate(
        "([page, left]) => { localStorage[`kvmexit.live.${page}`] = left }", [CHAPTER, left]
    )
    page.evaluate(LISTEN)
    page.locator(BUTTON).dblclick()
    page.locator(".kvmexit-live-cell button", has_text="Run").first.click()  # it cannot wait
    rests(page)
    assert {*outputs(page)} == {cell_that(page, "once = Scenario")}
    assert page.locator(".kvmexit-live-left pre").all_text_contents() == ["my <b>lines"]
    page.locator(".kvmexit-live-left summary").click()
    page.get_by_role("button", name="Forget it").click()
    assert "lines" not in (page.evaluate(f"localStorage['kvmexit.live.{CHAPTER}']") or "")
    cell = cell_that(page, "trial(stop)")
    output = page.locator("article div.cell", has=page.locator(".kvmexit-figure")).filter(
        has_text="landings are not ok"
    )
    page.evaluate("said.length = 0")
    set_text(page, cell, MINE)
    wait_until(
        page,
        f"said.some(([n, kind, it]) => n === {cell} && it['text/html']"
        " && it['text/plain'].startsWith('film'))",
        "the film of the policy",
    )
    rests(page)
    namespace: dict[str, object] = {}
    linecache.cache["mine"] = (len(MINE), None, MINE.splitlines(keepends=True), "mine")
    exec(compile(MINE.replace("\ntrial(mine)", ""), "mine", "exec"), namespace)
    mine = trial(namespace["mine"])
    chart, film = (value for _, value in outputs(page)[cell])
    assert chart["text/plain"] == f"{mine!r}\n\n{mine.lines()}"
    assert chart["text/html"].startswith(mine.chart().html())
    assert film["text/plain"] == repr(mine.film())
    assert "vcpu.run()" in chart["text/plain"] and "← " in chart["text/plain"]
    assert output.locator(".kx").count() == 1, "the film plays"
    lanes = output.locator(".kx .lanes text").all_text_contents()
    assert [text for text in lanes if text.startswith("6: ")] == ["6: vcpu.run()"], lanes


def test_an_endless_loop_ends_by_itself_and_stop_ends_any(alive_chapter: Visit) -> None:
    needs_npm()
    page = awake(alive_chapter)
    cell = cell_that(page, "trial(stop)")
    page.evaluate("said.length = 0")
    set_text(page, cell, MINE.replace("    vcpu.run()", "    while True: pass"), stops="by itself")
    wait_until(page, "said.some(([, kind]) => kind === 'error')", "the loop to end by itself")
    rests(page)
    ((_, words),) = outputs(page)[cell]
    assert words.startswith("cell ") and "Stopped by itself after " in words
    page.evaluate("said.length = 0")
    first = cell_that(page, "once = Scenario")
    set_text(page, first, "kept = 7")
    run_cell(page, first)
    asleep = "import time; time.sleep(10**6)"
    set_text(page, first, asleep)
    page.evaluate("(n) => { kvmexitLive.runTo(kvmexitLive.cells[n]) }", first)
    act(page, "Stop")
    rests(page)
    assert outputs(page)[first][-1] == ("error", f"cell 1, line 1:\n    {asleep}\nStopped.")
    assert page.evaluate("document.activeElement.textContent") == "Run all", "Stop is gone"
    set_text(page, first, "print(kept)")
    run_cell(page, first)
    assert outputs(page)[first][-1] == ("stream", "7\n"), "what was defined is still there"


HOSTILE = {
    "def stop(vcpu, bus:\n    pass": "SyntaxError: '(' was never closed",
    MINE.replace("vcpu.run()", "1 / 0"): "ZeroDivisionError: division by zero",
    MINE.replace("def mine", "def other"): "NameError: name 'mine' is not defined",
    "input('how often? ')": "It cannot run here: nobody can be asked in a page: write what"
    " input() would return into the cell.",
    "import numpy as np": "It cannot run here: numpy is not in this page.",
    "while True:\n    try: pass\n    except: pass": "Stopped",
    "import os; os._exit(3)": "Python has ended: ",
    "while True: print('again')": "Stopped by itself after ",
}
"""What a reader may type, and a part of the sentence that stands in its place."""
STOPS = {"Stopped": "with Python", "Stopped by itself after ": "by itself"}


def test_whatever_is_typed_is_a_sentence_and_the_page_goes_on(alive_chapter: Visit) -> None:
    needs_npm()
    page = awake(alive_chapter)
    cell = cell_that(page, "trial(stop)")
    box = page.locator("article div.cell", has=page.locator(".kvmexit-figure")).filter(
        has_text="landings are"
    )
    slow = draws(0, in_ci=1)  # a loop that ends by itself, and Python that has to wake anew
    for text, words in [*HOSTILE.items()][: None if slow else -3]:
        page.evaluate("said.length = 0")
        set_text(page, cell, text, stops=STOPS.get(words, ""))
        wait_until(page, "said.some(([, kind]) => kind === 'error')", f"a word on {text!r}")
        rests(page)
        (*before, (kind, said_of_it)) = outputs(page)[cell]
        assert kind == "error" and words in said_of_it, said_of_it
        assert sum(len(value) for kind, value in before if kind == "stream") <= 2 * MOST
        if before:  # what is printed takes the place of what was said before
            assert page.locator(".kvmexit-live-error").count() == 1, text
            continue
        assert box.locator(".kvmexit-live-error").count() == 1, text
        assert box.locator("svg[role=img]").count(), "what was said before still stands"
    page.evaluate("said.length = 0")
    set_text(page, cell, f"print('x' * {10 * MOST})\n'y' * {10 * MOST}")
    wait_until(page, "said.length >= 2", "what was printed, and the value")
    rests(page)
    (_, printed), (_, value) = outputs(page)[cell]
    assert printed.endswith(MORE) and value["text/plain"].endswith(MORE)
    assert len(printed) == len(value["text/plain"]) == MOST + len(MORE)
    set_text(page, cell, MINE)
    wait_until(page, "said.some(([, kind, it]) => it['text/html'])", "the strips, as ever")
    rests(page)


SWITCHED_OFF = {
    "delete globalThis.WebAssembly": "this browser has no WebAssembly",
    "globalThis.Worker = function () { throw new Error('workers are blocked'); }": "workers are"
    " blocked",
    "globalThis.Worker = class { constructor() { setTimeout(() => this.onerror({}), 9); }"
    " postMessage() {} terminate() {} }": "its worker would not start",
}
"""What a browser may lack, and what its page says then."""


@pytest.mark.parametrize("lacks", SWITCHED_OFF, ids=["wasm", "workers", "start"])
def test_a_browser_that_cannot_is_told_so_and_has_the_page(
    visit: Callable[..., Visit], lacks: str
) -> None:
    needs_npm()
    here = visit(SITE_ON_DISK, LAB)
    here.page.evaluate(f"() => {{ {lacks} }}")
    before, cells = seen(here.page), here.page.locator(".cell_input").all_inner_texts()
    here.page.locator(".kvmexit-live button").click()
    wait_until(
        here.page, HEADING.format("The page is as it was."), "the page to say that it failed"
    )
    words = here.page.locator(".kvmexit-live [role=status]").inner_text()
    assert words == f"That did not work: {SWITCHED_OFF[lacks]}. The page is as it was."
    assert seen(here.page) == before and here.complaints == []
    assert here.page.locator(".cell_input").all_inner_texts() == cells


def test_a_change_outlives_the_visit_and_travels_in_a_link(alive_chapter: Visit) -> None:
    needs_npm()
    page = awake(alive_chapter)
    cell = cell_that(page, "once = Scenario")
    set_text(page, cell, "print('größer')  # mine")
    page.locator(".kvmexit-live-cell button", has_text="Share").first.click()
    wait_until(page, "location.hash.startsWith('#live=')", "the link")
    link = page.url
    set_text(page, cell, "print(2)")
    assert "#" not in page.url, "a visit with the link's address would have the older text"
    page.evaluate("(link) => { location.hash = link.split('#')[1] }", link)
    page.get_by_role("button", name="Keep mine").click()
    mine = f"kvmexitLive.cells[{cell}].source"
    assert page.evaluate(mine) == "print(2)" and "#" not in page.url
    page.evaluate("(link) => { location.hash = link.split('#')[1] }", link)
    page.get_by_role("button", name="Take the link's").click()
    assert "größer" in page.evaluate(mine)
    page.keyboard.press("Control+z")
    assert page.evaluate(mine) == "print(2)"
    nothing_of_a_link_runs(page)
    alive_chapter.go(link.partition("#")[0])
    page.reload()
    wait_until(page, HEADING.format("are kept"), "what is kept to be told")
    alive_chapter.go(link)
    page.reload()
    wait_until(page, HEADING.format("brings a cell"), "what the link brings to be told")
    if not draws(0, in_ci=1):
        return
    press(alive_chapter)
    page.get_by_role("button", name="Take the link's").click()
    theirs = f"kvmexitLive.cells[{cell}].source === \"print('größer')  # mine\""
    wait_until(page, theirs, "the cell of the link")
    assert outputs(page) == {}, "nothing that came by a link is run"
    box = page.locator("article div.cell").first
    box.get_by_role("button", name="As in the book").click()
    assert "once = Scenario" in box.locator(".cm-content").inner_text()


HTML_OF_A_LINK = """from IPython.display import HTML
HTML('<img src=x onerror="globalThis.ran = 1">')"""


def nothing_of_a_link_runs(page: Page) -> None:
    """A cell that follows what is typed follows no link; a damaged link is said to be one."""
    cell = cell_that(page, "trial(stop)")
    own = f"kvmexitLive.cells[{cell}]"
    page.evaluate(f"{own}.setText({own}.first)")
    rests(page)
    shared = f"{own}.share(document.createElement('button')).then(() => location.hash)"
    set_text(page, cell, HTML_OF_A_LINK)
    link = page.evaluate(shared)
    page.evaluate(f"{own}.setText({own}.first)")
    page.wait_for_timeout(300)  # longer than the pause after which it would run
    rests(page)
    page.evaluate("said.length = 0")
    page.evaluate("(link) => { location.hash = link }", link)
    wait_until(page, f"{own}.source.includes('<img')", "the text of the link")
    page.wait_for_timeout(300)
    run_cell(page, cell_that(page, "once = Scenario"))
    assert cell not in outputs(page) and page.evaluate("globalThis.ran") is None
    box = page.locator("article div.cell", has=page.get_by_label(re.compile("^cell 13, ")))
    box.get_by_role("button", name="As in the book").click()
    for damaged in (link[:-9], "#live=", "#live=<b>"):
        page.evaluate("(link) => { kvmexitLive.say('-'); location.hash = link }", damaged)
        wait_until(page, HEADING.format("is damaged"), f"a word on {damaged}")
    rests(page)


def test_a_lab_from_a_file_says_what_the_book_has(alive_lab: Visit) -> None:
    needs_npm()
    says_what_the_book_has(alive_lab, LAB)
    assert alive_lab.requests_outside(SITE_ON_DISK) == []


def test_the_opened_page_fits_a_phone_and_the_keyboard(alive_lab: Visit) -> None:
    """Of axe-core's rules none is broken; Tab leaves an editor, and reaches every button."""
    needs_npm()
    awake(alive_lab)
    assert alive_lab.axe() == []
    assert alive_lab.small_text() == []
    assert alive_lab.wider_than_the_screen() == []
    assert alive_lab.unreachable() == []


def test_a_lab_is_solved_in_the_page_and_graded_outside(alive_lab: Visit, tmp_path: Path) -> None:
    """Right answers get full marks in the page; the notebook that it gives gets the same."""
    needs_npm()
    page = awake(alive_lab)
    solved = json.loads(
        (ROOT / f"tests/lab/source/{Path(LAB).name}/{Path(LAB).name}.ipynb").read_text()
    )
    blank = json.loads((ROOT / f"{LAB}.ipynb").read_text())
    answers = {
        cell["metadata"]["nbgrader"]["grade_id"]: "".join(cell["source"])
        for cell in solved["cells"]
        if cell["metadata"].get("nbgrader", {}).get("solution")
    }
    for cell in blank["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in answers and cell["cell_type"] == "code":
            set_text(page, cell_that(page, "".join(cell["source"])), answers[name])
    check_follows(page)
    page.evaluate("said.length = 0")
    act(page, "Run all")
    rests(page)
    told = [value for row in outputs(page).values() for kind, value in row if kind == "stream"]
    points = [tuple(map(int, re.search(r"(\d+) of (\d+) points", text).groups())) for text in told]
    assert points and all(got == out_of for got, out_of in points)
    with page.expect_download() as download:
        act(page, "Download")
    notebook = tmp_path / download.value.suggested_filename
    download.value.save_as(notebook)
    command = [sys.executable, "-m", "kvmexit", "grade", tmp_path, "--seed", "1", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (graded,) = json.loads(done.stdout)["submissions"]
    marks = {one["question"]: one["points"] for one in graded["questions"]}
    assert [*marks.values()] == [got for got, _ in points]
    assert "no mark" in page.locator("article").inner_text()
    if draws(0, in_ci=1):
        with released(Path(LAB).name) as course:
            theirs = course.grade(Path(LAB).name, "reader", notebook.read_text())
        named = {name.removesuffix("-points"): got for name, (got, _) in theirs.items()}
        assert named == {number.replace(".", "-"): got for number, got in marks.items()}


def check_follows(page: Page) -> None:
    """What was typed last are right answers: nobody runs them, and the check shows it."""
    check = cell_that(page, 'check("2.1"')
    is_strip = "(one) => one[2]?.['text/plain']?.startsWith?.('Your stop path, at every landing')"
    wait_until(page, f"said.filter(([n]) => n === {check}).some({is_strip})", "its strips")
    rests(page)
    strips = page.evaluate(f"said.findLast({is_strip})[2]['text/plain']")
    assert re.search(r"\nAll \d+ landings are ok\.$", strips), strips
    names = [line.split("  ")[0].rstrip(" .") for line in strips.splitlines()[1:-1]]
    assert names == [name if into == "new-vm" else f"{name}, same" for name, into in TRIED], (
        "a row for each program"
    )


@pytest.mark.parametrize(("page", "kind"), HERE, ids=["-".join(turn) for turn in HERE])
def test_any_page_says_what_the_book_has(
    visit: Callable[..., Visit], over_http: str, page: str, kind: str
) -> None:
    needs_npm()
    site = over_http if kind == "http" else SITE_ON_DISK
    here = visit(site, page, alone=True)
    says_what_the_book_has(here, page)
    assert here.requests_outside(site) == []
