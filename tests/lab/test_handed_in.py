"""Right answers in odd wrappings: what Python or Jupyter reads, the grader reads."""

import json
from pathlib import Path

import pytest
from answers import STOP
from kvmexit.lab.grade import grade
from kvmexit.lab.submission import submissions
from patience import some

SOLVED = Path(__file__).resolve().parent / "source" / "2-stop" / "2-stop.ipynb"
IMPORTS = "asyncio, hashlib, pdb, queue, secrets, IPython, kvmexit.show, kvmexit.vmm"


def full_of_output() -> bytes:
    """A notebook of twelve megabytes: long runs and the films of many checks stand in it."""
    notebook = json.loads(SOLVED.read_text())
    shown = {"output_type": "stream", "name": "stdout", "text": "x" * 1_500_000}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [shown]
    return json.dumps(notebook).encode()


WRAPPED = {
    "latin-1, as its first line says.py": f"# -*- coding: latin-1 -*-\n# Größe\n{STOP}".encode(
        "latin-1"
    ),
    "with a BOM.py": f"\ufeff{STOP}".encode(),
    "exported, a magic as a call.py": "get_ipython().run_line_magic('matplotlib', 'inline')\n"
    f"{STOP}".encode(),
    "imports that nobody uses.py": f"import {IMPORTS}\n{STOP}".encode(),
    "Chinese comments.py": f"# {chr(0x6C49) * 45_000}\n{STOP}".encode(),
    "much output.ipynb": full_of_output(),
    "with a BOM.ipynb": b"\xef\xbb\xbf" + SOLVED.read_bytes(),
    "from Windows.ipynb": SOLVED.read_bytes().replace(b"\n", b"\r\n"),
    "from Windows.py": STOP.replace("\n", "\r\n").encode(),
    "exported, timed.py": f"get_ipython().run_cell_magic('time', '', {STOP!r})\n".encode(),
}


@pytest.mark.parametrize("name", some(WRAPPED, 2))
def test_a_right_answer_however_it_is_wrapped(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"somebody-2-stop{Path(name).suffix}"
    path.write_bytes(WRAPPED[name])
    (graded,) = grade(submissions(path), seed=7)
    (verdict,) = (one for one in graded.verdicts if one.question == "2.1")
    assert verdict.is_full, verdict.reason
