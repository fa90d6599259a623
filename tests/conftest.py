"""What a test may need of the machine, and what becomes of it where that is missing.

A test that wants /dev/kvm or Chromium asks for the fixture `kvm` or `chromium` and does not
run where there is none. The run ends by naming the tests that did not run. With CI set, any
such test fails the run, except for want of what a machine need not have: a /dev/kvm, the rights to
trace a kernel, QEMU, npm with a registry that can be reached, the kernel of another machine or of a
guest.
"""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from patience import AGAIN, PATIENCE

KVM = Path("/dev/kvm")
INSTANCES = "/sys/kernel/tracing/instances"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

settings.register_profile("fuzz", max_examples=5000, deadline=None)
settings.register_profile("default", deadline=None, derandomize=True)
settings.load_profile("default")


def pytest_configure() -> None:
    """What a shell starts in the background ignores Ctrl-C, and so does all that it starts in its
    turn; tests send it to programs that heed it. How wide a line is, a test says itself: what runs
    it tells its workers how wide the terminal is."""
    os.environ.pop("COLUMNS", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def kvm() -> str:
    """The path of a KVM device that may be opened."""
    if not KVM.exists():
        pytest.skip("no /dev/kvm on this machine")
    if not os.access(KVM, os.R_OK | os.W_OK):
        pytest.skip("no permission for /dev/kvm: add yourself to the group kvm")
    return str(KVM)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium: on Debian, apt-get install chromium")
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """nbval gives the outputs of a cell that is done five seconds to arrive."""
    for item in items:
        if hasattr(item, "output_timeout"):
            item.output_timeout = PATIENCE


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failure says how to draw once more what its run has drawn."""
    report = yield
    if report.failed:
        again = f"{AGAIN} .venv/bin/pytest -n 0 {item.nodeid!r}"
        report.sections.append(("the same draw again", again))
    return report


def did_not_run(config: pytest.Config) -> Counter[tuple[str, str]]:
    """(file, reason) of every skipped test, counted."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    return Counter(
        (report.nodeid.split("::")[0], report.longrepr[2].removeprefix("Skipped: "))
        for report in skipped
    )


def forbidden(reason: str) -> bool:
    """Must no test be missing from a CI run for this reason?"""
    if "tracefs" in reason:
        return KVM.exists() and os.access(INSTANCES, os.W_OK)
    if "/dev/kvm" in reason:
        return KVM.exists()
    if reason.startswith("no npm here"):
        return shutil.which("npm") is not None
    return not reason.startswith(("no QEMU", "no registry of npm", "no kernel "))


def largest_measured(terminalreporter) -> dict[str, tuple[float, str]]:
    """The largest value, and its test, of each property that tests recorded."""
    largest: dict[str, tuple[float, str]] = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties if report.when == "call" else ():
            largest[name] = max(largest.get(name, (0.0, "")), (value, report.nodeid))
    return largest


def pytest_terminal_summary(terminalreporter, config) -> None:
    for name, (value, nodeid) in sorted(largest_measured(terminalreporter).items()):
        terminalreporter.write_line(f"{name}: at most {value:.3g} ({nodeid.split('::')[-1]})")
    for (file, reason), count in sorted(did_not_run(config).items()):
        terminalreporter.write_line(f"did not run: {count} of {file} ({reason})", yellow=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    missing = did_not_run(session.config)
    if os.environ.get("CI") and any(forbidden(reason) for _, reason in missing):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
