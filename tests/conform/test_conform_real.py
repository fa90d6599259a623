"""Real VMMs on the real KVM: whole as they are; not whole if they skip the entry."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conform_json import validated
from kvmexit.commands import main
from kvmexit.conform.linux import OWN
from patience import draws

STOPS = draws(1, in_ci=4)
"""Of a run that is recorded."""
CODE = Path(__file__).resolve().parents[2] / "book" / "code"


@pytest.fixture(scope="module")
def qemu(kvm):
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("no QEMU: on Debian, apt-get install qemu-system-x86")
    return kvm


@pytest.fixture(scope="module")
def skips_the_entry(tmp_path_factory):
    """The library of chapter 17, for LD_PRELOAD."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler: on Debian, apt-get install gcc")
    library = tmp_path_factory.mktemp("library") / "skip_entry.so"
    source = str(CODE / "skip_entry.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return str(library)


def run(capsys, *words):
    status = main(["conform", *words, "--json"])
    return status, validated(json.loads(capsys.readouterr().out))


def test_qemu_is_whole(qemu, capsys):
    status, said = run(capsys, "qemu")
    assert (status, said["verdict"]) == (0, "whole"), said["reason"]
    assert said["chance_of_a_break"] >= 0.95 and not any(said["counts"].values())


def test_qemu_that_skips_the_entry_is_not_and_breaks_where_the_read_was_pending(
    qemu, skips_the_entry, capsys, monkeypatch
):
    monkeypatch.setenv("LD_PRELOAD", skips_the_entry)
    status, said = run(capsys, "qemu")
    assert (status, said["verdict"]) == (1, "not whole"), said["reason"]
    first = said["first_break"]
    assert first["kind"] == "missing" and first["seen"] in (first["expected"] + 1, 1)
    assert said["broken"] == said["pending"]


def test_a_log_shows_what_its_guest_cannot(qemu, skips_the_entry, capsys, monkeypatch, tmp_path):
    """Half a read is left at each stop, and nothing is there that would mind."""
    if not shutil.which("strace"):
        pytest.skip("no strace: on Debian, apt-get install strace")
    words = ("qemu", "--guest", "wide", "--stops", str(STOPS), "--trace", "strace")
    status, said = run(capsys, *words, "--keep", str(tmp_path))
    assert (status, said["verdict"]) == (3, "cannot tell")
    assert [log["verdict"] for log in said["logs"]] == ["clean"] * STOPS
    assert len(list(tmp_path.iterdir())) == STOPS + 1
    monkeypatch.setenv("LD_PRELOAD", skips_the_entry)
    status, said = run(capsys, *words)
    found = [log["verdict"] == "findings" for log in said["logs"]]
    assert all(found[stop - 1] for stop in said["pending"])
    assert (status, said["verdict"]) == (1 if any(found) else 3, "cannot tell")


@pytest.mark.parametrize("policy", ["drain", "skip-entry"])
def test_the_adapter_of_the_book(policy, kvm, capsys, monkeypatch):
    monkeypatch.setenv("POLICY", policy)
    stops = str(draws(2, in_ci=60))
    _, said = run(capsys, "--adapter", str(CODE / "own_adapter.py"), "--stops", stops)
    assert said["vmm"]["version"] == f"own_vmm.py, policy {policy}"
    # A read that was not served yet is pending too, and saved there it is whole.
    assert set(said["broken"]) <= set(said["pending"]), said["reason"]
    assert policy == "skip-entry" or not said["broken"], said["reason"]


CPU = Path("/proc/cpuinfo")
FETCHED = Path(__file__).parents[2] / ".cache" / "elsewhere" / "kernel" / "svm" / "vmlinux"


def test_an_unchanged_linux_comes_through_qemu_whole(capsys, monkeypatch):
    """With SVM or VMX under KVM, else under TCG, which has no exits: then nobody sees a landing."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("no QEMU: on Debian, apt-get install qemu-system-x86")
    kernel = next((one for one in (OWN, FETCHED) if os.access(one, os.R_OK)), None)
    if kernel is None:
        pytest.skip(f"no kernel of a guest: neither {OWN} nor {FETCHED}")
    if not {"vmx", "svm"} & set(CPU.read_text().split()) or not os.access("/dev/kvm", os.W_OK):
        monkeypatch.setattr("kvmexit.conform.qemu._PC", "pc,accel=tcg")
        monkeypatch.setattr("kvmexit.conform.run.out_is_repeated", lambda: True)
    stops = draws(2, in_ci=20)
    words = ("qemu", "--guest", "linux", "--kernel", str(kernel), "--stops", str(stops))
    status, said = run(capsys, *words)
    assert status in (0, 3) and not any(said["counts"].values()), said["reason"]
    assert said["stops"] == stops and said["bytes"] > 200 * stops
