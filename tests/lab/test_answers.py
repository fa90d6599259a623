"""Right in unusual ways, wrong in subtle ones: by the grader, and by a notebook's check."""

import json
import os
from pathlib import Path

import pytest
from answers import RIGHT, WRONG
from every_answer import HOSTILE
from kvmexit.commands import main
from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR as IS_EINTR
from kvmexit.lab import catalogue, players, seeds
from kvmexit.lab.cells import plain, script
from kvmexit.lab.grade import verdict_on
from kvmexit.lab.landings import Desk, first_failure
from kvmexit.lab.log import RARE, THEMES, tried
from kvmexit.lab.questions import Verdict
from kvmexit.lab.starting import Answers
from kvmexit.lab.stop import scenario_of
from more_answers import DEVICES_LATER, LATER, OTHERS_LATER, RIGHT_TOO, WRONG_TOO
from nbgrader_course import by_nbgrader
from patience import SEED, draws, some
from wrong_answers import FOLDER


def graded(code: str, number: str = "2.1", seed: int = SEED) -> Verdict:
    return verdict_on(catalogue.question(number), Answers(script(code)), seed)


def test_there_are_thirty_of_each() -> None:
    assert len(RIGHT) >= 30 and len(WRONG) >= 30
    assert len(RIGHT_TOO) >= 10 and len(WRONG_TOO) >= 10


def test_memory_that_was_saved_first_is_what_the_new_machine_gets() -> None:
    """A rest that is known from other landings is joined by what was saved, not by what the old
    machine has: at each seed it fails."""
    code = (FOLDER / "2_saves_memory_first.py").read_text()
    right = code.replace("    ram = memory.save()\n", "").replace(" ram,", " memory.save(),")
    for seed in range(SEED, SEED + draws(3, in_ci=12)):
        assert graded(right, "2.2", seed).is_full, seed
        verdict = graded(code, "2.2", seed)
        assert not verdict.is_full and "landing at exit" in verdict.reason, seed


def test_a_table_of_another_seeds_answers_is_no_answer() -> None:
    """What a former term was graded with, or this repository's own tests, is worth nothing."""
    known = {log.lines: log.bad for theme in THEMES for log in tried(theme, SEED + 1)}
    code = f"known = {known!r}\ndef classify(lines): return known.get(tuple(lines))"
    assert graded(code, "4.1", SEED + 1).is_full, SEED
    assert graded(code, "4.1").points == 0, SEED


def test_a_term_has_a_seed_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn when first needed, kept where the course is, read by nobody else."""
    monkeypatch.chdir(tmp_path)
    first, again = (
        by_nbgrader("2.1", script(HOSTILE["blank"]), None).split()[-1] for _ in range(2)
    )
    kept = tmp_path / seeds.FILE
    assert first == again == kept.read_text().strip()
    assert kept.stat().st_mode & 0o077 == 0
    kept.write_text("none")
    with pytest.raises(KvmExitError, match="delete it"):
        seeds.of_term(tmp_path)


def test_time_is_limited_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only each call: an answer that sleeps a little at each of hundreds of landings."""
    monkeypatch.setattr(players, "PLAY_SECONDS", 0.4)
    assert "did not return within 0 s" in graded(HOSTILE["sleeps at each landing"]).reason


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


ONCE_MISJUDGED = {
    **{name: ("2.1", code, True) for name, code in LATER.items()},
    **{name: ("3.2", code, True) for name, code in DEVICES_LATER.items()},
    **{name: (*answer, False) for name, answer in OTHERS_LATER.items()},
}


@pytest.mark.parametrize("name", some(ONCE_MISJUDGED, 3))
def test_once_misjudged(name: str) -> None:
    number, code, is_right = ONCE_MISJUDGED[name]
    verdict = graded(code, number)
    assert verdict.is_full == is_right, (SEED, verdict.reason)


def test_marks_of_cells_inside_of_a_text_are_text() -> None:
    assert script('x = """\n# %%\n%%time\n"""\n# %%\ny = 1') == [
        'x = """\n# %%\n%%time\n"""\n',
        "# %%\ny = 1",
    ]


def test_every_log_that_is_rare_is_tried_with_every_seed() -> None:
    for seed in range(SEED, SEED + draws(2, in_ci=20)):
        for is_rare in RARE["any order"]:
            assert any(map(is_rare, tried("any order", seed))), seed


def test_nothing_in_a_folder_stops_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each gets its sentence, and names that no terminal or table takes are shown all the same."""
    folder, sheet = tmp_path / "in", tmp_path / "marks.csv"
    deep = folder / "deep"
    deep.joinpath(*"d" * 60).mkdir(parents=True)
    right = "def predict_on(moment): return 'fine'\n"
    (folder / os.fsdecode(b"\xff\x1b-lab6.py")).write_text(right)
    (folder / "loop-lab6.py").symlink_to("loop-lab6.py")
    (folder / ".hidden").symlink_to(".hidden")
    (folder / "large-lab6.py").write_text("x = 1\n" * (1 << 20))
    for name in ("punycode", "rot13", "undefined"):
        (folder / f"{name}-lab6.py").write_text(f"# coding: {name}\n-" + "a9" * 100_000)
    (folder / "nested.py").write_text(f"if True:\n    {right}")
    (folder / "named.py").write_text("predict_on: object = lambda moment: 'fine'\n")
    hangs = [{"cell_type": "code", "source": "'\x1b\ud800'\nimport os; os._exit(1)"}]
    answer = {"cell_type": "raw", "source": right} | {
        "metadata": {"nbgrader": {"grade_id": "6-1-answer", "grade": True, "solution": False}}
    }
    (folder / "raw-lab6.ipynb").write_text(json.dumps({"cells": [answer, *hangs]}))
    (folder / "number-lab6.ipynb").write_text(f'{{"cells": [], "x": {"9" * 5000}}}')
    assert main(["grade", str(folder), "--seed", "1", "--csv", str(sheet), "--json"]) == 0
    said = {
        one["student"]: one["problem"] or one["questions"][0]["reason"].split("\n")[0]
        for one in json.loads(capsys.readouterr().out)["submissions"]
    }
    fails = "mmio read: mmio read"
    for student, words in {
        "deep": "nothing is read more than 32 folders deep",
        "??": fails, "nested": fails, "named": fails, "raw": fails,
        "loop": "is no regular file",
        "large": "more than 1 MiB of code",
        "punycode": "names no other", "rot13": "names no other", "undefined": "names no other",
        "number": "too many digits",
    }.items():  # fmt: skip
        assert words in said.pop(student)
    assert not said
    assert "\x1b" not in sheet.read_text()
