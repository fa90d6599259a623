"""From the press of "Run it here" to the first output, and from a change to its strips.

Each line has the CPU time of the whole Chromium as well: on a busy machine that is what to compare.
"""

import gzip
import os
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

from alive import CHAPTER, cell_that, rests
from browsers import DESK
from pages import SITE
from playwright.sync_api import BrowserContext, sync_playwright
from serving import served
from visits import PATIENCE, SITE_ON_DISK

PROMISED = {"cold, http": 6.0, "warm, http": 4.0, "cold, file": 7.0, "warm, file": 12.0}
"""Seconds from the press to the first output, on two idle cores."""
FOLLOWS = 1.0
"""Seconds from the last key to the strips of all programs."""
SENT, BEFORE = 7_500_000, 4_000
"""Bytes that the press loads over http, and a page before it, compressed."""
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


def cpu() -> float:
    """Seconds of CPU that all that this process has started has used, and is still there."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = path.read_text().rsplit(")", 1)
        except OSError:
            continue  # it has ended
        number, fields = int(name.split()[0]), rest.split()
        children.setdefault(int(fields[1]), []).append(number)
        used[number] = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    todo, total = [os.getpid()], 0.0
    while todo:
        below = children.get(todo.pop(), [])
        todo += below
        total += sum(used[one] for one in below)
    return total


def visited(context: BrowserContext, address: str, rounds: int) -> list[tuple[str, float, float]]:
    """What was measured in one visit, seconds and seconds of CPU: to the first output, and from
    changes of the reader's policy to its strips."""
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.goto(f"{address}/{CHAPTER}.html")
    before = cpu()
    found = [("first", page.evaluate(FIRST), cpu() - before)]
    rests(page)
    if rounds:
        own = cell_that(page, "trial(stop)")
        text = page.evaluate("(n) => kvmexitLive.cells[n].first", own)
        for n in range(rounds + 1):
            before = cpu()
            took = page.evaluate(STRIPS, [own, f"{text}\n# {n}"])
            if n:  # the first one loads what it needs
                found.append(("strips", took, cpu() - before))
            rests(page)
    page.close()
    return found


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
    lines: list[tuple[str, float, float, str]] = []
    follows: list[tuple[float, float]] = []
    for kind in ("http", "file"):
        with served() as http, tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
            context = engine.chromium.launch_persistent_context(
                folder, executable_path=chromium, args=["--no-sandbox"], viewport=DESK
            )
            address = http if kind == "http" else SITE_ON_DISK
            for turn in ("cold", "warm"):
                rounds = ROUNDS if (kind, turn) == ("http", "warm") else 0
                for what, took, used in visited(context, address, rounds):
                    if what == "strips":
                        follows.append((took, used))
                        continue
                    name = f"{turn}, {kind}"
                    said = f"{name}: the press to the first output, s"
                    lines.append((said, PROMISED[name], took, f"{used:.1f} s of CPU"))
            context.close()
    took, used = (statistics.median(column) for column in zip(*follows))
    lines.append(("from the last key to the strips, s", FOLLOWS, took, f"{used:.1f} s of CPU"))
    lines.append(("the press loads over http, MB", SENT / 1e6, sent() / 1e6, "compressed"))
    button = len(gzip.compress((SITE / "_static" / "live" / "button.js").read_bytes(), 6))
    lines.append(("before the press, kB", BEFORE / 1e3, button / 1e3, "compressed"))
    for what, promised, measured, more in lines:
        print(f"{what:45} promised {promised:5.2f}  measured {measured:5.2f}  {more}")
    return int(any(measured > promised for _, promised, measured, _ in lines))


if __name__ == "__main__":
    sys.exit(main())
