"""The project's own tests, run inside a machine: what is counted, and what is listed as not run."""

import json
import os
import subprocess
import sys

import pytest
from kvmexit.commands import main
from kvmexit.elsewhere import boot
from kvmexit.elsewhere.checkout import files_for_tests
from kvmexit.elsewhere.recordings import recording_of
from kvmexit.errors import KvmExitError
from patience import PATIENCE
from test_bring import given_up

REAL = """
import pytest

def test_good(kvm):
    assert kvm == "/dev/kvm"

@pytest.mark.parametrize("kernel", ["simulated", "real"])
def test_either(kernel):
    assert kernel == "real"

@pytest.mark.stays_inside
def test_long():
    pass

def test_bad():
    assert 1 == 2

def test_wants_more():
    import rich_as_can_be

def test_wants_a_library():
    raise ImportError("liblzma.so.5: no rich_as_can_be")

def test_has_no_such_thing():
    pytest.skip("no such thing here")
"""
JOB = "import sys; from kvmexit.elsewhere import testing; testing.TESTS = sys.argv[1];"


@pytest.mark.parametrize("machine", ["svm", "vmx"])
def test_what_passes_what_fails_and_what_was_not_run(tmp_path, machine):
    """In vmx the guests that stay inside are not run, and that is listed."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "test_some.py").write_text(REAL)
    (tmp_path / "real" / "test_other.py").write_text("import rich_as_can_be\n")
    out = tmp_path / "out"
    argv = [sys.executable, "-c", f"{JOB} testing.main({machine!r}, {str(out)!r})", tmp_path]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    ran = subprocess.run(argv, capture_output=True, text=True, check=True, env=plain)
    said = ran.stdout.splitlines()
    found = json.loads(out.read_text())["tests"]
    assert found["passed"] == (2 if machine == "vmx" else 3)
    assert [name.rpartition("::")[2] for name in found["failed"]] == ["test_bad"]
    assert "assert 1 == 2" in str(found["failed"])
    left = {
        why: sorted(n.rpartition("/")[2] for n in names) for why, names in found["not run"].items()
    }
    wants = {name for why, names in left.items() if "rich_as_can_be" in why for name in names}
    assert wants == {
        "test_other.py",
        "test_some.py::test_wants_more",
        "test_some.py::test_wants_a_library",
    }
    assert left.get("in Bochs no signal gets this test's guest out of KVM_RUN") == (
        ["test_some.py::test_long"] if machine == "vmx" else None
    )
    assert ["test_some.py::test_has_no_such_thing"] in left.values()
    tests = 6 if machine == "vmx" else 7
    assert said.count(f"@@ done {tests} of {tests}") == 1
    assert sum(line.startswith("@@ doing ") for line in said) == tests


def test_what_goes_along():
    """The tests, what they read, the recordings of this library, and pytest."""
    along = dict(files_for_tests(boot.Path(__file__).parents[2]))
    for name in (
        "checkout/tests/real/test_exits.py",
        "checkout/tests/patience.py",
        "checkout/book/code/bug2011.py",
        "lab/kvmexit/kernel/recordings/atlas.json.gz",
        "lab/kvmexit/commands/run.py",
        "lab/_pytest/python.py",
    ):
        assert along[name], name
    assert sum(map(len, along.values())) < 8_000_000


def test_away_from_the_project(tmp_path):
    with pytest.raises(KvmExitError, match="no tests/real in .*run this in the project's folder"):
        files_for_tests(tmp_path)


def test_the_tally_is_printed_and_a_failure_is_status_1(monkeypatch, capsys, tmp_path):
    tally = {
        "passed": 7,
        "failed": {"a.py::test_x": "E assert 0"},
        "not run": {"no such thing": ["a.py::test_y", "a.py::test_y", "a.py::test_z"]},
    }
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kvmexit.commands.elsewhere.bring", lambda m, *_: recording_of(m.name))
    monkeypatch.setattr("kvmexit.commands.elsewhere.bring_tests", lambda *_: {"tests": tally})
    assert main(["elsewhere", "vmx", "powerpc", "--tests"]) == 1
    said = capsys.readouterr().out
    assert said.count("own tests") == 1, "powerpc has none of them"
    assert "7 passed, 1 failed, 2 not run" in said
    assert "failed: a.py::test_x: E assert 0" in said and "\n    a.py::test_z\n" in said
    tally["failed"] = {}
    assert main(["elsewhere", "vmx", "--tests"]) == 0


def test_what_a_machine_cannot_do_is_listed(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kvmexit.commands.elsewhere.bring", lambda m, *_: recording_of(m.name))
    assert main(["elsewhere", "vmx"]) == 0
    assert "not run: a race of suspends against the clock: in Bochs" in capsys.readouterr().out


def test_a_silent_machine_names_the_test_it_is_in(tmp_path):
    script = "echo @@ stage tests; echo @@ doing a.py::test_x"
    assert "seconds for a.py::test_x" in given_up(tmp_path, script, "doing a.py")


def test_a_long_stage_says_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(boot, "OFTEN", 0)
    heard: list[str] = []
    script = "echo @@ stage tests; sleep 0.01; echo @@ done 3 of 9; echo @@ failed"
    with pytest.raises(KvmExitError, match="failed in the stage: tests"):
        console = tmp_path / "run" / "console.txt"
        boot.run(["sh", "-c", script], console, PATIENCE, heard.append, {})
    assert heard == ["tests", "tests: 3 of 9"]
