"""What every subcommand promises, whatever becomes of its output and its keyboard (README.md)."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kvmexit.commands import __doc__ as promised, subcommands
from patience import draws

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOG = ROOT / "book" / "logs" / "probe-bug-mmio.strace-kvm"
CALLS = {
    "atlas": "atlas --only DF=1",
    "conform": "conform --adapter {adapter} --same --stops 1",
    "doctor": "doctor",
    "elsewhere": "elsewhere arm64",
    "faults": "faults",
    "film": "film --length 3 --at-exit 2",
    "fuzz": "fuzz 3",
    "grade": "grade {folder}/answer.py --lab 1 --seed 1",
    "lab": "lab 4",
    "lint": "lint {log}",
    "probe": "probe --code ecf4",
    "race": "race --suspends 2",
    "record": "record {folder}/record.json --length 1 --device tis-2011",
    "run": "run --at-exit 13",
    "sweep": "sweep --length 2",
}
"""A small piece of work for each subcommand."""
REAL = ("fuzz", "race", "record")
CI = bool(os.environ.get("CI"))
"""Then an answer is graded; else a file that is none, which starts no process of its own."""
CONDITIONS = ("full", "unread", "narrow", "dumb", "ascii", "terminal")
STATUSES = {int(number) for number in re.findall(r"^(\d+) ", str(promised), re.MULTILINE)}
Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a command under a condition, in a fork of a process that has loaded all."""
    server = subprocess.Popen(
        [sys.executable, str(HERE / "promises.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def ask(words: list[str], condition: str, stop_at: int | None = None) -> dict[str, Any]:
        question = {"words": words, "condition": condition, "stop_at": stop_at}
        print(json.dumps(question), file=server.stdin, flush=True)
        return json.loads(server.stdout.readline())

    yield ask
    server.stdin.close()
    assert server.wait() == 0


@pytest.fixture(params=sorted(CALLS))
def words(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """A subcommand's small piece of work."""
    if request.param in REAL:
        request.getfixturevalue("kvm")
    adapter = tmp_path / "adapter.py"
    adapter.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'tests' / 'conform')!r})\nimport fakes\n"
        "class Mine(fakes.Fake):\n    pass\n"
    )
    (tmp_path / "answer.py").write_bytes(b"predict = None\n" if CI else b"\xff")
    places = {"adapter": adapter, "folder": tmp_path, "log": LOG}
    return [word.format(**places) for word in CALLS[request.param].split()]


def test_no_subcommand_is_left_out():
    assert set(CALLS) == {module.__name__.rpartition(".")[2] for module in subcommands()}


def test_the_front_page_says_each_status():
    said = (ROOT / "README.md").read_text().partition("| status |")[2].partition("\n\n")[0]
    assert {int(number) for number in re.findall(r"^\| (\d+) ", said, re.MULTILINE)} == STATUSES


def hold(words: list[str], condition: str, told: dict[str, Any]) -> None:
    """What was printed, and the status, are as promised."""
    context = f"{words}, {condition}: {told['status']}\n{told['err']}\n{told['out'][-500:]}"
    assert "Traceback" not in told["err"] + told["out"], context
    if condition == "full":
        assert told["status"] == 2, context
        assert told["err"].startswith("kvmexit: standard output cannot be written: No space"), told
        assert told["err"].count("\n") == 1, context
    elif condition == "unread":
        assert told["status"] == -signal.SIGPIPE, context
        assert told["err"] == "", context
    else:
        assert told["status"] in STATUSES, context
        assert told["out"], context
    if condition == "narrow":
        long = [line for line in told["out"].split("\n") if len(line) > 40]
        assert not long, context
    if condition == "dumb":
        assert "\x1b" not in told["out"], context
        assert "\r" not in told["out"], context
    if condition == "ascii":
        assert told["out"].isascii(), context


def test_each_ends_as_promised_whatever_becomes_of_its_output(run, words):
    """A full disk, a reader who leaves, 40 columns, a terminal that can do nothing, or all, and
    one that has no letters but ASCII; the work once for each, and the help."""
    for condition in CONDITIONS:
        hold(words, condition, run(words, condition))
        if condition in ("full", "unread", "narrow"):
            hold(words, condition, run([words[0], "--help"], condition))


STOPPED = r"(kvmexit: (stopped by Ctrl-C|interrupted: \d+ of \d+ are graded, .+)\n)?"
"""What is said then: one line, and of a batch how far it is."""


def test_ctrl_c_at_any_time_ends_it_quietly(run, words):
    """At the start, in the middle and at the end of all its calls; in CI at more of them. The first
    call is that of the command itself."""
    last = int(run(words, "counted")["err"].split()[-1])
    moments = draws(3, in_ci=12)
    for moment in range(moments):
        at, ended = max(2, last * moment // (moments - 1)), False
        while not ended:
            told = run(words, "plain", at)
            assert told["status"] in (-signal.SIGINT, *STATUSES), told
            assert re.fullmatch(STOPPED, told["err"]), (words, moment, told)
            # Who waits makes calls meanwhile, in one run more of them than in another: late is
            # perhaps too late, and anywhere else an earlier call is taken.
            ended = told["status"] == -signal.SIGINT or 4 * moment >= 3 * (moments - 1)
            assert ended or at > 2, told
            at = max(2, at // 2)


def test_words_that_are_no_command_and_none_at_all(run):
    for word in ("--help", "--version"):
        for condition in CONDITIONS:
            hold([word], condition, run([word], condition))


COMMANDS = draws(1, in_ci=len(CALLS))


@pytest.mark.parametrize("name", [*CALLS][:COMMANDS])
def test_a_locale_that_knows_no_letters(name):
    """As `hold` does, but in a process whose Python was started so."""
    environment = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environment["PYTHONPATH"] = str(ROOT / "lib")  # without site, which may not spell this folder
    command = [sys.executable, "-S", "-m", "kvmexit", name, "--help"]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.isascii()


def test_closed_streams():
    """`>&-` is a status of its own and one line; `2>&-` costs that line and nothing else."""

    def closed(stream: str) -> "subprocess.CompletedProcess[str]":
        command = ["sh", "-c", f'"$0" -m kvmexit lab 1 {stream}', sys.executable]
        return subprocess.run(command, capture_output=True, text=True)

    done = closed(">&-")
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    done = closed("2>&-")
    assert done.returncode == 0 and done.stdout


def test_a_person_needs_nothing_but_the_library(tmp_path):
    """Tables, too, come from the standard library: without what the extras bring, all is there."""
    damaged = tmp_path / "ann-2-stop.py"
    damaged.write_bytes(b"\xff")
    outside = "import sys; sys.meta_path.insert(0, type('No', (), {'find_spec': staticmethod(no)}))"
    code = (
        "import sys\n"
        "def no(name, *_):\n"
        "    top = name.partition('.')[0]\n"
        "    if top not in sys.stdlib_module_names and top != 'kvmexit':\n"
        "        raise ModuleNotFoundError(name)\n"
        f"{outside}\n"
        "from kvmexit.commands import main, subcommands\n"
        "subcommands()\n"
        "assert main(['run', '--at-exit', '13']) == 1\n"
        f"assert main(['lint', {str(LOG)!r}]) == 1\n"
        f"assert main(['grade', {str(damaged)!r}]) == 0\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "lib")},
    )
    assert done.returncode == 0, done.stderr
