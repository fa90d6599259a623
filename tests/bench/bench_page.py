"""From a hand to the picture: a page's first slider, and knobs with a kernel behind them."""

import shutil
import statistics
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent), str(HERE.parent / "site"), str(HERE.parents[1] / "book" / "tools")]

from browsers import DESK, patient, started
from live_lab import EXPLORER, on_a_copy, open_notebook, run_cell
from playwright.sync_api import Browser, Page
from visits import SITE_ON_DISK, wait_until

READY_WITHIN = 500
"""Milliseconds from navigation to a slider that answers."""
FAST = 100
"""Milliseconds from a hand's move to the repainted film."""

FIRST_ANSWER = """
  globalThis.answered = new Promise((done) => {
    new MutationObserver((_, watch) => {
      const slider = document.querySelector(".kx [data-role=landing]");
      if (!slider) return;
      watch.disconnect();
      slider.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight" }));
      requestAnimationFrame(() => done(performance.now()));
    }).observe(document, { childList: true, subtree: true });
  });"""

REPAINTED = """async ([target, value, event]) => {
  const root = document.querySelector(".kx");
  const control = target === "select"
    ? [...document.querySelectorAll(".widget-dropdown select")].find((one) =>
        [...one.options].some((option) => option.text === value))
    : root.querySelector(`[data-role=${target}]`);
  const changed = new Promise((done) => {
    const watch = new MutationObserver(() => { watch.disconnect(); requestAnimationFrame(done); });
    watch.observe(root.querySelector(".lanes"),
      { childList: true, subtree: true });
  });
  const start = performance.now();
  if (target === "select") {
    control.selectedIndex = [...control.options].findIndex((one) => one.text === value);
  }
  control.dispatchEvent(target === "select" ? new Event(event, { bubbles: true })
    : new KeyboardEvent("keydown", { key: value }));
  await changed;
  await new Promise((done) => setTimeout(done));
  return performance.now() - start;
}"""


def first_answers(browser: Browser) -> list[float]:
    """Milliseconds from navigation to the first picture after a slider moved."""
    times = []
    for _ in range(8):
        context = patient(browser, viewport=DESK)
        page = context.new_page()
        page.add_init_script(FIRST_ANSWER)
        page.goto(f"{SITE_ON_DISK}/book/05-where-the-suspend-lands.html")
        times.append(page.evaluate("answered"))
        context.close()
    return times


def repaints(page: Page) -> dict[str, list[float]]:
    """Milliseconds from a move of each knob to the repainted film."""
    moves = {
        "landing": [("landing", ("ArrowRight", "ArrowLeft")[n % 2], "") for n in range(9)],
        "policy": [("select", ("save-at-once", "drain")[n % 2], "change") for n in range(8)],
        "own function": [
            ("select", ("save-at-once", "my_stop")[n % 2], "change") for n in range(8)
        ],
    }
    times: dict[str, list[float]] = {}
    for name, those in moves.items():
        times[name] = []
        for move in those:
            times[name].append(page.evaluate(REPAINTED, list(move)))
            page.wait_for_timeout(500)  # the strip has time
    return times


def main() -> int:
    """Print the measurement; status 1 if a promise is not kept."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        print("no Chromium: on Debian, apt-get install chromium")
        return 1
    with tempfile.TemporaryDirectory() as folder, started(chromium) as browser:
        times = first_answers(browser)
        late = min(times) >= READY_WITHIN
        print(
            f"navigation to a slider that answers: best {min(times):.0f} ms,"
            f" median {statistics.median(times):.0f} ms  (promised: {READY_WITHIN})"
        )
        with on_a_copy(Path(folder)) as address:
            page = patient(browser, viewport=DESK).new_page()
            open_notebook(page, address, EXPLORER)
            run_cell(page)
            ready = "document.querySelector('.kx [data-role=landing] path.ok')"
            wait_until(page, ready, "the film and its strip")
            for name, those in repaints(page).items():
                median = statistics.median(those)
                late |= median > FAST
                print(
                    f"live film, {name}: median {median:.0f} ms, worst {max(those):.0f} ms"
                    f"  (promised: {FAST})"
                )
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
