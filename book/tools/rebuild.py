"""Build the book into `_build/html`: only what has changed, and never instead of a good one.

The work is done in `.cache/book`. What comes of it takes the old book's place when it is whole; a
build that fails leaves the old one where it is. Where pages alone were edited, Sphinx reads and
writes those; where anything else was (a script, a template, the library, the contents, a title,
which stands in all menus), all is built anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pages import ROOT, SITE, contents, differences

STAGE = ROOT / ".cache" / "book"
STAMP = STAGE / "built-of"
LOG = STAGE / "log"
START = (
    # A grammar of addresses, which a checker of settings would compile if it is there; nobody here
    # has it check one, and it takes longer than a page.
    "import sys; sys.modules['rfc3987_syntax'] = None;"
    "from jupyter_book.cli.main import main; main()"
)
COMMAND = [sys.executable, "-c", START, "build", "."]
COMMAND += ["-W", "--keep-going", "-q", "--path-output"]
COMMON = (
    "_config.yml",
    "_toc.yml",
    "CITATION.cff",
    "requirements.txt",
    "book/site",
    "book/tools",
    "lib/kvmexit",
)
"""What every page may depend on."""
TITLE = re.compile(r"^# .*", re.MULTILINE)


def common_files() -> Iterator[Path]:
    """The files of which a change is a change of all pages."""
    for name in COMMON:
        top = ROOT / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def title(page: str) -> str:
    """The first heading of a page of the contents. ValueError if it is no notebook."""
    notebook = ROOT / f"{page}.ipynb"
    if not notebook.exists():
        found = TITLE.search((ROOT / f"{page}.md").read_text(encoding="utf-8"))
        return found[0] if found else ""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        titles = [TITLE.search("".join(cell["source"])) for cell in cells]
    except (ValueError, KeyError, TypeError) as problem:
        raise ValueError(f"{page}.ipynb is no notebook: {problem!r}") from None
    return next((found[0] for found in titles if found), "")


def state() -> str:
    """What makes all pages what they are, as a digest. ValueError if a page cannot be read."""
    said = [os.environ.get(name, "") for name in ("BOOK_ADDRESS", "BOOK_REPOSITORY")]
    digest = hashlib.sha256("\0".join([sys.version, *said]).encode())
    for path in common_files():
        digest.update(f"\0{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    digest.update("\0".join(map(title, contents())).encode())
    names = sorted(path.name for path in (ROOT / "book").rglob("*") if path.is_file())
    return digest.hexdigest() + hashlib.sha256("\0".join(names).encode()).hexdigest()


def build() -> Path:
    """Bring the stage up to date; returns the site there. SystemExit says what was wrong."""
    try:
        now = state()
    except ValueError as problem:
        raise SystemExit(f"{problem}\nThe book was not built. {kept()}") from None
    if not STAMP.exists() or STAMP.read_text() != now:
        shutil.rmtree(STAGE, ignore_errors=True)
    STAGE.mkdir(parents=True, exist_ok=True)
    site = STAGE / "_build" / "html"
    forget_copies(site / "_static")
    STAMP.unlink(missing_ok=True)  # a build that fails, or is stopped, is not gone on with
    with LOG.open("w") as log:
        command = [*COMMAND, str(STAGE)]
        done = subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit(f"{LOG.read_text()}\nThe book was not built. {kept()}")
    if found := differences(site):
        raise SystemExit("\n".join([*found, kept()]))
    STAMP.write_text(now)
    return site


def forget_copies(static: Path) -> None:
    """Remove what each build copies there or joins; what is written with its page stays.

    A page names the digest of a file that is there while it is written, and style sheets are
    thinned by the scripts that are there: a fresh build finds none, so another must not.
    """
    for path in static.rglob("*"):
        if path.is_file() and not path.is_relative_to(static / "live" / "cells"):
            path.unlink()


def kept() -> str:
    """What has become of the book that was there."""
    return f"The last good one stands: {SITE}" if SITE.exists() else "There is no older one."


def publish(site: Path) -> None:
    """Put a copy of ``site`` in the place of the book."""
    new, old = SITE.with_name("html.new"), SITE.with_name("html.old")
    for rest in (new, old):
        shutil.rmtree(rest, ignore_errors=True)
    shutil.copytree(site, new)
    if SITE.exists():
        SITE.rename(old)
    new.rename(SITE)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    publish(build())
    print(f"{len(contents())} pages, as many as _toc.yml lists")
