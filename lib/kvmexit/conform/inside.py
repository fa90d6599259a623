"""What runs on a machine of :mod:`kvmexit.elsewhere`: ``python3 -m kvmexit.conform.inside MACHINE
FILE`` does what ``ASKED`` says, and writes what came of it to FILE, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from kvmexit.conform.adapter import from_file
from kvmexit.conform.guests import GUESTS
from kvmexit.conform.process import Process
from kvmexit.conform.report import as_json, bug_form, summary
from kvmexit.conform.run import Plan, conform
from kvmexit.conform.verdict import Judgement
from kvmexit.conform.vmms import VMMS
from kvmexit.errors import KvmExitError

ASKED = Path("/asked.json")
LIMIT = 120.0
"""Seconds that one act of a VMM may take there: an emulated processor is slow."""


def main(file: str, asked: dict[str, Any]) -> None:
    """Stop the VMM as ``asked``. What a user can cause comes home as a sentence."""
    print("@@ stage the stops", flush=True)
    Process.limit = LIMIT
    document: dict[str, Any] = {"release": os.uname().release, "problem": None}
    try:
        result = conform(_plan(asked), _progress(asked["stops"]))
    except KvmExitError as problem:
        document["problem"] = str(problem)
    else:
        document |= {"verdict": result.judgement.verdict.value, "result": as_json(result)}
        document |= {"text": summary(result), "form": bug_form(result)}
    Path(file).write_text(json.dumps(document))


def _plan(asked: dict[str, Any]) -> Plan:
    adapter = from_file(asked["adapter"]) if asked["adapter"] else VMMS[asked["vmm"]]
    return Plan(
        adapter=adapter,
        guest=GUESTS[asked["guest"]],
        **{name: asked[name] for name in ("binary", "same", "stops", "seed", "seconds", "on")},
    )


def _progress(stops: int | None) -> Any:
    """A line on the console after each stop."""

    def tell(judgement: Judgement) -> None:
        done = judgement.seen.stops
        print(f"@@ done {done} of {stops or 'as many as it takes'}", flush=True)
        print(f"@@ doing stop {done + 1}", flush=True)

    return tell


if __name__ == "__main__":
    main(sys.argv[2], json.loads(ASKED.read_text()))
