"""Whose file it is: by its name, whatever a platform, a browser or a file manager made of it."""

import pytest
from kvmexit.lab.students import owner
from kvmexit.lab.submission import passed_over, submissions

FILES = {
    "ann-2-stop": "ann",
    "lab2_ann": "ann",
    "2-stop": "2-stop",
    "group 3": "group 3",
    "2-stop (cy)": "cy",
    "Ann Smith - 2-stop": "Ann Smith",
    # a browser that has a file of this name already
    "ann-2-stop (1)": "ann",
    "ann-2-stop(2)": "ann",
    "ann-2-stop-2": "ann",
    "ann-2-stop (1) (1)": "ann",
    "lab2_ann (1)": "ann",
    # notebooks and file managers
    "ann-2-stop-Copy1": "ann",
    "ann-2-stop-Copy1-Copy2": "ann",
    "ann-2-stop copy": "ann",
    "ann-2-stop copy 2": "ann",
    "ann-2-stop - Copy": "ann",
    "ann-2-stop - Copy (2)": "ann",
    "ann-2-stop - Copy - Copy": "ann",
    "ann-2-stop (copy)": "ann",
    "ann-2-stop (another copy)": "ann",
    "ann-2-stop (3rd copy)": "ann",
    "ann-2-stop (copy 1)": "ann",
    "ann-2-stop (Ann's conflicted copy 2026-01-31)": "ann",
    # and in other languages
    "ann-2-stop - Kopie": "ann",
    "ann-2-stop - Kopie (2)": "ann",
    "ann-2-stop (Kopie)": "ann",
    "ann-2-stop (weitere Kopie)": "ann",
    "ann-2-stop - Copie": "ann",
    "ann-2-stop - copia (3)": "ann",
    "ann-2-stop — копия": "ann",
    "ann-2-stop - 副本": "ann",
    "Copy of ann-2-stop": "ann",
    "Copy of Copy of ann-2-stop": "ann",
    "Copy of 2-stop (cy)": "cy",
    "Kopie von ann-2-stop": "ann",
    "Copie de ann-2-stop": "ann",
    # platforms
    "muelleranna_12345_67890_2-stop": "muelleranna",
    "muelleranna_LATE_12345_67890_2-stop-1": "muelleranna",
    "muelleranna_12345_67890_2-stop (1)-2": "muelleranna",
    "Ann Smith_12345_assignsubmission_file_2-stop": "Ann Smith",
    "lab2_asmith_attempt_2026-01-01-12-00-00_2-stop": "asmith",
    "Lab 2_asmith_attempt_2026-01-01-12-00-00_2-stop-Copy1": "asmith",
    "39786-640693 - Ann Smith - Oct 10, 2025 1022 AM - 2-stop": "Ann Smith",
    "39786-640693 - Ann Smith- Oct 3, 2025 949 PM - 2-stop (1)": "Ann Smith",
    # names that look like something else
    "copy-2-stop": "copy",
    "Jean-Copie-2-stop": "Jean-Copie",
    "ann-2": "ann-2",
}
"""The name of a file, without its ending, and whose it is."""

FOLDERS = {
    "Ann Smith": "Ann Smith",
    "Ann Smith_12345_assignsubmission_file": "Ann Smith",
    "Ann Smith_12345_assignsubmission_file_": "Ann Smith",
    "39786-640693 - Ann Smith - Oct 10, 2025 1022 AM": "Ann Smith",
    "Smith, Ann(asmith)": "Smith, Ann",
    "group (1)": "group (1)",
    "2-stop-annsmith": "annsmith",
    "annsmith_lab2": "annsmith",
    "2-stop": "2-stop",
}


def test_whose_file_it_is() -> None:
    assert {stem: owner(stem).name for stem in FILES} == FILES
    assert {name: owner(name, is_folder=True).name for name in FOLDERS} == FOLDERS
    assert owner("Smith, Ann(asmith)", is_folder=True).number == "asmith"
    assert owner("Ann  SMITH").key == owner("ann smith").key
    assert owner("anna_LATE_12345_67890_2-stop").notes == ("its name says LATE",)


LOOKED_AT = {
    "ann.ipynb": "ann.ipynb is no notebook: line 1 is no JSON",
    "BOB.IPYNB": "BOB.IPYNB is no notebook: line 1 is no JSON",
    "cy.ipynb.txt": "cy.ipynb.txt is no notebook: line 1 is no JSON",
    "dan.ipynb.json": "dan.ipynb.json is no notebook: line 1 is no JSON",
    "eve.ipynb.txt.txt": "eve.ipynb.txt.txt is no notebook: line 1 is no JSON",
    "fay.ipynb.html": "fay.ipynb.html is no notebook: line 1 is no JSON",
    "gus.PY": None,
    "hal.zip": "hal.zip is no notebook (.ipynb) and no Python file (.py)",
    "ida.7z": "ida.7z is no notebook (.ipynb) and no Python file (.py)",
    "joe.tar.gz": "joe.tar.gz is no notebook (.ipynb) and no Python file (.py)",
    "kim.rar": "kim.rar is no notebook (.ipynb) and no Python file (.py)",
}
"""A file beside the folders, and what is said of it if it holds the same line of Python as all."""
PASSED_OVER = [".DS_Store", "__MACOSX", "index.html", "lab.docx", "marks.xlsx", "stop.txt"]


def test_no_file_is_left_out_without_a_word(tmp_path) -> None:
    """A row each for what somebody may have handed in; one line for what nobody does."""
    for name in (*LOOKED_AT, *PASSED_OVER):
        (tmp_path / name).write_text("def stop(vcpu, bus): pass")
    found = submissions(tmp_path)
    assert {one.path.name: one.problem for one in found} == LOOKED_AT
    assert [one.student for one in found] == [one.path.name.split(".")[0] for one in found]
    assert passed_over(tmp_path) == PASSED_OVER


def test_what_tools_put_beside_an_answer_is_not_held_against_it(tmp_path) -> None:
    """nbgrader's `collect` notes the time, Windows the look of a folder, Jupyter what was saved."""
    folder = tmp_path / "ann" / "2-stop"
    (folder / ".ipynb_checkpoints").mkdir(parents=True)
    (folder / "__pycache__").mkdir()
    for name in ("answer.py", "timestamp.txt", "desktop.ini", "Thumbs.db", ".DS_Store"):
        (folder / name).write_text("def stop(vcpu, bus): pass")
    for name in (".ipynb_checkpoints/answer-checkpoint.py", "__pycache__/answer.cpython-311.pyc"):
        (folder / name).write_text("def stop(vcpu, bus): pass")
    (one,) = submissions(tmp_path)
    assert (one.student, one.lab, one.notes) == ("ann", 2, ())


@pytest.mark.parametrize("made", ["file", "folder"])
def test_two_files_of_one_student_are_seen(tmp_path, made: str) -> None:
    """Under any of the names that a second file gets."""
    for number, stem in enumerate(stem for stem, who in FILES.items() if who in ("ann", "Ann")):
        folder = tmp_path / "Ann" if made == "folder" else tmp_path
        folder.mkdir(exist_ok=True)
        (folder / f"{stem}.py").write_text(f"def stop(vcpu, bus): return {number}")
    found = submissions(tmp_path)
    assert len(found) > 20
    for one in found:
        assert one.notes[-1] == f"one of {len(found)} files of this student: {one.path.name}"


def test_two_students_of_one_name_have_the_number_of_their_platform(tmp_path) -> None:
    for number in (111, 222, 222):
        folder = tmp_path / f"Ann Smith_{number}_assignsubmission_file"
        folder.mkdir(exist_ok=True)
        name = "2-stop-Copy1.py" if (folder / "2-stop.py").exists() else "2-stop.py"
        (folder / name).write_text("def stop(vcpu, bus): pass")
    first, *others = submissions(tmp_path)
    assert (first.student, first.notes) == ("Ann Smith 111", ())
    assert [one.student for one in others] == ["Ann Smith 222"] * 2
    assert all("one of 2 files of this student" in one.notes[0] for one in others)
