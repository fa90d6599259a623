"""How the command ends as a process: with its status, by a signal, and never with a traceback that
a full disk, a closed pipe or Ctrl-C brought about."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import NoReturn

from kvmexit.commands import STOPPED, UNREAD, main

SIGNALS = {STOPPED: signal.SIGINT, UNREAD: signal.SIGPIPE}
"""Statuses that are a shell's way to name a signal. The process dies of it, so that a loop in a
shell ends too."""


def prepare() -> None:
    """Streams that are closed or cannot say a letter do no harm."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    sys.unraisablehook = _again


def _again(what: sys.UnraisableHookArgs) -> None:
    """Ctrl-C that came where Python drops exceptions (a callback of the importer, say) comes once
    more, when that is over."""
    if what.exc_type is KeyboardInterrupt:
        again = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(what)


def outcome() -> int:
    """The status of the command that ``sys.argv`` names, ``--help`` and ``--version`` included."""
    try:
        return main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0


def says_no_more() -> None:
    """From here on Ctrl-C ends the process at once: all has been said."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def end(status: int) -> NoReturn:
    """End this process with ``status``."""
    says_no_more()
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError:
            # It has been complained of. Python would try once more at its end, and fail aloud.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if status in SIGNALS:
        signal.signal(SIGNALS[status], signal.SIG_DFL)
        os.kill(os.getpid(), SIGNALS[status])
    sys.exit(status)
