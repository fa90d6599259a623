"""Whole straces, of all system calls: of a VMM that knows what it does, and kept ones of others."""

from __future__ import annotations

import json
import os
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
KEPT = {
    "qemu-11.1.3.strace-kvm": ("clean", 10),
    "qemu-11.1.3.qtrace": ("cannot tell", 0),
    "threads-drained.strace-kvm": ("clean", 4),
    "threads-at-once.strace-kvm": ("findings", 0),
}
"""Verdict, and the state ioctls after completion."""
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


def test_who_may_not_look_where_logs_are_made_gets_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user who is not root: tracefs is there, and its folder is closed."""
    monkeypatch.setattr(recording, "_MOUNTED", tmp_path / "tracing")
    (tmp_path / "tracing" / "instances").mkdir(parents=True)
    (tmp_path / "tracing").chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    try:
        with recording.tracefs(tmp_path / "mounted") as instance:
            assert instance is None
    finally:
        os.seteuid(me)
        (tmp_path / "tracing").chmod(0o700)


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_log_of_another_version(name: str) -> None:
    report = lint(str(Path(__file__).parent / "whole" / name))
    assert (report.verdict.value, report.fine) == KEPT[name], report.reasons
    assert all("no exit came" in reason for reason in report.reasons)
    for finding in report.findings:
        assert finding.exit == "KVM_EXIT_IO" and finding.ioctls[0] == "KVM_GET_REGS"
