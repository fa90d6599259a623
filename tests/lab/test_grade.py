"""`kvmexit grade`: reference solutions, wrong answers, and whatever else is handed in."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from batch import HOSTILE as BATCH_HOSTILE, make_batch
from kvmexit import __version__
from kvmexit.commands import main
from kvmexit.lab import catalogue, journal, players
from kvmexit.lab.grade import Graded, Running, grade, most_seconds
from kvmexit.lab.report import statistics
from kvmexit.lab.submission import Submission, submissions
from patience import draws, some, until
from wrong_answers import EXPECTED, FOLDER

HERE = Path(__file__).resolve().parent
BOOK = HERE.parents[1] / "book" / "labs"
SEED = 2026
ANSWERS = {"6-machines": (6, "def predict_on"), "2-stop": (2, "def stop")}
"""Notebooks with solutions: the lab, and how its first answer begins. The first takes no time."""
SOLVED = [*ANSWERS][: draws(1, in_ci=2)]


@pytest.fixture(scope="module")
def wrong() -> dict[str, Graded]:
    """Every wrong answer, graded as one batch. One that loops may do so for less long than a
    student's, without CI."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(players, "CALL_CPU", min(players.CALL_CPU, draws(1, in_ci=99)))
        return {graded.submission.student: graded for graded in grade(submissions(FOLDER), SEED)}


def test_every_wrong_answer_is_expected() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_wrong_answer(wrong: dict[str, Graded], name: str) -> None:
    number, points, words = EXPECTED[name]
    if number == "5.1" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        words = words.replace("real kernel", "recorded kernel")
    (verdict,) = [v for v in wrong[name].verdicts if v.question == number]
    assert verdict.points == points or points is None and not verdict.is_full, verdict.reason
    assert words in verdict.reason
    others = [v for v in wrong[name].verdicts if v.question != number]
    assert all(v.points == 0 and "is missing" in v.reason for v in others)


@pytest.mark.parametrize("seed", [SEED, 7][: draws(1, in_ci=2)])
def test_reference_solutions_get_full_marks(seed: int) -> None:
    results = grade(submissions(HERE / "source"), seed)
    assert {r.submission.lab for r in results} == set(catalogue.TITLES)
    for graded in results:
        assert graded.points == graded.out_of, graded.verdicts


def test_the_untouched_release_gets_nothing() -> None:
    results = grade(submissions(BOOK), SEED)
    assert {r.submission.lab for r in results} == set(catalogue.TITLES)
    for graded in results:
        assert graded.points == 0
        assert {v.reason for v in graded.verdicts} == {"not answered yet"}
        assert not graded.submission.notes
    for row in statistics(results):
        assert (row.handed_in, row.answered, row.blank, row.zero) == (1, 0, 1, 0)
        assert not row.failed


def solved(name: str) -> dict:
    return json.loads((HERE / "source" / name / f"{name}.ipynb").read_text())


def full(name: str) -> int:
    return sum(question.out_of for question in catalogue.questions(ANSWERS[name][0]))


@pytest.mark.parametrize("name", SOLVED)
def test_without_any_metadata_it_is_graded_on_what_is_there(tmp_path: Path, name: str) -> None:
    notebook = solved(name)
    for cell in notebook["cells"]:
        cell["metadata"] = {}
    (tmp_path / "ann.ipynb").write_text(json.dumps(notebook))
    (graded,) = grade(submissions(tmp_path), SEED)
    assert graded.points == graded.out_of == full(name)
    assert (
        f"the cell {ANSWERS[name][0]}-1-answer or its metadata is missing"
        in graded.submission.notes
    )


def test_a_deleted_answer_costs_its_own_points_only(tmp_path: Path) -> None:
    notebook = solved("2-stop")
    kept = [c for c in notebook["cells"] if "def suspend" not in "".join(c["source"])]
    (tmp_path / "bob.ipynb").write_text(json.dumps({**notebook, "cells": kept}))
    (graded,) = grade(submissions(tmp_path), SEED)
    first, second = graded.verdicts
    assert first.is_full and second.points == 0
    assert second.reason.startswith("suspend is missing")
    assert graded.submission.notes == ("the cell 2-2-answer or its metadata is missing",)


@pytest.mark.parametrize("name", SOLVED)
def test_a_broken_cell_does_not_cost_the_others(tmp_path: Path, name: str) -> None:
    notebook = solved(name)
    broken = {"cell_type": "code", "source": "%matplotlib inline\nimport numpy\n1 +", "metadata": 5}
    notebook["cells"] = [broken, 7, {"cell_type": "code"}, *notebook["cells"], broken]
    (tmp_path / "eve.ipynb").write_text(json.dumps(notebook))
    (graded,) = grade(submissions(tmp_path), SEED)
    assert graded.points == full(name)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.ipynb", b"{", "is no JSON"),
        ("b.ipynb", b"[]", "has no list of cells"),
        ("c.ipynb", b"[" * 100_000, "is no notebook"),
        ("d.py", b"\xff\xfe\x00", "is not UTF-8"),
        ("e.py", b"x = 1", "answers no question of any lab"),
        ("f.py", b"#" * (33 << 20), "is larger than 32 MiB"),
        ("g.ipynb", "{}".encode("utf-16"), "is not UTF-8"),
        ("h.ipynb", b'{"nbformat": 3, "worksheets": []}', "of format 4"),
        ("i.ipynb", b"<!doctype html>", "line 1 is no JSON"),
    ],
)
def test_unreadable(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    (graded,) = grade(submissions(tmp_path), SEED)
    assert graded.points == 0 and words in (graded.submission.problem or "")


def test_a_damaged_file_whose_name_tells_the_lab_has_its_questions(tmp_path: Path) -> None:
    (tmp_path / "ann-2-stop.ipynb").write_text("")
    (graded,) = grade(submissions(tmp_path), SEED)
    assert graded.submission.student == "ann" and graded.out_of == 10
    assert {v.reason for v in graded.verdicts} == {"ann-2-stop.ipynb is empty"}


@pytest.mark.parametrize("name", SOLVED)
def test_a_notebook_with_two_labs_is_graded_on_both(tmp_path: Path, name: str) -> None:
    lab, (first, second) = ANSWERS[name][0], (solved("1-predict"), solved(name))
    both = {**first, "cells": first["cells"] + second["cells"]}
    (tmp_path / "ann.ipynb").write_text(json.dumps(both))
    graded = grade(submissions(tmp_path), SEED)
    marks = [(g.submission.student, g.submission.lab, g.points) for g in graded]
    assert marks == [("ann", 1, 6), ("ann", lab, full(name))]
    assert len(submissions(tmp_path, lab=lab)) == 1


@pytest.mark.parametrize(
    ("file", "student", "lab"),
    [
        ("2-stop.ipynb", "2-stop", 2),
        ("ann-2-stop.ipynb", "ann", 2),
        ("lab2_ann.py", "ann", 2),
        ("ann_lab5.py", "ann", 5),
        ("3_bob.py", "3_bob", 3),
        ("group 3.py", "group 3", 2),
    ],
)
def test_a_name_tells_student_and_lab(tmp_path: Path, file: str, student: str, lab: int) -> None:
    code = "def stop(vcpu, bus): pass"
    cell = {"cell_type": "code", "source": code, "metadata": {}}
    content = json.dumps({"cells": [cell]}) if file.endswith("ipynb") else code
    (tmp_path / file).write_text(content)
    (one,) = submissions(tmp_path)
    assert (one.student, one.lab) == (student, lab)


@pytest.mark.parametrize("name", SOLVED)
def test_a_timed_cell_is_an_answer(tmp_path: Path, name: str) -> None:
    notebook = solved(name)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and ANSWERS[name][1] in "".join(cell["source"]):
            cell["source"] = ["%%time\n", *cell["source"]]
    (tmp_path / "ann.ipynb").write_text(json.dumps(notebook))
    (graded,) = grade(submissions(tmp_path), SEED)
    assert graded.points == full(name)


def test_who_hands_in_nothing_or_twice_is_seen(tmp_path: Path) -> None:
    for student in ("ann", "bob", ".git"):
        (tmp_path / student).mkdir()
    for name in ("2-stop.ipynb", "2-stop-Copy1.ipynb"):
        (tmp_path / "ann" / name).write_text(json.dumps(solved("2-stop")))
    (tmp_path / "bob" / "answer.txt").write_text("drain")
    first, second, third = submissions(tmp_path)
    assert first.notes == ("one of 2 files of this student: 2-stop-Copy1.ipynb",)
    assert second.student == "ann" and third.student == "bob"
    assert third.problem == (
        "the folder holds no notebook (.ipynb) and no Python file (.py), but answer.txt"
    )


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "mallory.ipynb").symlink_to(HERE / "source" / "2-stop" / "2-stop.ipynb")
    (graded,) = grade(submissions(tmp_path), SEED)
    assert "is no regular file" in (graded.submission.problem or "")


COMMAND = [sys.executable, "-m", "kvmexit", "grade", "--seed", "5", "--json"]


def graded(
    folder: Path, *switches: str, until_there: Callable[[], bool] | None = None
) -> tuple[str, resource.struct_rusage]:
    """What `kvmexit grade` prints, and what it used with all that it started. As a process of its
    own: what this one has started before is not to be counted. Interrupted as by Ctrl-C when
    ``until_there`` says so."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            [*COMMAND, str(folder), *switches], stdout=out, stderr=subprocess.DEVNULL
        )
        if until_there:
            until(until_there, "some submissions to be graded")
            process.send_signal(signal.SIGINT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == (-signal.SIGINT if until_there else 0)
        out.seek(0)
        return out.read(), used


def computed(used: resource.struct_rusage) -> float:
    """Seconds of processor time."""
    return used.ru_utime + used.ru_stime


def test_a_batch_with_hostile_answers_interrupted_once(tmp_path: Path) -> None:
    """All are graded, in bounded memory, and each as if it were alone, in two goes. A hostile one
    costs no more than the limit of a submission, and a good one no more than some times what it
    costs in a batch of one: that is counted in time computed, since other work on the machine is
    not its fault."""
    folder, sheet, part = tmp_path / "in", tmp_path / "marks.csv", tmp_path / "marks.csv.part"
    bad = some(BATCH_HOSTILE, 3)
    good = make_batch(folder, draws(4, in_ci=30), bad)
    switches = ("--jobs", "2", "--csv", str(sheet))
    _, first = graded(
        folder, *switches, until_there=lambda: len(part.read_text().splitlines()) > len(good) // 2
    )
    before = part.read_text().splitlines()
    assert 1 < len(before) <= len(good) + len(bad)
    out, second = graded(folder, *switches)
    _, alone = graded(folder / good[0])
    jailed = len(bad) * most_seconds(2)
    assert computed(first) + computed(second) < len(good) * 3 * computed(alone) + jailed
    said = json.loads(out)
    points = {one["student"]: one["points"] for one in said["submissions"]}
    assert points == dict.fromkeys(good, 10) | dict.fromkeys(bad, 0)
    assert [row["handed in"] for row in said["statistics"]] == [len(good) + len(bad)] * 2
    assert len(list(csv.DictReader(sheet.open()))) == 2 * (len(good) + len(bad))
    peak = max(first.ru_maxrss, second.ru_maxrss) >> 10
    assert peak < 400, f"one process used {peak} MiB"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "marks.csv"]


def test_no_formula_reaches_a_spreadsheet_and_no_markup_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, sheet, page = (tmp_path / name for name in ("in", "marks.csv", "marks.html"))
    names = [f"{start}cmd()" for start in ("=", "+", "@", "<b>")]
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "lab6.py").write_text("def predict_on(moment): 1 / 0\n")
    command = ["grade", str(folder), "--csv", str(sheet), "--html", str(page), "--seed", "1"]
    assert main(command) == 0
    students = {row["student"] for row in csv.DictReader(sheet.open())}
    assert students == {f"'{name}" for name in names[:-1]} | {"<b>cmd()"}
    assert "&lt;b&gt;cmd()" in page.read_text() and "<b>cmd" not in page.read_text()
    assert "ZeroDivisionError" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["/nowhere"], [str(HERE / "source"), "--lab", "9"], [str(FOLDER), "--jobs", "0"]]
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["grade", *arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_everything_in_the_folder_has_a_row_or_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = "def stop(vcpu, bus): pass\n"
    for name in ("ann_lab2.py", "BOB-lab2.PY", "cy-lab2.py.txt", ".DS_Store", "notes.pdf"):
        (tmp_path / name).write_text(answer)
    (tmp_path / "dan.zip").write_bytes(b"PK\5\6" + bytes(18))
    (tmp_path / "eve").mkdir()
    (tmp_path / "eve" / "lab2.py").write_text(answer)
    (tmp_path / "eve" / "plot.png").write_bytes(b"")
    (tmp_path / "fay").symlink_to(tmp_path / "eve")
    (tmp_path / "gus").mkdir()
    (tmp_path / "gus" / "lab2.zip").write_bytes(b"")
    os.mkfifo(tmp_path / "hal_lab2.py")
    sheet = tmp_path / "marks.csv"
    assert main(["grade", str(tmp_path), "--csv", str(sheet), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    students = {one["student"]: one["problem"] for one in said["submissions"]}
    assert students == {
        "ann": None,
        "BOB": None,
        "cy": None,
        "dan": "dan.zip is an archive: unpack it",
        "eve": None,
        "fay": "fay is a link: put the folder itself there",
        "gus": "the folder holds no notebook (.ipynb) and no Python file (.py), but lab2.zip",
        "hal": "hal_lab2.py is no regular file",
    }
    assert {row["student"] for row in csv.DictReader(sheet.open())} == set(students)
    assert said["passed over"] == [".DS_Store", "notes.pdf"]
    (of_eve,) = [one for one in said["submissions"] if one["student"] == "eve"]
    assert of_eve["notes"] == ["not graded: plot.png"]


def test_a_folder_that_cannot_be_read_says_so(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "ann").mkdir()
    (tmp_path / "bob.py").write_text("def stop(vcpu, bus): pass")

    def refuse(top, onerror):
        onerror(PermissionError(13, "Permission denied", str(top)))
        return []

    monkeypatch.setattr(os, "walk", refuse)
    assert submissions(tmp_path)[0].problem == "the folder cannot be read: Permission denied"


@pytest.mark.parametrize("output", ["/nonexistent/marks.csv", "/dev/full"])
def test_what_cannot_be_written_is_found_before_anything_is_graded(
    output: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kvmexit.lab.grade.grade", lambda *_: pytest.fail("it has begun"))
    assert main(["grade", str(HERE / "source" / "6-machines"), "--csv", output]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_batch_that_is_interrupted_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for student in ("ann", "bob", "cy"):
        (folder / f"{student}_lab6.py").write_text("def predict_on(moment): return 'fine'")
    sheet, page = tmp_path / "marks.csv", tmp_path / "marks.html"
    command = ["grade", str(folder), "--jobs", "1", "--csv", str(sheet), "--html", str(page)]
    started: list[str] = []
    real_start = Running.__init__

    def start(self: Running, submission: Submission, seed: int) -> None:
        if len(started) == 2:
            started.append("nobody")
            raise KeyboardInterrupt
        started.append(submission.student)
        real_start(self, submission, seed)

    monkeypatch.setattr(Running, "__init__", start)
    assert main(command) == 130
    assert "2 of 3 are graded" in capsys.readouterr().err
    assert len(list(csv.DictReader(sheet.open()))) == 2
    seed = json.loads((tmp_path / "marks.csv.part").read_text().splitlines()[0])["seed"]
    assert main([*command, "--seed", str(seed + 1)]) == 2
    assert main([*command, "--json"]) == 0
    assert started == ["ann", "bob", "nobody", "cy"]
    said = json.loads(capsys.readouterr().out)
    assert said["seed"] == seed and [one["points"] for one in said["submissions"]] == [0, 0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "marks.csv", "marks.html"]
    assert "<td>cy</td>" in page.read_text() and "http" not in page.read_text()


def test_what_an_interrupted_batch_knows_is_of_the_same_file_and_of_this_version(
    tmp_path: Path,
) -> None:
    path, answer = tmp_path / "marks.csv.part", tmp_path / "ann_lab6.py"
    code = "def predict_on(moment): return 'fine'"
    answer.write_text(code)
    (graded,) = grade(submissions(answer), SEED)
    journal.begin(path, SEED, True).note(graded)
    known = journal.begin(path, SEED, False).take(submissions(answer)[0])
    assert known is not None and known.verdicts == graded.verdicts
    answer.write_text("def predict_on(moment): return 'lost'")
    assert journal.begin(path, SEED, False).take(submissions(answer)[0]) is None
    answer.write_text(code)
    path.write_text(path.read_text().replace(__version__, "0.0.0"))
    anew = journal.begin(path, SEED + 1, True)
    assert anew.seed == SEED + 1 and anew.take(graded.submission) is None


def test_statistics_keep_blanks_apart_and_say_where_answers_fail_first(tmp_path: Path) -> None:
    code = {
        "ann": "def stop(vcpu, bus): raise NotImplementedError",
        "bob": "def stop(vcpu, bus): vcpu.run()",
        "cy": "def stop(vcpu, bus): vcpu.run()\n# again",
        "dan": "def stop(vcpu, bus):\n    import os\n    os._exit(1)",
    }
    for name, text in code.items():
        (tmp_path / f"{name}.py").write_text(text)
    row = statistics(grade(submissions(tmp_path), SEED))[0]
    assert (row.handed_in, row.answered, row.blank, row.zero) == (4, 3, 1, 3)
    assert row.failed["wide"] == 3
    ((part, where, count, first),) = row.landings
    assert (part, count, first.submission.student) == ("driver, new VM", 2, "bob")
    assert where.startswith("exit 1 ")
