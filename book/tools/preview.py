"""Show the book while it is edited: a page is built anew, and shown anew, when its file changes.

The first look costs a build. After that Sphinx stays loaded and makes the one page that was saved,
and a browser that shows it loads it again. What other pages say of it (menus, the search, the list
of questions) waits for `make book`. Runs until Ctrl-C.
"""

from __future__ import annotations

import argparse
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from jupyter_book.config import get_final_config
from pages import ROOT, SUFFIXES, contents
from rebuild import STAGE, build
from sphinx.application import Sphinx

AGAIN = (
    "<script>setInterval(async () => { const now = await (await fetch('/_built')).text();"
    " if ((window.built ??= now) !== now) location.reload(); }, 300)</script>"
)
"""What a page is sent with: it asks whether there is a newer one. The file has it not."""


class Pages(SimpleHTTPRequestHandler):
    """Serves the site, and how often something was built."""

    built = 0

    def do_GET(self) -> None:
        """A page with the question for a newer one, the number of builds, or a file."""
        path = Path(self.translate_path(self.path))
        if self.path == "/_built":
            self.answer(str(Pages.built).encode(), "text/plain")
        elif path.suffix == ".html" and path.is_file():
            self.answer(path.read_bytes() + AGAIN.encode(), "text/html; charset=utf-8")
        else:
            super().do_GET()

    def answer(self, body: bytes, kind: str) -> None:
        """Send it whole, not to be kept."""
        self.send_response(200)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: what is built is what is to be read here."""


def loaded() -> Sphinx:
    """Sphinx with the stage's pages read, as Jupyter Book would start it."""
    config, _ = get_final_config(
        user_yaml=ROOT / "_config.yml",
        sourcedir=ROOT,
        # As its command line says it; what differs would have every page read again.
        cli_config={
            "external_toc_path": str(ROOT / "_toc.yml"),
            "latex_individualpages": False,
        },
    )
    out = STAGE / "_build"
    return Sphinx(
        srcdir=ROOT,
        confdir=None,
        outdir=out / "html",
        doctreedir=out / ".doctrees",
        buildername="html",
        confoverrides=config,
        status=None,
        keep_going=True,
    )


def times() -> dict[str, float]:
    """When each page's file was last saved. ValueError if the contents cannot be read."""
    found = {}
    for page in contents():
        for suffix in SUFFIXES:
            if (path := ROOT / f"{page}{suffix}").exists():
                found[page] = path.stat().st_mtime
    return found


def show(app: Sphinx, pages: list[str]) -> None:
    """Read and write these pages again."""
    for page in pages:
        app.events.emit("env-purge-doc", app.env, page)
        app.env.clear_doc(page)
        app.env._pickled_doctree_cache.pop(page, None)  # what the page's head is made from
        app.builder.read_doc(page)
    app.env.check_consistency()
    app.builder.prepare_writing(set(pages))
    for page in pages:
        tree = app.env.get_and_resolve_doctree(page, app.builder)
        app.builder.write_doc_serialized(page, tree)
        app.builder.write_doc(page, tree)
    Pages.built += 1


def main() -> None:
    """Build, serve, watch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    site = STAGE / "_build" / "html"
    try:  # before the build, which takes longer
        server = ThreadingHTTPServer(("127.0.0.1", args.port), partial(Pages, directory=str(site)))
    except (OSError, OverflowError) as problem:
        raise SystemExit(f"port {args.port}: {problem}; try make preview PORT=8001") from None
    build()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    app = loaded()
    app.builder.read()
    seen, said = times(), ""
    print(f"http://127.0.0.1:{args.port}/{contents()[0]}.html  (Ctrl-C ends)", flush=True)
    while True:
        time.sleep(0.2)
        try:
            now, said = times(), ""
        except (OSError, ValueError) as problem:  # half a file, while an editor writes it
            if said != (said := str(problem)):
                print(said, flush=True)
            continue
        if changed := [page for page in now if now[page] != seen.get(page)]:
            seen, begun = now, time.monotonic()
            try:
                show(app, changed)
            except Exception as problem:  # half a file, while an editor writes it
                print(f"{', '.join(changed)}: {problem}", flush=True)
                continue
            print(f"{', '.join(changed)}: {time.monotonic() - begun:.1f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
