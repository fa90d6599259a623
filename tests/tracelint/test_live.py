"""Logs of our own real back end, recorded live, agree with what each run knows about itself.

Takes a share of the runs; ``KVMEXIT_LIVE=520`` takes all of them.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import recording
from kvmexit.tracelint import Verdict, lint_bytes

COUNT = int(os.environ.get("KVMEXIT_LIVE", "104"))
SCRIPT = [sys.executable, str(Path(__file__).with_name("live.py")), "0", str(COUNT)]
STRACE_MARK = rb"_IOC\(_IOC_WRITE, 0xf\w, \w+, 0x3e00\)"
TRACEFS_MARK = rb"cmd: 0x7e00f\w{3},"

pytestmark = pytest.mark.skipif(
    not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="needs /dev/kvm"
)


def known_and_logged(out: str, log: Path, mark: bytes) -> list[tuple[dict[str, Any], bytes]]:
    known = [json.loads(line) for line in out.splitlines()]
    pieces = recording.runs(log.read_bytes(), mark)
    assert len(known) == len(pieces) == COUNT
    return list(zip(known, pieces, strict=True))


@pytest.mark.skipif(not recording.can_strace(), reason="needs strace with -e kvm=vcpu")
def test_strace_with_reasons_agrees_with_every_run(tmp_path: Path) -> None:
    log = tmp_path / "live.strace"
    out = recording.strace(SCRIPT, log, "-y", "-e", "kvm=vcpu")
    disagree = []
    pairs = known_and_logged(out, log, STRACE_MARK)
    for run, piece in pairs:
        report = lint_bytes(piece, format="strace")
        right = Verdict.FINDINGS if run["expected"] else Verdict.CLEAN
        if report.verdict is not right or report.count != run["expected"]:
            disagree.append((run, report.verdict))
        elif run["expected"]:
            assert report.findings[0].exit == run["exit"]
    assert not disagree
    assert {run["expected"] for run, _ in pairs} == {True, False}
    whole = lint_bytes(log.read_bytes())
    assert whole.count == sum(run["expected"] for run, _ in pairs)


@pytest.mark.skipif(not recording.can_strace(), reason="needs strace")
def test_strace_without_reasons_never_says_the_opposite(tmp_path: Path) -> None:
    log = tmp_path / "live.strace"
    out = recording.strace(SCRIPT, log, "-tt")
    for run, piece in known_and_logged(out, log, STRACE_MARK):
        verdict = lint_bytes(piece, format="strace").verdict
        hidden = run["expected"] or run["exit"] == "KVM_EXIT_HLT"
        assert verdict is (Verdict.CANNOT_TELL if hidden else Verdict.CLEAN), run


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[dict[str, Any], bytes]]:
    folder = tmp_path_factory.mktemp("tracefs")
    with recording.tracefs(folder / "tracing") as instance:
        if instance is None:
            pytest.skip("tracefs is not permitted here")
        out = recording.trace(SCRIPT, instance, folder / "live.ftrace")
    return known_and_logged(out, folder / "live.ftrace", TRACEFS_MARK)


def test_tracefs_agrees_with_every_run(traced: list[tuple[dict[str, Any], bytes]]) -> None:
    disagree = []
    for run, piece in traced:
        report = lint_bytes(piece, format="tracefs")
        right = Verdict.FINDINGS if run["expected"] else Verdict.CLEAN
        if report.verdict is not right:
            disagree.append((run, report.verdict, report.reasons))
        elif run["expected"] and run["exit"] in ("KVM_EXIT_MMIO", "KVM_EXIT_IO"):
            if report.findings[0].direction != run["direction"]:
                disagree.append((run, report.findings[0].direction, report.reasons))
    assert not disagree


def test_tracefs_without_syscalls_never_says_the_opposite(
    traced: list[tuple[dict[str, Any], bytes]],
) -> None:
    for run, piece in traced:
        bare = b"".join(x for x in piece.splitlines(keepends=True) if b"sys_ioctl" not in x)
        verdict = lint_bytes(bare, format="tracefs").verdict
        if run["policy"] == "bug":
            shown = run["exit"] in ("KVM_EXIT_MMIO", "KVM_EXIT_IO")
            abandoned = shown and run["direction"] == "read" and run["restore"] == "new"
            assert verdict is (Verdict.FINDINGS if abandoned else Verdict.CANNOT_TELL), run
        elif run["expected"] is False:
            assert verdict is not Verdict.FINDINGS, run
