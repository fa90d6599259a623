"""The project's own tests of the real kernel, on the machine itself:
`python3 -m kvmexit.elsewhere.testing MACHINE FILE`.

What comes out is a tally: how many passed, which failed and why, and what was not run and why not.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

TESTS = "/checkout/tests"
STAYS_INSIDE = "stays_inside"
"""The mark of a test whose guest stays in KVM_RUN, interrupts off, until a signal gets it out."""
NO_WAY_OUT = ("vmx",)
"""Where no signal does: in Bochs an interrupt of the host waits while the guest has its own off."""
IMPORT = re.compile(r"\b(ModuleNotFound|Import)Error: ")
"""How a test ends that needs more than is packed."""
LEFT_OUT = "unittest debugging doctest junitxml pastebin cacheprovider".split()
"""Plugins of pytest that need parts of Python's library which are not packed."""


def say(word: str, rest: str) -> None:
    """A line for whoever reads the console; pytest may be in the middle of one of its own."""
    print(f"\n@@ {word} {rest}", flush=True)


class Tally:
    """A plugin of pytest: it deselects what cannot be run here, and counts."""

    def __init__(self, machine: str) -> None:
        self.machine = machine
        self.passed = self.done = self.all = 0
        self.failed: dict[str, str] = {}
        self.not_run: dict[str, list[str]] = {}

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        """What asks a simulated kernel says nothing of this machine."""
        kept = []
        for item in items:
            if "simulated" in getattr(getattr(item, "callspec", None), "id", "").split("-"):
                continue
            if self.machine in NO_WAY_OUT and item.get_closest_marker(STAYS_INSIDE):
                self.leave(item.nodeid, "in Bochs no signal gets this test's guest out of KVM_RUN")
            else:
                kept.append(item)
        items[:] = kept
        self.all = len(kept)

    def leave(self, name: str, why: str) -> None:
        """Note that a test was not run."""
        self.not_run.setdefault(why, []).append(name)

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be imported here."""
        if report.failed:
            self.leave(report.nodeid, _last(report))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """For whoever reads the console, and for who finds it silent."""
        say("doing", nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """One of a test's three parts has ended."""
        missing = report.failed and IMPORT.search(_last(report))
        if report.skipped or missing:
            self.leave(report.nodeid, report.longrepr[2] if report.skipped else _last(report))
        elif report.failed:
            self.failed[report.nodeid] = _last(report)
        elif report.when == "call":
            self.passed += 1
        if report.when == "teardown":
            self.done += 1
            say("done", f"{self.done} of {self.all}")

    def as_data(self) -> dict[str, Any]:
        """What goes home."""
        return {"passed": self.passed, "failed": self.failed, "not run": self.not_run}


def _last(report: Any) -> str:
    """What went wrong, in a line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash else str(report.longrepr)).strip().splitlines()
    return next((line for line in reversed(lines) if line.startswith("E ")), lines[0])[:200]


def main(machine: str, file: str) -> None:
    """Run them and write the tally."""
    say("stage", "the project's own tests of the real kernel")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    sys.path[:0] = [TESTS, f"{TESTS}/real"]
    import pytest

    class Here(Tally):
        @pytest.fixture(scope="session")
        def kvm(self) -> str:
            """The fixture of the project's conftest, which needs more than is packed."""
            return "/dev/kvm"

    tally = Here(machine)
    without = [word for name in LEFT_OUT for word in ("-p", f"no:{name}")]
    pytest.main(
        ["-q", "--tb=short", "-c", "/dev/null", "--rootdir", TESTS, *without]
        + ["--continue-on-collection-errors", f"{TESTS}/real"],
        plugins=[tally],
    )
    found = {"tests": tally.as_data(), "release": os.uname().release}
    Path(file).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
