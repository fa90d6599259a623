"""Whole straces, of all system calls, of a VMM that knows what it does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import recording
from kvmexit.tracelint import lint
from patience import PATIENCE, draws

OPTIONS = (
    ["-tt"],
    ["-r"],
    ["-X", "raw"],
    ["-X", "verbose", "-n", "-i", "-T"],
    ["-v", "-ttt", "-s", "200"],
)
LIVE = str(Path(__file__).with_name("live.py"))


@pytest.mark.skipif(not recording.can_strace(), reason="needs strace with -e kvm=vcpu")
@pytest.mark.parametrize("options", OPTIONS[: draws(2, in_ci=len(OPTIONS))], ids=" ".join)
def test_a_whole_strace(kvm: str, options: list[str], tmp_path: Path) -> None:
    verdicts = set()
    for number in ("0", "5"):  # one saves at once, one drains
        log = tmp_path / number
        command = ["strace", "-f", "-y", "-e", "kvm=vcpu", *options, "-o", str(log)]
        command += [sys.executable, LIVE, number, "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        knows = json.loads(done.stdout)["expected"]
        said = lint(str(log))
        assert said.verdict.value == ("findings" if knows else "clean"), said.reasons
        verdicts.add(knows)
        assert said.lines > 500  # libraries, threads and all
    assert verdicts == {True, False}
