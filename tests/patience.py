"""How long a test waits, and how much it draws.

A wait ends when the thing happens, and a test that fails on the clock fails on a busy machine
with nothing wrong. So no test holds an elapsed time against a bound: that is what `make bench` is
for. A wait that never ends is a fault all the same. It ends after `PATIENCE`, which no load
reaches, and says what it waited for. pyproject.toml ends a test that waits for ever without
saying so (`timeout`), later than that.
"""

import os
import secrets
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

Seen = TypeVar("Seen")
One = TypeVar("One")
RUN = int(os.environ.get("PYTEST_XDIST_TESTRUNUID", "0"), 16)
"""The same in all processes of a run of the tests, which must agree on what there is to test."""
SEED = RUN % (1 << 31) or secrets.randbelow(1 << 31)
"""Of what a test draws so that nobody can have foreseen it."""
AGAIN = f"{'CI=true ' * bool(os.environ.get('CI'))}PYTEST_XDIST_TESTRUNUID={RUN or SEED:x}"
"""In the environment of a run, it draws what this one has drawn. A failure names it."""
PATIENCE = 300.0
"""Seconds after which what a test waits for is not going to happen."""


def until(look: Callable[[], Seen], what: str, pause: float = 0.01) -> Seen:
    """Look again and again, ``pause`` seconds apart, until there is something; that is returned.

    AssertionError that names ``what`` was waited for. An OSError or ValueError of ``look`` counts
    as nothing yet: a server that does not answer, a file that is half written.
    """
    last: Exception | None = None
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if seen := look():
                return seen
        except (OSError, ValueError) as problem:
            last = problem
        time.sleep(pause)
    raise AssertionError(f"waited {PATIENCE:.0f} s for {what}" + (f": {last!r}" if last else ""))


def draws(usual: int, in_ci: int) -> int:
    """How many random cases a test draws: ``usual``, and with CI set ``in_ci``."""
    return in_ci if os.environ.get("CI") else usual


def some(every: Iterable[One], usual: int) -> list[One]:
    """A few from all over a list, others in each run; with CI set all of them."""
    listed = list(every)
    step = len(listed) // draws(usual, in_ci=len(listed)) or 1
    return list(islice(listed, RUN % step, None, step))
