"""A VMM of this machine, stopped on another one's KVM: on a machine of :mod:`kvmexit.elsewhere`.

Where an ``out`` has retired at its exit, as on a software KVM, no write can come twice; on SVM it
can. So the VMM goes along, at the path that it has here, with the libraries that it is linked
with, and ``inside.py`` runs it there.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kvmexit.conform.inside import ASKED
from kvmexit.conform.process import program
from kvmexit.elsewhere.bring import bring_job
from kvmexit.elsewhere.checkout import whole_library
from kvmexit.elsewhere.fetch import Progress
from kvmexit.elsewhere.initramfs import merged
from kvmexit.elsewhere.machines import MACHINES
from kvmexit.errors import KvmExitError

ON = ("svm",)
"""Machines of x86 on which a signal gets a guest out of KVM_RUN: in Bochs none does."""
_LINKED = re.compile(r"^\s*(\S+)(?: => (not found|/.+?))?(?: \(0x[0-9a-f]+\))?$", re.M)
_OF_C = re.compile(r"^(ld-linux|lib(c|m|dl|rt|pthread)\.so)")
"""The C library is Python's, which is there already; two of them do not go together."""


def conform_on(
    machine: str, asked: dict[str, Any], cache: Path, limit: float, say: Progress
) -> dict[str, Any]:
    """What came of it there: ``verdict``, ``result``, ``text``, ``form`` and ``provenance``.
    ``asked`` has the words of ``inside.py``. ``limit`` is in seconds, for each stage and stop.
    KvmExitError, with what was said there, if it could not be run."""
    binary = Path(program(asked["binary"])).absolute()
    asked = {**asked, "binary": str(binary)}
    along = [*whole_library(), *program_files(binary)]
    if asked["adapter"]:
        adapter = Path(asked["adapter"]).absolute()
        asked["adapter"] = str(adapter)
        along.append((merged(str(adapter)[1:]), adapter.read_bytes()))
    along.append((str(ASKED)[1:], json.dumps(asked).encode()))
    document = bring_job(MACHINES[machine], cache, limit, say, "conform.inside", along)
    if document["problem"] is not None:
        raise KvmExitError(f"on {machine}: {document['problem']}")
    return document


def program_files(binary: Path) -> Iterator[tuple[str, bytes]]:
    """``binary``, and the libraries of this machine that it is linked with, for an initramfs."""
    yield merged(str(binary)[1:]), binary.read_bytes()
    asked = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)
    for name, path in _LINKED.findall(asked.stdout if not asked.returncode else ""):
        if path == "not found":
            raise KvmExitError(f"{binary} is linked with {name}, which is not here")
        if path and not _OF_C.match(name):
            yield merged(path[1:]), Path(path).read_bytes()
