"""From a key or a hand to the painted frame, in Chromium, also with the processor slowed; the
weight of the player; and beside it what a live redraw would cost."""

import gzip
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from kvmexit.show import film, strip
from kvmexit.show.page import page as page_of
from playwright.sync_api import Browser, sync_playwright

FRAME = 1000 / 60
SLOW = 50
"""Milliseconds that one move in twenty may take, and with the processor slowed one in two."""
SLOWED = 4
HEAVIEST = 16_000
"""Bytes of the script that plays a page's films, compressed as a server does."""
SITE = Path(__file__).parents[2] / "_build" / "html" / "_static"
MOVES = 80
LISTEN = """() => {
  window.times = [];
  const heard = () => {
    const start = performance.now();
    requestAnimationFrame(() => {
      const painted = new MessageChannel();
      painted.port1.onmessage = () => times.push(performance.now() - start);
      painted.port2.postMessage(0);
    });
  };
  for (const event of ["keydown", "pointermove"]) addEventListener(event, heard, true);
}"""


def painted(browser: Browser, path: Path, name: str, act: str, slowed: int) -> list[float]:
    """Milliseconds from a key, or a move of the mouse, on a slider to its frame."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(path.as_uri())
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": slowed})
    slider = page.locator(f"[data-role={name}]")
    slider.focus()
    page.keyboard.press("Home")
    box = slider.bounding_box()
    page.mouse.move(box["x"] + 10, box["y"] + 10)
    if act == "drag":
        page.mouse.down()
    page.evaluate(LISTEN)
    for n in range(MOVES):
        if act == "key":
            page.keyboard.press("ArrowRight" if name == "landing" else "Shift+ArrowRight")
        else:
            page.mouse.move(box["x"] + 10 + n * (box["width"] - 20) / MOVES, box["y"] + 10)
        page.wait_for_timeout(20 * slowed)
    page.wait_for_function(f"times.length >= {MOVES}")
    times = page.evaluate("times")
    page.close()
    return list(times[1:])


def measured(browser: Browser, path: Path) -> bool:
    """Print each measurement; is a promise not kept?"""
    late = False
    for slowed in (1, SLOWED):
        for name, act in (("step", "key"), ("landing", "key"), ("landing", "drag")):
            times = sorted(painted(browser, path, name, act, slowed))
            median, p95 = statistics.median(times), times[int(len(times) * 0.95)]
            late |= median > SLOW if slowed > 1 else median > FRAME or p95 > SLOW
            print(
                f"{act} to painted frame, {name} slider, processor / {slowed}:"
                f" median {median:5.1f} ms, p95 {p95:5.1f} ms  (promised:"
                + (f" {FRAME:.1f} and {SLOW})" if slowed == 1 else f" {SLOW})")
            )
    return late


def heaviest_player() -> int:
    """Of the built book's scripts that play films, the heaviest, in bytes."""
    scripts = [path.read_bytes() for path in (SITE / "film.js", SITE / "asking.js")]
    return max(len(gzip.compress(script, 6)) for script in scripts)


def main() -> int:
    """Print the measurement; status 1 if a promise is not kept."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        print("no Chromium: on Debian, apt-get install chromium")
        return 1
    weight = heaviest_player()
    print(f"the player of a page: at most {weight} bytes compressed  (promised: {HEAVIEST})")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "film.html"
        shown = film(16, policy="all", compensation="all", restore="all", read=13)
        path.write_text(page_of(shown))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        late = measured(browser, path)
        browser.close()
    redraws = []
    for _ in range(5):
        begin = time.perf_counter()
        strip(16).html()
        redraws.append(1000 * (time.perf_counter() - begin))
    redraw = statistics.median(redraws)
    print(f"interact and matplotlib, Python's part alone: median {redraw:.0f} ms")
    return int(late or weight > HEAVIEST)


if __name__ == "__main__":
    sys.exit(main())
