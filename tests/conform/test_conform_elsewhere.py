"""A VMM on another machine's KVM: what goes along, what runs there, and what comes home."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conform_json import validated
from kvmexit.commands import main
from kvmexit.conform import elsewhere
from kvmexit.conform.inside import ASKED
from kvmexit.errors import KvmExitError

PROVENANCE = {"machine": "svm", "kernel": "Linux 6.1, of a package", "emulator": "QEMU, as max"}
HERE = str(Path(__file__).parent)
MINE = f"import sys\nsys.path.insert(0, {HERE!r})\nimport fakes\nclass Mine(fakes.Fake):\n"


def adapter_of(folder, fault):
    """An adapter's file, for a fake that breaks its guest at the first stop."""
    path = folder / "adapter.py"
    path.write_text(f"{MINE}    fault, at = {fault!r}, 1\n")
    return path


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine in the place of that of an emulator: this one. It has the files it was brought."""

    def bring_job(machine, cache, limit, say, job, along):
        assert (machine.name, job) == ("svm", "conform.inside")
        brought.update(along)
        asked = json.loads(brought[str(ASKED)[1:]])
        script = "import sys, json; from kvmexit.conform.inside import main;"
        script += "main(sys.argv[1], json.loads(sys.argv[2]))"
        words = [sys.executable, "-c", script, str(tmp_path / "document"), json.dumps(asked)]
        console.append(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        document = json.loads((tmp_path / "document").read_text())
        return {**document, "provenance": PROVENANCE}

    brought: dict[str, bytes] = {}
    console: list[str] = []
    monkeypatch.setattr(elsewhere, "bring_job", bring_job)
    monkeypatch.chdir(tmp_path)
    return brought, console


def test_a_break_comes_home(machine, tmp_path, capsys):
    brought, console = machine
    adapter, report = adapter_of(tmp_path, "lose"), tmp_path / "bug.md"
    words = ("--adapter", str(adapter), "--on", "svm", "--same", "--stops", "2")
    assert main(["conform", *words, "--json", "--report", str(report)]) == 1
    said = validated(json.loads(capsys.readouterr().out))
    assert (said["verdict"], said["broken"], said["stops"]) == ("not whole", [1], 2)
    bug = report.read_text()
    assert "--same --on svm --stops 2" in bug
    assert bug.endswith("- on svm: Linux 6.1, of a package; QEMU, as max\n")
    assert [line for line in console[0].splitlines() if line.startswith("@@")] == [
        "@@ stage the stops",
        *("@@ done 1 of 2", "@@ doing stop 2", "@@ done 2 of 2", "@@ doing stop 3"),
    ]
    # The VMM, the adapter and all of this library went along.
    assert brought[sys.executable[1:]] == Path(sys.executable).read_bytes()
    assert brought[str(adapter)[1:]] == adapter.read_bytes()
    assert {"lab/kvmexit/conform/inside.py", "lab/kvmexit/tracelint/rule.py"} <= set(brought)


def test_where_it_was_is_said(machine, tmp_path, capsys):
    adapter = adapter_of(tmp_path, "none")
    words = ("--adapter", str(adapter), "--on", "svm", "--same", "--stops", "1")
    assert main(["conform", *words]) == 3
    said = capsys.readouterr().out
    assert "on svm: Linux 6.1, of a package; QEMU, as max" in " ".join(said.split())


def test_what_fails_there_is_one_sentence(machine, tmp_path, capsys):
    adapter = adapter_of(tmp_path, "die")
    assert main(["conform", "--adapter", str(adapter), "--on", "svm"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("kvmexit: on svm: the VMM ended with status 1")
    assert said.endswith("its last words: fake: no room for this guest")


def test_libraries_go_along_but_not_those_of_c(tmp_path, monkeypatch):
    ldd = tmp_path / "ldd"
    library = tmp_path / "of its own" / "libgcc_s.so.1"
    library.parent.mkdir()
    library.write_bytes(b"\x7fELF gcc")
    program = tmp_path / "vmm"
    program.write_bytes(b"\x7fELF vmm")
    linked = f"""\
        linux-vdso.so.1 (0x00007f25bf3fe000)
        libgcc_s.so.1 => {library} (0x00007f25bf3cc000)
        libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f25bec1e000)
        libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f25bec1e000)
        /lib64/ld-linux-x86-64.so.2 (0x00007f25bf400000)
"""
    ldd.write_text(f"#!/bin/sh\ncat <<'end'\n{linked}end\n")
    ldd.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert [name for name, _ in elsewhere.program_files(program)] == [
        str(program)[1:],
        str(library)[1:],
    ]
    ldd.write_text("#!/bin/sh\necho '  libcap.so.2 => not found'\n")
    with pytest.raises(KvmExitError, match=r"vmm is linked with libcap.so.2, which is not here"):
        list(elsewhere.program_files(program))
    ldd.write_text("#!/bin/sh\necho '  not a dynamic executable'; exit 1\n")
    assert [name for name, _ in elsewhere.program_files(program)] == [str(program)[1:]]


def test_no_recorder_goes_along(capsys):
    assert main(["conform", "qemu", "--on", "svm", "--trace", "strace"]) == 2
    assert "--trace has no recorder on svm: leave out one of the two" in capsys.readouterr().err


def test_an_unchanged_linux_does_not_fit_there(capsys):
    assert main(["conform", "qemu", "--on", "svm", "--guest", "linux"]) == 2
    assert "--guest linux needs more memory than svm has" in capsys.readouterr().err


def test_a_kernel_is_for_the_guest_that_has_one(machine, capsys):
    assert main(["conform", "qemu", "--on", "svm", "--kernel", "x"]) == 2
    assert "--kernel is for --guest linux" in capsys.readouterr().err
    assert machine == ({}, [])


def test_no_such_program_is_said_before_a_machine_is_brought_up(machine, capsys):
    assert main(["conform", "qemu", "--on", "svm", "--binary", "/no/such/vmm"]) == 2
    assert "/no/such/vmm: there is no such file" in capsys.readouterr().err
    assert machine == ({}, [])
