"""The player's parts as plain ES modules, unjoined: what they decode is what Python folds, and
what they draw is what the joined player draws."""

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kvmexit.show import film
from kvmexit.show.fates import columns, told
from kvmexit.show.films import Film
from kvmexit.show.frame import Frame
from kvmexit.show.player import module, parts
from kvmexit.show.reel import Choice
from kvmexit.show.scene import scene
from kvmexit.show.story import events, stops
from playwright.sync_api import Browser, Page
from serving import Quiet

DECODE = """async ([data, runs]) => {
  const { Reel } = await import("./reel.js");
  const { sceneAt, reasonWords } = await import("./scene.js");
  const { columns, told } = await import("./fates.js");
  const { eventsOf, stopsOf } = await import("./story.js");
  const reel = new Reel(data);
  return runs.map(([choice, landing]) => {
    const steps = reel.run(choice, landing), end = reel.end(choice, landing);
    const { expected } = reel.world(choice);
    const at = [...steps.keys()].filter((i) => i % 10 === 0 || i > steps.length - 4);
    const scenes = at.map((last) => {
      const { page, buffer, registers, ...rest } = sceneAt(reel, steps, last);
      return { ...rest, registers: registers.map((value) => value >>> 0),
        page: [reasonWords(page), page.gpa >>> 0, page.size, page.is_write, page.data],
        bytes: Array.from(buffer, (byte) => byte ?? null) };
    });
    const { buffer } = sceneAt(reel, steps, steps.length - 1);
    const found = columns(buffer, expected, end), stops = stopsOf(reel, steps, end, expected);
    return { scenes, columns: found, told: told(found, buffer, expected, end.kind),
      stops, events: eventsOf(reel, steps, stops) };
  });
}"""
CARRIED = """async ([data, choice, landing]) => {
  const { Reel } = await import("./reel.js"), { carried } = await import("./story.js");
  const reel = new Reel(data), steps = reel.run(choice, landing);
  return [...steps.keys()].filter((at) => reel.what(steps[at]) === "complete")
    .map((at) => carried(reel, steps, at));
}"""
DRAW = """async ([address, traits]) => {
  const { render } = (await import(address)).default, el = document.createElement("div");
  document.body.replaceChildren(el);
  const model = { get: (name) => traits[name], set() {}, on() {}, off() {}, save_changes() {} };
  render({ model, el });
  await new Promise((done) => setTimeout(() => requestAnimationFrame(done), 50));
  const style = el.querySelector("style"), rules = [...style.sheet.cssRules];
  style.remove();
  return rules.map((rule) => rule.cssText).join("") + el.innerHTML;
}"""


@pytest.fixture(scope="module")
def folder(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page beside the parts, and beside the joined player, over http."""
    home: Path = tmp_path_factory.mktemp("parts")
    for name, source in {**parts(), "joined.js": module("player.js")}.items():
        (home / name).write_text(source)
    (home / "page.html").write_text("<!doctype html><title>parts</title><body></body>")
    handler = functools.partial(Quiet, directory=str(home))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/page.html")
        yield page
        page.close()
        server.shutdown()


def folded(made: Film, choice: Choice, landing: int) -> dict:
    """A run by Python: what is to be seen after every tenth step of it and after its last, its
    bytes with their fates, and its events."""
    frames, verdict = made.filmed(landing, choice)
    expected = made.worlds[choice[0]].expected
    whole, named = scene(frames).bytes(), stops(frames, verdict, expected)
    found = columns(whole, expected, verdict)
    return {
        "scenes": scenes(frames),
        "columns": [[one.sent, one.got, one.fate] for one in found],
        "told": told(found, whole, expected, verdict.kind),
        "stops": named,
        "events": events(frames, named),
    }


def scenes(frames: list[Frame]) -> list[dict]:
    """What is to be seen after every tenth step and after the last ones."""
    found = []
    for last, frame in enumerate(frames):
        if last % 10 and last <= len(frames) - 4:
            continue
        now = scene(frames[: last + 1])
        page, buffer = now.page, now.bytes()
        found.append(
            {
                "page": [page.reason_words, page.gpa, page.size, page.is_write, [*page.data]],
                "bytes": buffer,
                "immediate": frame.seen.immediate_exit,
                "pending": frame.seen.pending,
                "what": frame.what.value,
                "sentence": frame.sentence,
                "registers": list(frame.seen.registers),
                "device": list(frame.seen.device),
            }
        )
    return found


@pytest.mark.parametrize("device", ["tis-2011", "tis-indexed"])
def test_the_parts_decode_what_python_folds(folder: Page, device: str) -> None:
    """Steps of runs that end in each way, the suspend landing all over the packet."""
    compensation = "all" if device == "tis-2011" else "none"
    policies = ["save-at-once", "drain"]
    made = film(6, device=device, policy=policies, compensation=compensation, restore="all")
    runs = [
        (choice, landing)
        for number, choice in enumerate(made.choices)
        for landing in range(0, len(made.worlds[0].frames) + 1 - number, 27)
    ]
    wanted = [folded(made, choice, landing) for choice, landing in runs]
    shown = folder.evaluate(DECODE, [made.data, runs])
    for run, one, other in zip(runs, shown, wanted, strict=True):
        assert one == other, run
    assert len({fate for run in wanted for _, _, fate in run["columns"]}) > 1
    assert {"wrong", "save", "restore"} <= {stop for run in wanted for stop in run["stops"]}
    lengths = [len(run["events"]) for run in wanted if "save" in run["stops"]]
    assert 6 <= min(lengths) and max(lengths) <= 20 and sum(lengths) / len(lengths) < 16


def test_a_completion_carries_no_byte_that_the_guest_does_not_get(folder: Page) -> None:
    """An answer that was dropped with the registers; and a write has none to carry."""
    made = film(12, read=11, restore=["same-vcpu", "new-vm"])
    runs = [folder.evaluate(CARRIED, [made.data, one, made.landing]) for one in made.choices]
    assert [run.count("") for run in runs] == [2, 1] and min(map(len, runs)) > 15


@pytest.mark.parametrize("at", ["request", "restore", "end"])
def test_the_parts_draw_what_the_joined_player_draws(folder: Page, at: str) -> None:
    traits = json.loads(json.dumps(film(12, policy="all", read=10, at=at).traits()))
    drawn, joined = (
        folder.evaluate(DRAW, [f"./{one}", traits]) for one in ("player.js", "joined.js")
    )
    assert "data-fate" in drawn and drawn.count("<path") > 20
    unnumbered = [text.replace("kx1-", "kx-").replace("kx2-", "kx-") for text in (drawn, joined)]
    assert unnumbered[0].replace("kx3-", "kx-") == unnumbered[1].replace("kx3-", "kx-")
