"""The built site, served on the loopback."""

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pages import SITE


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def served(handler: type[Quiet] = Quiet) -> Iterator[str]:
    """The address of the built site."""
    assert (SITE / "index.html").exists(), "the site is not built: make book"
    serve = functools.partial(handler, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
