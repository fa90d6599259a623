"""Answers of a shape that nobody asked for: a sentence and no more, and the same one by the folder,
by nbgrader and in the student's own notebook."""

import json
from pathlib import Path

import pytest
from answers import WRONG
from every_answer import BOOK, solutions
from kvmexit.lab import catalogue, check, players, real, starting
from kvmexit.lab.cells import script
from kvmexit.lab.grade import grade, verdict_on
from kvmexit.lab.notebook import Checked, limits
from kvmexit.lab.starting import Answers, spawn
from kvmexit.lab.submission import submissions
from nbgrader_course import by_nbgrader
from patience import SEED, draws
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
WORD = "must return one of fine, repeated, stale, lost, not "
SHAPES = {
    "a list": ("return ['fine']", f"{WORD}['fine']"),
    "a dict": ("return {'fine': 1}", f"{WORD}{{'fine': 1}}"),
    "a set": ("return {'fine'}", f"{WORD}{{'fine'}}"),
    "a tuple": ("return ('fine',)", f"{WORD}('fine',)"),
    "a tuple of lists": ("return (['fine'], [])", f"{WORD}(['fine'], [])"),
    "a list of lists": ("return [['fine']]", f"{WORD}[['fine']]"),
    "a dict of lists": ("return {'said': ['fine']}", f"{WORD}{{'said': ['fine']}}"),
    "a word in bytes": ("return b'fine'", f"{WORD}b'fine'"),
    "a word that begins so": ("return 'fine '", f"{WORD}'fine '"),
    "a number": ("return 1", f"{WORD}1"),
    "nothing": ("pass", f"{WORD}None"),
    "no number": ("return float('nan')", f"{WORD}nan"),
    "a function": ("return predict_on", "a value of type function cannot be handed over"),
    "a class of one's own": (
        "class Said(str): pass\n    return Said('so')",
        f"{WORD}'so'",
    ),
    "an exception": ("return ValueError('no')", "a value of type ValueError cannot be handed over"),
    "an error": ("return {['fine']: 1}", "raised TypeError (unhashable type: 'list')"),
    "a generator": ("yield 'fine'", "without yield and without async"),
}
"""What the body of `predict_on` says, and the reason."""


def in_a_notebook(code: str) -> dict:
    """The names that ``code`` defines, as a kernel would know them."""
    names = {"__name__": "__main__"}
    exec(compile(code, "/tmp/ipykernel_1/2.py", "exec"), names)
    return names


@pytest.mark.parametrize("shape", SHAPES)
def test_a_value_of_any_shape_has_one_sentence_everywhere(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a browser too, where there is no other process."""
    body, words = SHAPES[shape]
    code = f"def predict_on(moment):\n    {body}\n"
    verdict = verdict_on(catalogue.question("6.1"), Answers(script(code)), SEED)
    assert verdict.points == 0 and words in verdict.reason, verdict.reason
    said = repr(Checked(verdict))
    assert repr(check("6.1", in_a_notebook(code)["predict_on"], seed=SEED)) == said
    monkeypatch.setattr(starting, "CAN_FORK", False)
    assert repr(check("6.1", in_a_notebook(code)["predict_on"], seed=SEED)) == said
    assert by_nbgrader("6.1", [code], SEED) == f"{said}\ngraded with seed {SEED}\n"


NO_FUNCTION = {
    ("2.1", "stop = None"): "stop is no function and no class, but a value of type NoneType",
    ("2.1", "stop = 'drain'"): "stop is no function and no class, but a value of type str",
    ("3.2", "Device = 3"): "Device is no function and no class, but a value of type int",
    ("3.2", "Device = b''"): "Device is no function and no class, but a value of type bytes",
    ("2.1", "def Stop(vcpu, bus): pass"): "is Stop meant? The name is stop",
    ("2.1", "def stop_(vcpu, bus): pass"): "is stop_ meant? The name is stop",
    ("3.2", "class device: pass"): "is device meant? The name is Device",
    ("3.1", "def twin(offset, pops): pass"): "is twin meant? The name is twins",
    ("6.1", "class predict_on: pass"): "raised TypeError (predict_on() takes no arguments)",
    (
        "6.1",
        "def predict_on(): pass",
    ): "raised TypeError (predict_on() takes 0 positional arguments",
    ("3.2", "async def Device(response): pass"): "without yield and without async",
    ("3.2", "def Device(response): yield 1"): "without yield and without async",
    ("3.2", "Device = lambda response: 5"): "'int' object has no attribute 'save'",
}


@pytest.mark.parametrize(("number", "code"), NO_FUNCTION)
def test_what_is_no_answer_is_called_by_its_name(number: str, code: str) -> None:
    verdict = verdict_on(catalogue.question(number), Answers(script(code)), SEED)
    assert verdict.points == 0 and NO_FUNCTION[number, code] in verdict.reason, verdict.reason


@pytest.mark.parametrize("machine", ["this one", "one without KVM"])
def test_a_fixed_number_of_entries_is_not_enough_in_the_last_lab_either(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a recording, too, where an answer may do what nobody has recorded: it is told what is
    wrong with the answer, and not what is missing in the recording."""
    if machine != "this one":
        monkeypatch.setattr(real, "has_kvm", lambda: False)
    for name in ("2 entries", "save at once", "serves twice", "16 entries")[: draws(2, in_ci=4)]:
        verdict = verdict_on(catalogue.question("5.1"), Answers(script(WRONG[name])), SEED)
        assert not verdict.is_full and verdict.landing, name
        assert "recording" not in verdict.reason, (name, verdict.reason)


FUTURE = ("from __future__ import annotations", "def predict(moment: Nobody) -> Knows: return 'ok'")
SCRIPT = """#!/usr/bin/env python3
from pathlib import Path
HERE = Path(__file__).parent
get_ipython().run_cell_magic('time', '', '\\ndef first(): return 1\\n')
get_ipython().run_line_magic('time', 'second = lambda: 2')
get_ipython().run_cell_magic('bash', '', 'def none(): rm')
get_ipython().run_line_magic('timeit', 'first()'); third = lambda: 3
"""


def test_what_a_cell_leaves_behind_for_the_next() -> None:
    """A promise of `__future__` holds in later cells, and what a script exported of a notebook has
    in the quotes of a magic is its Python."""
    with spawn([*FUTURE, *script(SCRIPT)]) as player:
        assert not player.problems
        assert {"predict", "first", "second", "third"} <= set(player.names)
        assert "none" not in player.names
        assert [player.call(name) for name in ("first", "second", "third")] == [1, 2, 3]


def test_a_cell_that_computes_too_long_costs_nothing_but_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(players, "CELL_CPU", 0.2)
    exploring = ["n = 0\nwhile True: n += 1", "def predict_on(moment): return 'late'"]
    answers = Answers([*exploring, "def predict_on(moment): return []"])
    verdict = verdict_on(catalogue.question("6.1"), answers, SEED)
    assert f"{WORD}[]" in verdict.reason
    assert "the cell that begins with `n = 0` took too long, and is left out" in verdict.reason


BURN = """
import time
def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
"""
SLOWLY = "right = predict_on\ndef predict_on(moment):\n    {}\n    return right(moment)"
LIMITED = {
    "a call computes": ("CALL_CPU", "while True: pass", "used up its 0 s of CPU time"),
    "a call waits": ("CALL_SECONDS", "time.sleep(9**9)", "did not return within 0 s"),
    "all calls compute": ("PLAY_CPU", "burn(0.06)", "used up its 0 s of CPU time"),
    "all calls wait": ("PLAY_SECONDS", "time.sleep(0.06)", "did not return within 0 s"),
    "all processes": ("QUESTION_SECONDS", "burn(0.06)", "more than 0 s in all its proc"),
}


@pytest.mark.parametrize("what", LIMITED)
def test_each_limit_has_its_sentence(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With each made small, and the others as they are: an answer that is right, but slow."""
    name, body, words = LIMITED[what]
    monkeypatch.setattr(players, name, 0.2)
    answers = Answers([BURN, *solutions(6)["6-1-answer"], SLOWLY.format(body)])
    verdict = verdict_on(catalogue.question("6.1"), answers, SEED)
    assert verdict.points == 0 and words in verdict.reason, verdict.reason


def test_one_call_asks_for_so_much_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(players, "MOST_ACTS", 50)
    answers = Answers(["def stop(vcpu, bus):\n    while True: vcpu.kvm_run.immediate_exit"])
    verdict = verdict_on(catalogue.question("2.1"), answers, SEED)
    assert "asked for 50 things in one call: for ever?" in verdict.reason, verdict.reason


def test_all_cells_together_have_a_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no time left is left out, and named; the answer before it is heard."""
    monkeypatch.setattr(starting, "LOAD_SECONDS", 0.5)
    answers = Answers([BURN, "def predict_on(moment): return []", *["burn(0.2)"] * 4])
    verdict = verdict_on(catalogue.question("6.1"), answers, SEED)
    assert f"{WORD}[]" in verdict.reason
    assert "the cell that begins with `burn(0.2)` took too long" in verdict.reason


def test_every_lab_says_where_its_limits_are() -> None:
    for path in sorted(BOOK.glob("*.ipynb")):
        text = " ".join(" ".join(cell["source"]) for cell in json.loads(path.read_text())["cells"])
        assert "limited: [How the labs are checked](../reference/checking.ipynb)" in " ".join(
            text.split()
        ), path
    assert limits().rows()["one cell, computing or waiting"] == f"{players.CELL_CPU:.0f} s"


def test_the_course_that_a_lecturer_copies_names_no_seed() -> None:
    """So each term draws its own: one that stands in a public file is a table of answers."""
    config = Config()
    code = (HERE / "nbgrader_config.py").read_text()
    exec(code, {"get_config": lambda: config})
    assert "Referee" not in config


def a_cell(source: str, name: str) -> dict:
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"nbgrader": {"grade_id": name, "solution": True, "grade": False}},
    }


SPLIT = "def predict_on(moment):\n    said = 'fine'", "    if moment.served:\n        return said"
CELLS = {
    "an older copy below": (
        [a_cell("def predict_on(moment): return 1", "6-1-answer")] * 2,
        ["the cell 6-1-answer is there twice"],
        f"{WORD}1",
    ),
    "split in two": (
        [a_cell(half, "6-1-answer") for half in SPLIT],
        ["the cell 6-1-answer is there twice"],
        "(a cell raised SyntaxError ('return' outside function) in line 2)",
    ),
    "three times": (
        [a_cell("def predict_on(moment): return 1", "6-1-answer")] * 3,
        ["the cell 6-1-answer is there 3 times"],
        f"{WORD}1",
    ),
    "gone": (
        [a_cell("def predict_on(moment): return 1", "another")],
        ["the cell 6-1-answer or its metadata is missing"],
        f"{WORD}1",
    ),
}


@pytest.mark.parametrize("how", CELLS)
def test_a_cell_that_is_there_twice_or_not_at_all_is_named(tmp_path: Path, how: str) -> None:
    cells, notes, words = CELLS[how]
    points = a_cell('mark("6.1", globals(), 1)', "6-1-points")
    points["metadata"]["nbgrader"].update(grade=True, solution=False)
    (tmp_path / "ann-6-machines.ipynb").write_text(json.dumps({"cells": [*cells, points]}))
    (graded,) = grade(submissions(tmp_path), SEED)
    assert list(graded.submission.notes) == notes
    assert words in graded.verdicts[0].reason
