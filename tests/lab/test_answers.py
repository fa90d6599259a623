"""Right in unusual ways, wrong in subtle ones: by the grader, and by a notebook's check."""

import os
import sys
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
from answers import DEVICES_RIGHT, DEVICES_WRONG, EINTR, RIGHT, STOP, WRONG
from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR as IS_EINTR
from kvmexit.lab import catalogue, players, seeds
from kvmexit.lab.cells import plain, script
from kvmexit.lab.grade import verdict_on
from kvmexit.lab.landings import Desk, first_failure
from kvmexit.lab.notebook import Checked, judged
from kvmexit.lab.questions import Verdict
from kvmexit.lab.starting import Answers
from kvmexit.lab.stop import scenario_of
from kvmexit.lab.students import owner
from nbformat.v4 import new_code_cell, new_notebook
from patience import draws
from traitlets.config import Config

SEED = seeds.drawn()
"""Nobody knows it, and a failure names it."""


RUN = int(os.environ.get("PYTEST_XDIST_TESTRUNUID", "0"), 16)
"""The same in all processes of a run of the tests, which must agree on what there is to test."""


def some(answers: dict[str, str], usual: int) -> list[str]:
    """A few from all over the list, others in each run; with CI all of them."""
    step = len(answers) // draws(usual, in_ci=len(answers)) or 1
    return list(islice(answers, RUN % step, None, step))


def graded(code: str, number: str = "2.1", seed: int = SEED) -> Verdict:
    return verdict_on(catalogue.question(number), Answers(script(code)), seed)


def test_there_are_thirty_of_each() -> None:
    assert len(RIGHT) >= 30 and len(WRONG) >= 30


@pytest.mark.parametrize("name", some(RIGHT, 3))
def test_right(name: str) -> None:
    verdict = graded(RIGHT[name])
    assert verdict.is_full, (SEED, verdict.reason)


@pytest.mark.parametrize("name", some(WRONG, 3))
def test_wrong(name: str) -> None:
    verdict = graded(WRONG[name])
    assert not verdict.is_full, SEED
    assert "landing at exit" in verdict.reason


@pytest.mark.parametrize("name", some(DEVICES_RIGHT | DEVICES_WRONG, 1))
def test_device(name: str) -> None:
    verdict = graded((DEVICES_RIGHT | DEVICES_WRONG)[name], "3.2")
    if name in DEVICES_RIGHT:
        assert verdict.is_full, (SEED, verdict.reason)
    else:
        assert not verdict.is_full and "restored in another process" in verdict.reason, SEED


SAME = {
    "right": STOP,
    "wrong": WRONG["3 entries"],
    "blank": "def stop(vcpu, bus): raise NotImplementedError",
    "nearly blank": "class NotImplementedErrorX(Exception): pass\n"
    "def stop(vcpu, bus): raise NotImplementedErrorX",
    "numpy": f"import numpy as np\ndef stop(vcpu, bus):\n    np.array(3)\n{STOP}",
    "numpy is used": f"import numpy as np\n{STOP}    np.array(3)",
    "a number of the library": f"from kvmexit.kernel.abi import KVM_EXIT_MMIO\n{STOP}"
    "    KVM_EXIT_MMIO + 1",
    "a magic's value": f"files = !ls\n# %%\n{STOP}    files[0]",
    "a generator": f"{EINTR}def stop(vcpu, bus):\n    yield vcpu.run()",
    "async": f"{EINTR}async def stop(vcpu, bus):\n    vcpu.run()",
    "None": "stop = None",
    "wrong case": STOP.replace("def stop", "def Stop"),
    "split cell": f"{EINTR}# %%\ndef stop(vcpu, bus):\n    pass\n# %%\n    vcpu.run()\n  x\n",
    "loops": "def stop(vcpu, bus):\n    while True: pass",
    "closes its pipes and sleeps": "import os, sys, time\ndef stop(vcpu, bus):\n"
    "    os.closerange(3, 64)\n    time.sleep(10**6)",
    "sleeps at each landing": "import time\ndef stop(vcpu, bus): time.sleep(0.3)",
    "code without end": f"{STOP}\n# " + "x" * (1 << 20),
    "forged": "def stop(vcpu, bus): vcpu._ask.__self__.send('ask', [], {}, [[]])",
}
"""Answers to 2.1 for which once the cell, the folder and nbgrader had different sentences."""


class Notebook:
    """A live notebook that has run the cells of a Python file: the check finds it, as it finds
    IPython's."""

    def __init__(self, code: str) -> None:
        self.user_ns: dict = {"__name__": "__main__", "__said_by_a_magic__": str}
        cells = script(code)
        self.history_manager = SimpleNamespace(input_hist_raw=["", *cells])
        for cell in cells:
            with suppress(BaseException):
                exec(plain(cell), self.user_ns)

    def said(self, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: self))
        return repr(judged("2.1", self.user_ns, SEED))


def by_nbgrader(code: str, seed: int | None = SEED) -> str:
    """What its points cell says, and with which seed."""
    from kvmexit.lab.nbgrader import Referee

    cells = [new_code_cell(source) for source in script(code)]
    points = {"grade": True, "grade_id": "2-1-points", "locked": True, "solution": False}
    cells.append(new_code_cell('mark("2.1", globals(), seed=1)', metadata={"nbgrader": points}))
    config = Config()
    config.Referee.seed = seed
    notebook, _ = Referee(config=config).preprocess(new_notebook(cells=cells), {})
    return notebook.cells[-1].outputs[0].text


@pytest.mark.parametrize("name", some(SAME, 3))
def test_the_sentence_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(players, "PLAY_SECONDS", 1.0)
    checked = Checked(graded(SAME[name]))
    assert Notebook(SAME[name]).said(monkeypatch) == repr(checked), SEED
    said, _, seed = by_nbgrader(SAME[name]).rpartition("\ngraded with seed ")
    assert said == repr(checked) and int(seed) == SEED


def test_a_term_has_a_seed_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn when first needed, kept where the course is, read by nobody else."""
    monkeypatch.chdir(tmp_path)
    first, again = (by_nbgrader(SAME["blank"], None).split()[-1] for _ in range(2))
    kept = tmp_path / seeds.FILE
    assert first == again == kept.read_text().strip()
    assert kept.stat().st_mode & 0o077 == 0
    kept.write_text("none")
    with pytest.raises(KvmExitError, match="delete it"):
        seeds.of_term(tmp_path)


EXPECTED = {
    "nearly blank": "raised NotImplementedErrorX",
    "numpy is used": "uses numpy: it is not there when answers are graded",
    "a number of the library": "uses kvmexit.kernel.abi.KVM_EXIT_MMIO: the answer must be your own",
    "a magic's value": "magics and commands are not run when answers are graded",
    "a generator": "without yield",
    "async": "without async",
    "None": "stop is no function and no class, but a value of type NoneType",
    "wrong case": "is Stop meant?",
    "split cell": "raised IndentationError",
    "closes its pipes and sleeps": "closed its pipe to the referee",
    "code without end": "more than 1 MiB of code",
    "forged": "",
}


@pytest.mark.parametrize("name", some(EXPECTED, 3))
def test_a_sentence_that_helps(name: str) -> None:
    verdict = graded(SAME[name])
    assert EXPECTED[name] in verdict.reason and verdict.points == 0


def test_time_is_limited_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only each call: an answer that sleeps a little at each of hundreds of landings."""
    monkeypatch.setattr(players, "PLAY_SECONDS", 0.4)
    assert "did not return within 0 s" in graded(SAME["sleeps at each landing"]).reason


TYPES = {said: said for said in ("[]", "{}", "([],)", "None", "object()", "{1: {}}")}


@pytest.mark.parametrize("said", some(TYPES, 1))
def test_a_value_of_any_type_is_a_sentence(said: str) -> None:
    for number, name in (("6.1", "predict_on(x)"), ("1.1", "predict(x)"), ("4.1", "classify(x)")):
        verdict = graded(f"def {name}: return {said}", number)
        assert not verdict.is_full and verdict.reason


def test_whose_file_it_is() -> None:
    names = {
        "ann-2-stop": "ann", "dan-2-stop (1)": "dan", "eve-2-stop-Copy1": "eve",
        "Copy of 2-stop (cy)": "cy", "muelleranna_LATE_12345_67890_2-stop-1": "muelleranna",
        "Ann Smith_12345_assignsubmission_file_2-stop": "Ann Smith",
        "lab2_asmith_attempt_2026-01-01-12-00-00_2-stop": "asmith", "group 3": "group 3",
    }  # fmt: skip
    assert {stem: owner(stem).name for stem in names} == names
    assert owner("Smith, Ann(asmith)", is_folder=True).number == "asmith"
    assert owner("Ann  SMITH").key == owner("ann smith").key


@pytest.mark.parametrize(
    ("source", "python"),
    [
        ("stop?", "pass"),
        ("x = (5\n%3)\n!ls", "x = (5\n%3)\npass"),
        ("a = '''\n%foo\n'''\n%bar", "a = '''\n%foo\n'''\npass"),
        ("if True:\n    %config X", "if True:\n    pass"),
        ("%time x = f(3)", "x = f(3)"),
        ("!ls \\\n -l\ny=2", "pass\n\ny=2"),
        ("%%timeit\ndef stop(): 1", ""),
        ("x = 1 %\\\n  2", "x = 1 %\\\n  2"),
    ],
)
def test_a_line_that_python_accepts_is_never_blanked(source: str, python: str) -> None:
    assert plain(source) == python


def test_no_count_of_entries_passes_a_comparison_of_device_with_device() -> None:
    """Without a student's process: the machine alone."""
    for entries in range(1, 17, 1 if draws(0, in_ci=1) else 5):
        for spared in (0, 1):

            def stop(desk: Desk, entries: int = entries, spared: int = spared) -> None:
                desk.vcpu.kvm_run.immediate_exit = 1
                for n in range(entries):
                    if desk.vcpu.run() is IS_EINTR:
                        break
                    if n < entries - spared:
                        desk.bus.serve(desk.vcpu.kvm_run)
                desk.vcpu.kvm_run.immediate_exit = 0

            assert first_failure(scenario_of(SEED, "verify"), stop) is not None, (SEED, entries)
