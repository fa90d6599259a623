"""A folder as a class hands it in: right answers to lab 2, and hostile ones."""

import shutil
from pathlib import Path

from every_answer import HOSTILE as ANSWERS

HERE = Path(__file__).resolve().parent
FILES = (
    "2_loops_for_ever",
    "2_allocates_without_bound",
    "2_kills_the_grader",
    "2_forges_messages",
    "2_floods_the_pipe",
)
OTHERS = (
    "closes its pipes and sleeps",
    "sleeps at each landing",
    "sleeps a little at each act",
    "code without end",
    "forged",
)
HOSTILE = (*FILES, *OTHERS)
"""Each in another way: of time, of memory, of the pipe, of what is said through it."""


def make_batch(folder: Path, students: int, hostile: list[str]) -> list[str]:
    """So many right answers in ``folder``, whose students are returned, and the ``hostile``."""
    names = [f"student{number:02}" for number in range(students)]
    for name in names:
        (folder / name).mkdir(parents=True)
        shutil.copy(HERE / "source" / "2-stop" / "2-stop.ipynb", folder / name)
    for name in hostile:
        if name in FILES:
            shutil.copy(HERE / "wrong" / f"{name}.py", folder)
        else:
            (folder / f"{name}.py").write_text(ANSWERS[name].replace("# %%", ""))
    return names
