"""What the book has of real VMMs: each log gets its verdict, each run says where it is from."""

import json
import tomllib
from datetime import date
from pathlib import Path

import pytest
from conform_json import validated
from kvmexit.conform import GUESTS, Linux
from kvmexit.tracelint import Verdict, excerpt, lint
from kvmexit.tracelint.pair import compare

VMMS = Path(__file__).parents[2] / "book" / "vmms"
LAB = tomllib.loads((VMMS / "runs.toml").read_text())
LOGS = sorted(one.name for one in VMMS.iterdir() if one.suffix in (".ftrace", ".strace-kvm"))
MODULE = {"pvm": "kvm_pvm", "svm": "kvm_amd"}
COUNTS = {"missing", "zero", "twice", "other", "pending"}
# Read by hand: what is pending when the state is read.
FOUND = {
    "cloud-hypervisor-wide-pvm.ftrace": ("KVM_EXIT_MMIO", "read", "gpa 0xd0000000 len 16"),
    "cloud-hypervisor-wide-pvm.strace-kvm": ("KVM_EXIT_MMIO", "", ""),
    "firecracker-reader-pvm-source.ftrace": ("KVM_EXIT_IO", "read", ""),
    "firecracker-reader-pvm-destination.ftrace": (
        "KVM_EXIT_IO",
        "write",
        "port 0x3f8 size 1 count 1",
    ),
    "firecracker-reader-pvm.strace-kvm": ("KVM_EXIT_IO", "", ""),
    "firecracker-writer-svm-source.ftrace": ("KVM_EXIT_IO", "write", "port 0x3f8 size 1 count 1"),
    "firecracker-writer-svm-destination.ftrace": (
        "KVM_EXIT_IO",
        "write",
        "port 0x3f8 size 1 count 1",
    ),
}
CLEAN = {
    "crosvm-reader-pvm.ftrace",
    "firecracker-mended-reader-pvm.ftrace",
    "qemu-reader-pvm.ftrace",
}


def test_every_log_has_its_place_here_and_in_the_note() -> None:
    note = (VMMS / "README.md").read_text()
    assert set(LOGS) == set(FOUND) | CLEAN
    for name in LOGS:
        first = name.removesuffix(name[name.rfind(".") :]).removesuffix("-destination")
        assert first in note, name


@pytest.mark.parametrize("name", LOGS)
def test_a_log_gets_its_verdict(name: str) -> None:
    said = lint(str(VMMS / name))
    if name in CLEAN:
        assert said.verdict is Verdict.CLEAN
        return
    first = said.findings[0]
    assert said.verdict is Verdict.FINDINGS
    assert (first.exit, first.direction, first.where) == FOUND[name]


def test_a_thread_whose_name_has_a_blank_is_left_out_of_an_excerpt() -> None:
    line = excerpt(str(VMMS / "firecracker-reader-pvm-source.ftrace"), 54, 54)
    assert line.split(maxsplit=1) == ["54", "sys_ioctl -> 0x0"]


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [("firecracker-reader-pvm", "missing", 0x4F), ("firecracker-writer-svm", "repeated", 0xC8)],
)
def test_two_logs_of_one_guest_name_the_byte(name: str, kind: str, value: int) -> None:
    ends = (str(VMMS / f"{name}-{end}.ftrace") for end in ("source", "destination"))
    (said,) = compare(*ends)
    assert (said.kind, said.values) == (kind, (value,))


RUNS = [*LAB["run"], *LAB["console"]]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run['program']}-{run['guest']}")
def test_a_run_says_what_and_where_and_when(run: dict) -> None:
    assert run["program"] in LAB["program"] and run["kernel"] in ("pvm", "svm")
    assert run["guest"] in (*GUESTS, Linux.name) and date.fromisoformat(run["made"][:10])
    if "file" in run:
        assert not COUNTS & set(run)
        file = json.loads((VMMS / run["file"]).read_text())
        said = validated(file["result"])
        assert (said["guest"], said["machine"]["module"]) == (run["guest"], MODULE[run["kernel"]])
        if run in LAB["run"]:
            assert ("--on svm" in file["provenance"]["command"]) == (run["kernel"] == "svm")
        assert file["provenance"]["command"].startswith("kvmexit conform ")
        assert {"program", "run"} <= set(file["provenance"])
    else:
        assert COUNTS & set(run) and run["stops"] > 0


def test_every_result_is_a_run() -> None:
    named = {run["file"] for run in RUNS if "file" in run}
    assert {one.name for one in VMMS.glob("*.json")} == named
