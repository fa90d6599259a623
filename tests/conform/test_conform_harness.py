"""The harness is not the culprit: what a fake VMM does to its guest is counted, and no more."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from random import Random

import pytest
from conform_json import validated
from fakes import fake, seen
from kvmexit.commands import main
from kvmexit.conform import (
    GUESTS,
    Adapter,
    Judgement,
    Plan,
    Verdict,
    conform,
    harness as harness_module,
    judge,
)
from kvmexit.conform.bodies import NOWHERE
from kvmexit.conform.harness import Seen
from kvmexit.conform.image import LOAD
from kvmexit.conform.landing import Access
from kvmexit.conform.limit import SLACK
from kvmexit.conform.process import Process, ctrl_c_later
from kvmexit.conform.run import FEW
from kvmexit.conform.sequence import undisturbed
from kvmexit.errors import KvmExitError
from patience import PATIENCE, draws, until

FAULTS = {
    "none": {},
    "lose": {"missing": 1},
    "repeat": {"twice": 1},
    "make-up": {"made up": 1},
    "in-place": {"made up": 1, "missing": 1},
    "reorder": {"out of order": 1},
    "write-twice": {"written twice": 1},
    "not-write": {"not written": 1},
}


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path_factory, monkeypatch):
    """No process, no thread, no descriptor, no handler of a signal, no folder."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def there():
        children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
        descriptors = len(os.listdir("/proc/self/fd"))
        heard = [signal.getsignal(number) for number in (signal.SIGALRM, signal.SIGINT)]
        return children, threading.active_count(), descriptors, heard, list(folder.iterdir())

    before = there()
    yield
    assert there() == before


def total(judgement: Judgement) -> dict[str, int]:
    return {kind: count for kind, count in judgement.counts.items() if count}


@pytest.mark.parametrize("same", [False, True], ids=["new-process", "same-process"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_counted_once_and_at_its_stop(fault, same, tmp_path):
    for seed in range(draws(1, in_ci=2)):
        folder = tmp_path / str(seed)
        folder.mkdir()
        at = 1 + seed % 2
        judgement = judge(seen(folder, fault, at, 2, seed, same))
        assert total(judgement) == FAULTS[fault], (fault, seed)
        left = {path.name for path in folder.iterdir()}
        assert left == (set() if same else {"saved"}), "a process's folder goes with it"
        if fault != "none":
            assert judgement.verdict is Verdict.NOT_WHOLE
            assert judgement.broken == [at]
            assert f"at stop {at}: expected" in judgement.reason


@pytest.mark.parametrize("same", [False, True], ids=["new-process", "same-process"])
def test_a_guest_that_gets_no_time_is_not_fed_more_than_its_device_holds(same, tmp_path):
    """On a busy machine the VMM's own buffer held more than its FIFO, and was in no snapshot."""
    assert not total(judge(seen(tmp_path, "starve", 0, 2, 1, same)))


@pytest.mark.parametrize("seed", range(50))
def test_a_break_that_no_stop_made_is_not_laid_at_its_door(seed):
    """A line that loses bytes by itself cannot show what a stop does."""
    random, heard = Random(seed), undisturbed(3000)
    cut, gap = 1000, random.randrange(10, 900)
    early, late = (
        heard[:gap] + heard[gap + 2 :],
        heard[: cut + 100 + gap] + heard[cut + 102 + gap :],
    )
    for stream, where in ((early, "before the first stop"), (late, "between stop 1 and the next")):
        judgement = judge(Seen(GUESTS["reader"], False, stream, [cut]))
        assert judgement.verdict is Verdict.CANNOT_TELL and where in judgement.reason


def plan(fault, at=1, **more):
    adapter = fake(fault, at)
    return Plan(adapter, more.pop("binary", adapter.binary), GUESTS["reader"], **more)


def test_a_perfect_vmm_is_whole_when_enough_pauses_met_the_read(monkeypatch):
    monkeypatch.setattr(harness_module, "pending_at_pause", lambda _: Access(True, 0x3F8))
    result = conform(plan("none", same=True))
    assert result.judgement.verdict is Verdict.WHOLE
    assert result.judgement.seen.pending == list(range(1, result.judgement.seen.stops + 1))


def test_a_perfect_vmm_that_never_met_it_is_not_called_whole(monkeypatch):
    monkeypatch.setattr(harness_module, "pending_at_pause", lambda _: None)
    judgement = conform(plan("none", same=True, stops=3)).judgement
    assert judgement.verdict is Verdict.CANNOT_TELL
    assert "at none of 3 stops" in judgement.reason


def test_what_has_no_vcpu_is_told():
    judgement = conform(plan("none", same=True, stops=1)).judgement
    assert judgement.verdict is Verdict.CANNOT_TELL
    assert "has mapped a vCPU" in judgement.reason


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("die", "ended with status 1; its last words: fake: no room for this guest"),
        ("half", "s for its API's socket, and nothing came; it said nothing"),
        (
            "mute",
            "s for its guest's first word, and nothing came: is its serial port on stdin and"
            " stdout?; it said",
        ),
        ("hang", "s for pausing, and nothing came"),
        ("killed", "ended by signal 9"),
        ("refuse", "pausing failed: the fake says 'cannot pause now'; it said nothing"),
        (
            "stand",
            "after stop 1, and nothing came: is the load finished when started() and loaded()"
            " return? does resume() let it go?; it said",
        ),
    ],
)
def test_a_vmm_that_fails_is_one_sentence(fault, said, monkeypatch):
    if fault == "killed":
        monkeypatch.setattr(harness_module, "ENDING", PATIENCE)  # it has ended, but who knows when
    with pytest.raises(KvmExitError) as problem:
        conform(plan(fault))
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_binary_that_is_not_there(tmp_path):
    (tmp_path / "plain").touch()
    for binary, said in (
        ("no-such-vmm", "no such program on PATH; give its path with --binary"),
        ("/no/such/vmm", "there is no such file"),
        (f"{tmp_path}/plain", "this file is not executable"),
        (str(tmp_path), "this is a folder"),
    ):
        with pytest.raises(KvmExitError, match=f"^{binary}: {said}"):
            conform(plan("none", binary=binary))


def test_the_page_for_authors_says_what_holds():
    page = (Path(__file__).parents[2] / "book/reference/vmm-authors.md").read_text()
    mine = {name for name in vars(Adapter) if not name.startswith("_")}
    assert not {
        name for name in mine - {"folder"} if f"{name}(" not in page and f"{name}`" not in page
    }
    assert f"Each method has {SLACK * Process.limit:g} s" in page
    assert f"a wait of `connect()` {Process.limit:g} s" in page
    assert f"makes {FEW} stops" in page
    assert f"stands at {LOAD >> 20} MiB" in page and f"{NOWHERE & ~0xFFFF:#x}" in page


# -- the command ------------------------------------------------------------------------------


def adapter_file(folder, fault, at=1):
    """A file of a user's, which defines one adapter."""
    path = folder / "adapter.py"
    where = str(Path(__file__).parent)
    path.write_text(
        f"import sys\nsys.path.insert(0, {where!r})\nimport fakes\n"
        f"class Mine(fakes.Fake):\n    fault, at = {fault!r}, {at}\n"
    )
    return str(path)


def call(capsys, *words):
    status = main(["conform", *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_the_command_names_the_byte_and_writes_the_report(tmp_path, capsys):
    report, mine = tmp_path / "bug.md", adapter_file(tmp_path, "lose")
    words = ("--adapter", mine, "--same", "--stops", "2", "--seed", "5")
    status, out, _ = call(capsys, *words, "--report", str(report))
    assert status == 1
    assert out.startswith("not whole: a byte was missing at stop 1: expected 0x")
    assert "1 missing, 0 made up" in out
    text = report.read_text()
    assert "kvmexit conform --adapter FILE --binary" in text
    assert "--stops 2 --seed 5" in text and "| 1 |" in text
    status, out, _ = call(capsys, *words, "--json")
    said = validated(json.loads(out))
    assert (status, said["verdict"], said["broken"]) == (1, "not whole", [1])


def test_a_run_without_a_break_is_nothing_to_report(tmp_path, capsys):
    report, mine = tmp_path / "bug.md", adapter_file(tmp_path, "none")
    words = ("--adapter", mine, "--same", "--stops", "1", "--report", str(report))
    status, _, err = call(capsys, *words)
    assert (status, report.exists()) == (3, False)
    assert "nothing to report" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "one of the arguments vmm --adapter is required"),
        (("qemu", "--stops", "none"), "at least 1, not 'none'"),
        (("qemu", "--seconds", "0"), "more than 0, not '0'"),
        (("qemu", "--keep", "logs"), "nothing is recorded without --trace"),
        (("--adapter", "/no/such.py"), "/no/such.py: no such file"),
        (("qemu", "--binary", "/no/such/vmm"), "there is no such file"),
        (
            ("qemu", "--binary", "/bin/true", "--trace", "strace", "--keep", "/dev/null/logs"),
            "no log can be kept in /dev/null/logs: Not a directory; give another folder",
        ),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(words, said, capsys):
    status, out, err = call(capsys, *words)
    assert (status, out) == (2, "")
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "defines 0 subclasses"),
        (
            "raise ValueError('two\\nlines')",
            "cannot be run as an adapter: ValueError: two (bad.py, line 1)",
        ),
        ("while True: pass", "bad.py does not come to its end"),
        ("import nothing_of_that_name", "No module named"),
        ("from kvmexit.conform import Adapter\nclass A(Adapter): binary = 'sh'", "lacks"),
        (
            "from kvmexit.conform import Adapter\nclass A(Adapter): puase = 1",
            "pause (it has puase)",
        ),
    ],
)
def test_a_bad_adapter_is_one_sentence(text, said, tmp_path, capsys, monkeypatch):
    if "while" in text:
        monkeypatch.setattr(Process, "limit", 0.2)
    path = tmp_path / "bad.py"
    path.write_text(text)
    status, out, err = call(capsys, "--adapter", str(path))
    assert (status, out) == (2, "")
    assert said in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("method", "said"),
    [
        ("version(self)", "the adapter Mine cannot be made: ZeroDivisionError"),
        ("start(self)", "the adapter has no command: ZeroDivisionError: division by zero"),
        (
            "started(self)",
            "failed: ZeroDivisionError: division by zero (adapter.py, line 7); it said nothing",
        ),
        ("pause(self)", "pausing failed: ZeroDivisionError"),
        ("save(self, saved)", "saving failed: ZeroDivisionError"),
        ("loaded(self)", "loading failed: ZeroDivisionError"),
        ("close(self)", "not whole"),
    ],
)
def test_an_adapter_that_has_a_mistake(method, said, tmp_path, capsys):
    mine = adapter_file(tmp_path, "lose")
    with open(mine, "a") as file:
        file.write(f"    def {method}:\n        1 / 0\n")
    status, out, err = call(capsys, "--adapter", mine, "--stops", "1")
    assert status == (1 if said == "not whole" else 2)
    assert said in (out or err) and err.count("\n") == (status == 2)


WAITS = """\
    def {before}:
        super().{before_call}
        self.process.limit = 0.2
    def {method}:
        self.talk.close()
        while True:
            try:
                1 / 0
            except Exception:
                pass
"""


@pytest.mark.parametrize(
    ("before", "before_call", "method", "what"),
    [
        ("pause(self)", "pause()", "save(self, saved)", "saving failed: "),
        ("save(self, saved)", "save(saved)", "close(self)", ""),
    ],
)
def test_an_adapter_that_waits_for_ever(before, before_call, method, what, tmp_path, capsys):
    """Its loop passes errors over, too; what it had started is gone all the same."""
    mine, name = adapter_file(tmp_path, "none"), method.split("(")[0]
    with open(mine, "a") as file:
        file.write(WAITS.format(before=before, before_call=before_call, method=method))
    status, out, err = call(capsys, "--adapter", mine, "--stops", "1")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert f"{what}Mine.{name}() was given 0.3 s and did not return (adapter.py, line " in err


def test_ctrl_c_waits_until_what_was_started_is_known():
    known = False
    with pytest.raises(KeyboardInterrupt), ctrl_c_later():
        signal.raise_signal(signal.SIGINT)
        known = True
    assert known


def test_a_program_that_is_no_vmm(tmp_path, capsys):
    status, _, err = call(capsys, "qemu", "--binary", "/bin/false")
    assert status == 2
    assert "the VMM ended with status 1; it said nothing" in err


@pytest.mark.parametrize(("number", "status"), [(2, -2), (15, 143), (1, 129)])
def test_a_signal_ends_the_run_and_what_it_started(number, status, tmp_path):
    words = ("conform", "--adapter", adapter_file(tmp_path, "none"), "--same", "--stops", "9999")
    run = subprocess.Popen(
        [sys.executable, "-m", "kvmexit", *words],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    fakes = until(lambda: list(tmp_path.glob("kvmexit-*/*/api")) and children.read_text(), "a fake")
    run.send_signal(number)
    assert run.wait() == status
    assert not any(Path("/proc", pid).exists() for pid in fakes.split())
    assert not list(tmp_path.glob("kvmexit-*"))
