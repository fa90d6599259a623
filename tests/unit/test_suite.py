"""The suite itself: what it waits for, what it draws, what must not be missing where it counts."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import patience
import pytest
from patience import AGAIN, RUN, SEED, until

TESTS = Path(__file__).parents[1]


@pytest.fixture
def rules(request: pytest.FixtureRequest) -> ModuleType:
    """The conftest.py of all tests."""
    return request.config.pluginmanager.get_plugin(str(TESTS / "conftest.py"))


def test_what_never_comes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.05)
    for look, why in ((lambda: "", ""), (lambda: int("x"), ": ValueError")):
        with pytest.raises(AssertionError, match=f"^waited 0 s for a bus{why}"):
            until(look, "a bus")
    assert until(iter(("", "it")).__next__, "a bus") == "it"


def test_what_a_run_has_drawn_is_drawn_again() -> None:
    """By what a failure says, whether several processes have drawn it or one."""
    name, value = AGAIN.rpartition(" ")[2].split("=")
    code = "import patience; print(patience.RUN, patience.SEED)"
    environment = {**os.environ, name: value, "PYTHONPATH": str(TESTS)}
    said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
    assert said.stdout.split() == [str(RUN or SEED).encode(), str(SEED).encode()]


@pytest.mark.parametrize("failed", [True, False])
def test_a_failure_says_how(rules: ModuleType, failed: bool) -> None:
    report = SimpleNamespace(failed=failed, sections=[])
    hook = rules.pytest_runtest_makereport(SimpleNamespace(nodeid="a.py::test[b c]"))
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(report)
    told = [("the same draw again", f"{AGAIN} .venv/bin/pytest -n 0 'a.py::test[b c]'")]
    assert report.sections == (told if failed else [])


@pytest.mark.parametrize(
    ("reason", "needs"),
    [
        ("tracefs is not permitted here", {"kvm", "instances"}),
        ("no tracefs instance can be made (Permission denied): be root", {"kvm", "instances"}),
        ("no permission for /dev/kvm: add yourself to the group kvm", {"kvm"}),
        ("no Chromium: on Debian, apt-get install chromium", set()),
    ],
)
def test_a_test_is_missed_only_where_it_could_run(
    rules: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: str, needs: set[str]
) -> None:
    """A user who is not root may not trace the kernel, and is at no fault."""
    monkeypatch.setattr(rules, "KVM", tmp_path / "kvm")
    monkeypatch.setattr(rules, "INSTANCES", str(tmp_path / "instances"))
    there: set[str] = set()
    for name in ("", "kvm", "instances"):
        if name:
            (tmp_path / name).mkdir()
            there.add(name)
        assert rules.forbidden(reason) == (needs <= there), (name, reason)
