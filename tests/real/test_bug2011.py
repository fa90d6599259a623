"""The chapter's script, run by itself: what it prints here is what the book has stored."""

import subprocess
import sys
from pathlib import Path

from patience import PATIENCE

CODE = Path(__file__).resolve().parents[2] / "book" / "code"


def output() -> list[str]:
    """What the script prints in a process of its own; no library is on its path."""
    command = [sys.executable, "-I", str(CODE / "bug2011.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout.splitlines()


def test_it_prints_what_the_book_has_stored(kvm):
    about, stored = (CODE / "bug2011.txt").read_text().split("$ python3 bug2011.py\n")
    assert about.startswith("# Recorded 20") and "Linux " in about
    assert output() == stored.splitlines()


def test_it_asks_for_nothing_but_the_standard_library():
    wanted = [
        line.split()[1].split(".")[0]
        for line in (CODE / "bug2011.py").read_text().splitlines()
        if line.startswith(("import ", "from "))
    ]
    assert wanted and set(wanted) <= set(sys.stdlib_module_names)
