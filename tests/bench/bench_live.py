"""From the press of "Run it here" to the first output, and from a change to its strips."""

import gzip
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BOOK = HERE.parents[1] / "book"
sys.path += [
    str(path) for path in (HERE.parent, HERE.parent / "site", BOOK / "tools", BOOK / "site")
]

from alive import CHAPTER, cell_that, rests, set_text  # noqa: E402 - found by the line above
from browsers import DESK  # noqa: E402
from pages import SITE  # noqa: E402
from playwright.sync_api import BrowserContext, sync_playwright  # noqa: E402
from serving import served  # noqa: E402
from visits import PATIENCE, SITE_ON_DISK  # noqa: E402

PROMISED = {"cold, http": 6.0, "warm, http": 4.0, "cold, file": 7.0, "warm, file": 12.0}
"""Seconds from the press to the first output, on two idle cores."""
FOLLOWS = 1.0
"""Seconds from the last key to the strips of all programs."""
SENT = 7_500_000
"""Bytes that the press loads over http, compressed."""
ROUNDS = 3
FIRST = """() => new Promise((done) => {
  const begun = performance.now(), said = () => done((performance.now() - begun) / 1000);
  document.addEventListener("kvmexit-said", said, {once: true});
  document.querySelector(".kvmexit-live button").click();
})"""
STRIPS = """([n, text]) => new Promise((done) => {
  const begun = performance.now(), said = () => done((performance.now() - begun) / 1000);
  document.addEventListener("kvmexit-said", said, {once: true});
  kvmexitLive.cells[n].setText(text);
})"""


def visited(context: BrowserContext, address: str) -> tuple[float, list[float]]:
    """Seconds to the first output, and from changes of the reader's policy to its strips."""
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(f"{address}/{CHAPTER}.html")
    first = page.evaluate(FIRST)
    rests(page)
    own = cell_that(page, "trial(stop)")
    text = page.evaluate("(n) => kvmexitLive.cells[n].first", own)
    set_text(page, own, f"{text}\n# 0")
    page.wait_for_timeout(1000)  # it begins when no key has come for a while
    rests(page)
    times = []
    for n in range(ROUNDS):
        times.append(page.evaluate(STRIPS, [own, f"{text}\n# {n + 1}"]))
        rests(page)
    page.close()
    return first, times


def sent() -> int:
    """Bytes of what a press loads over http."""
    live = SITE / "_static" / "live"
    files = [live / "page.js", live / "worker.js", live / "live.css", *(live / "python").iterdir()]
    return sum(len(gzip.compress(path.read_bytes(), 6)) for path in files)


def main() -> int:
    """Print the measurement; status 1 if a promise is not kept."""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        print("no Chromium: on Debian, apt-get install chromium")
        return 1
    if not (SITE / "_static" / "live").is_dir():
        print('the book is built without "Run it here": no npm when it was')
        return 0
    late, follows = False, []
    for kind in ("http", "file"):
        with served() as http, tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
            context = engine.chromium.launch_persistent_context(
                folder, executable_path=chromium, args=["--no-sandbox"], viewport=DESK
            )
            for turn in ("cold", "warm", "warm"):
                first, times = visited(context, http if kind == "http" else SITE_ON_DISK)
                follows += times
                promised = PROMISED[f"{turn}, {kind}"]
                late |= first > promised
                print(f"{kind}, {turn}: {first:.1f} s to the first output  (promised: {promised})")
            context.close()
    median = statistics.median(follows)
    late |= median > FOLLOWS
    print(f"from the last key to the strips: {median:.2f} s (promised: {FOLLOWS})")
    bytes_ = sent()
    late |= bytes_ > SENT
    print(f"sent over http: {bytes_ / 1e6:.2f} MB compressed  (promised: {SENT / 1e6})")
    return int(late)


if __name__ == "__main__":
    sys.exit(main())
