"""All answers of these tests, packed into notebooks: one holds one answer to each question of its
lab, as a student's does."""

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import answers
import more_answers
from kvmexit.lab import catalogue
from kvmexit.lab.submission import cell_ids
from wrong_answers import EXPECTED, FOLDER

HERE = Path(__file__).resolve().parent
BOOK = HERE.parents[1] / "book" / "labs"
HOSTILE = {
    "right": answers.STOP,
    "blank": "def stop(vcpu, bus): raise NotImplementedError",
    "nearly blank": "class NotImplementedErrorX(Exception): pass\n"
    "def stop(vcpu, bus): raise NotImplementedErrorX",
    "numpy": f"import numpy as np\ndef stop(vcpu, bus):\n    np.array(3)\n{answers.STOP}",
    "numpy is used": f"import numpy as np\n{answers.STOP}    np.array(3)",
    "a number of the library": f"from kvmexit.kernel.abi import KVM_EXIT_MMIO\n{answers.STOP}"
    "    KVM_EXIT_MMIO + 1",
    "a magic's value": f"files = !ls\n# %%\n{answers.STOP}    files[0]",
    "a generator": f"{answers.EINTR}def stop(vcpu, bus):\n    yield vcpu.run()",
    "async": f"{answers.EINTR}async def stop(vcpu, bus):\n    vcpu.run()",
    "None": "stop = None",
    "wrong case": answers.STOP.replace("def stop", "def Stop"),
    "split cell": f"{answers.EINTR}# %%\ndef stop(vcpu, bus):\n    pass\n"
    "# %%\n    vcpu.run()\n  x\n",
    "loops": "def stop(vcpu, bus):\n    while True: pass",
    "closes its pipes and sleeps": "import os, sys, time\ndef stop(vcpu, bus):\n"
    "    os.closerange(3, 64)\n    time.sleep(10**6)",
    "sleeps at each landing": "import time\ndef stop(vcpu, bus): time.sleep(0.3)",
    "sleeps a little at each act": "import time\ndef stop(vcpu, bus):\n    for _ in range(1900):\n"
    "        time.sleep(0.008)\n        vcpu.kvm_run.immediate_exit",
    "code without end": f"{answers.STOP}\n# " + "x" * (1 << 20),
    "forged": "def stop(vcpu, bus): vcpu._ask.__self__.send('ask', [], {}, [[]])",
}
"""Answers to 2.1 for which once the cell, the folder and nbgrader had different sentences, or which
one of them waited for."""

SAID = {
    "nearly blank": "raised NotImplementedErrorX",
    "blank": "not answered yet",
    "numpy is used": "uses numpy: it is not there when answers are graded",
    "a number of the library": "uses kvmexit.kernel.abi.KVM_EXIT_MMIO: the answer must be your own",
    "a magic's value": "magics and commands are not run when answers are graded",
    "a generator": "without yield",
    "async": "without async",
    "None": "stop is no function and no class, but a value of type NoneType",
    "wrong case": "is Stop meant?",
    "split cell": "raised IndentationError",
    "closes its pipes and sleeps": "closed its pipe to the referee",
    "loops": "loop for ever?",
    "sleeps at each landing": "did not return within",
    "sleeps a little at each act": "did not return within",
    "code without end": "more than 1 MiB of code",
}
"""What the reason says of them; of a right one nothing."""


@dataclass(frozen=True)
class Answer:
    """One answer. ``is_right``, and ``words`` of the reason."""

    question: str
    name: str
    cells: tuple[str, ...]
    is_right: bool
    words: str = ""


def _answers() -> list[Answer]:
    def made(table: dict[str, str], question: str, is_right: bool, words: str = "") -> Any:
        for name, code in table.items():
            yield Answer(question, name, raw(code), is_right, words)

    landing, shared = "landing at exit", "in its process"
    every = [
        *made(answers.RIGHT | more_answers.RIGHT_TOO, "2.1", True),
        *made(answers.WRONG | more_answers.WRONG_TOO, "2.1", False, landing),
        *made(answers.DEVICES_RIGHT | more_answers.DEVICES_RIGHT_TOO, "3.2", True),
        *made(answers.DEVICES_WRONG | more_answers.DEVICES_WRONG_TOO, "3.2", False, shared),
    ]
    for name, code in HOSTILE.items():
        is_right = name not in SAID and name != "forged"
        every.append(Answer("2.1", name, raw(code), is_right, SAID.get(name, "")))
    for name, (question, code) in more_answers.OTHERS.items():
        every.append(Answer(question, name, (code,), False))
    for name, (question, _, _) in EXPECTED.items():
        code = (FOLDER / f"{name}.py").read_text()
        every.append(Answer(question, name, raw(code), False))
    for number, question in catalogue.QUESTIONS.items():
        cells = solutions(question.lab)
        every.append(Answer(number, "reference", tuple(cells[cell_ids(question)[0]]), True))
    return every


def raw(code: str) -> tuple[str, ...]:
    """The cells of a script as a student has them, magics and all."""
    cells = re.split(r"(?m)^# %%.*\n", code)
    return tuple(cell for cell in cells if cell.strip())


def solutions(lab: int) -> dict[str, list[str]]:
    """The reference's answer cells, by their ids."""
    stem = catalogue.NOTEBOOKS[lab]
    notebook = json.loads((HERE / "source" / stem / f"{stem}.ipynb").read_text())
    return {
        cell["metadata"]["nbgrader"]["grade_id"]: ["".join(cell["source"])]
        for cell in notebook["cells"]
        if cell["metadata"].get("nbgrader", {}).get("solution")
    }


def packed() -> list[tuple[Answer, ...]]:
    """Each a notebook: answers to questions of one lab, one to each as long as there are."""
    by_question: dict[str, list[Answer]] = defaultdict(list)
    for answer in _answers():
        by_question[answer.question].append(answer)
    notebooks = []
    for lab in catalogue.TITLES:
        columns = [by_question[question.number] for question in catalogue.questions(lab)]
        notebooks += [tuple(filter(None, row)) for row in zip_longest(*columns)]
    return notebooks


def notebook_of(answers_: tuple[Answer, ...]) -> dict[str, Any]:
    """The released notebook with these answers in it, where nbgrader wants them."""
    stem = catalogue.NOTEBOOKS[int(answers_[0].question[0])]
    notebook: dict[str, Any] = json.loads((BOOK / f"{stem}.ipynb").read_text())
    given = {cell_ids(catalogue.question(a.question))[0]: a.cells for a in answers_}
    cells = []
    for cell in notebook["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        first, *more = given.get(name, ("",)) if str(name).endswith("-answer") else (None,)
        cells.append(cell if first is None else {**cell, "source": first})
        for number, source in enumerate(more):
            empty = {"execution_count": None, "metadata": {}, "outputs": []}
            cells.append({"cell_type": "code", "id": f"more-{number}", "source": source} | empty)
    return {**notebook, "cells": cells}
