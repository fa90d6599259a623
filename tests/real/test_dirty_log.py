"""The script of chapter 12 on the dirty log: what it prints here is what the book has stored."""

import runpy
from pathlib import Path

CODE = Path(__file__).resolve().parents[2] / "book" / "code"


def test_it_prints_what_the_book_has_stored(kvm, capsys):
    about, stored = (CODE / "dirty_log.txt").read_text().split("$ python book/code/dirty_log.py\n")
    assert about.startswith("# Recorded 20") and "Linux " in about
    runpy.run_path(str(CODE / "dirty_log.py"), run_name="__main__")
    assert capsys.readouterr().out == stored


def test_the_log_knows_nothing_before_the_drain():
    rows = (CODE / "dirty_log.txt").read_text().splitlines()
    said = {row.split("[")[0].strip(): row[row.index("[") :] for row in rows if "[" in row}
    assert said["at the exit"] == said["served"] == "[]"
    assert said["drained"].startswith("[2]")
