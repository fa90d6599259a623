"""What can be missing when a machine is brought up: one sentence each, and nothing left behind that
the next run would take for whole."""

import errno
import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from kvmexit.commands import main
from kvmexit.elsewhere import boot, bring, fetch
from kvmexit.elsewhere.machines import MACHINES, Machine
from kvmexit.elsewhere.recordings import recording_of
from kvmexit.errors import KvmExitError
from patience import PATIENCE, until

POWERPC = MACHINES["powerpc"]
APT = pytest.mark.skipif(not shutil.which("apt-get"), reason="no apt-get here")
TARGETS = [("http://127.0.0.1:9/debian/", "bookworm", "")]


def silent(what: str) -> None:
    """Nobody listens."""


def program(folder: Path, name: str, script: str) -> None:
    """A program of ours in ``folder``, found before that of the system."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def bin_folder(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(fetch, "targets", lambda: TARGETS)
    return folder


def lists(folder: Path, then: str) -> str:
    """An apt-get that has lists, plans a kernel and Python, and does ``then`` to download."""
    return f"""
for word in "$@"; do case "$word" in -oDir::State::lists=*) lists="${{word#*=}}";; esac; done
case "$*" in
*update*) echo Package: x > "$lists/a_Packages";;
*-s*python3*) echo "Inst python3.11-minimal (3.11.2-6 Debian [ppc64el])";;
*-s*) echo "Inst linux-image-6.1.0-9-powerpc64le (6.1.9-1 Debian [ppc64el])";;
*download*) {then};;
esac"""


def test_no_apt_get(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["elsewhere", "powerpc"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("kvmexit: powerpc: no apt-get here: ") and "container" in said


@APT
def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "targets", lambda: TARGETS)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(KvmExitError, match=r"cannot fetch the lists of bookworm ppc64el: no netw"):
        bring.fetch_kernel(POWERPC, tmp_path, silent)
    assert not (tmp_path / "kernel").exists() or not any((tmp_path / "kernel").iterdir())


@pytest.mark.parametrize(
    "said, sentence",
    [
        ("E: Failed to fetch x.deb  404  Not Found", "the mirror says 404.*try again later"),
        ("E: You don't have enough free space in y", "no space; make room"),
        ("E: Failed to fetch x.deb  Hash Sum mismatch", "the mirror is out of step with itself"),
        ("E: It fell from the table", "apt-get says 'E: It fell from the table'"),
    ],
)
def test_a_download_that_fails(tmp_path, bin_folder, said, sentence):
    program(bin_folder, "apt-get", lists(bin_folder, f'echo "{said}" >&2; exit 100'))
    with pytest.raises(KvmExitError, match=f"cannot fetch linux-image-6.1.0-9.*: {sentence}"):
        bring.fetch_kernel(POWERPC, tmp_path, silent)
    assert not any((tmp_path / "kernel").iterdir())
    # The lists are fetched anew by the next run: they may have named what is gone.
    assert not list(tmp_path.glob("apt/*/updated"))


def test_no_such_package(tmp_path, bin_folder):
    script = lists(bin_folder, "true").replace(
        "*-s*)", '*-s*powerpc64le*) echo "E: Unable to locate package z" >&2; exit 100;; *-s*)'
    )
    program(bin_folder, "apt-get", script)
    with pytest.raises(KvmExitError, match=r"no such package on these mirrors; they may be those"):
        bring.fetch_kernel(POWERPC, tmp_path, silent)


def test_a_package_without_a_kernel_in_it(tmp_path, bin_folder):
    program(bin_folder, "apt-get", lists(bin_folder, "true"))
    with pytest.raises(KvmExitError, match=r"has no vmlinux, kvm.ko, kvm_hv.ko"):
        bring.fetch_kernel(POWERPC, tmp_path, silent)
    assert not any((tmp_path / "kernel").iterdir())


def test_a_damaged_package(tmp_path, bin_folder):
    program(bin_folder, "apt-get", lists(bin_folder, "echo no > linux-image-6_x.deb"))
    program(bin_folder, "dpkg-deb", "exit 2")
    with pytest.raises(KvmExitError, match=r"linux-image-6_x.deb is damaged: remove .cache"):
        bring.fetch_kernel(POWERPC, tmp_path, silent)
    assert not any((tmp_path / "kernel").iterdir())


@pytest.mark.parametrize("stop", [KeyboardInterrupt, KvmExitError("x")])
def test_what_is_interrupted_is_not_taken_for_whole(tmp_path, stop):
    def half() -> None:
        with fetch.whole(tmp_path / "thing") as part:
            (part / "half").touch()
            raise stop

    with pytest.raises((KeyboardInterrupt, KvmExitError)):
        half()
    assert not any(tmp_path.iterdir())
    (tmp_path / "thing.part").mkdir()  # killed, without a chance to clean
    (tmp_path / "thing.part" / "half").touch()
    with fetch.whole(tmp_path / "thing") as part:
        (part / "all").touch()
    assert [p.name for p in (tmp_path / "thing").iterdir()] == ["all"]


def test_no_space_on_the_disk(tmp_path):
    with (
        pytest.raises(KvmExitError, match=r"no space; make room"),
        fetch.whole(tmp_path / "thing"),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not any(tmp_path.iterdir())


def test_an_emulator_that_is_neither_here_nor_to_be_had(tmp_path, bin_folder, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    script = lists(bin_folder, "true").replace(
        "*-s*python3*)",
        '*-s*qemu*) echo "E: Unable to locate package q" >&2; exit 100;; *python3*)',
    )
    program(bin_folder, "apt-get", script)
    program(bin_folder, "dpkg", "echo amd64")
    with pytest.raises(KvmExitError, match=r"cannot fetch qemu-system-ppc: no such package"):
        bring.fetch_emulator(POWERPC, tmp_path, silent)
    assert not any((tmp_path / "emulator").iterdir()) if (tmp_path / "emulator").exists() else True


def run(tmp_path: Path, script: str, limit: float = PATIENCE) -> dict[str, object]:
    return boot.run(["sh", "-c", script], tmp_path / "run" / "console.txt", limit, silent, {})


def given_up(tmp_path: Path, script: str, last: str) -> str:
    """What is said of a machine that says no more after ``last``. It has a longer limit where the
    first was over before it came to that."""
    for limit in (0.3, 3.0, 30.0, PATIENCE):
        with pytest.raises(KvmExitError) as problem:
            run(tmp_path, f"{script}; exec sleep {10 * PATIENCE}", limit)
        if last in (tmp_path / "run" / "console.txt").read_text():
            break
    assert f"waited {limit:g} seconds for " in str(problem.value)
    return str(problem.value)


def test_a_kernel_that_does_not_boot_within_its_limit(tmp_path):
    said = given_up(tmp_path, "echo $$ > pid; echo Booting", "Booting")
    assert "seconds for the kernel to boot" in said and "--limit" in said
    pid = int((tmp_path / "run" / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


STOPPED = """
import sys, time
from pathlib import Path
from kvmexit.commands import elsewhere, main
from kvmexit.elsewhere import boot

class Late(set):
    def add(self, one):
        time.sleep(float(sys.argv[1]))
        super().add(one)

def one(machine, cache, limit, say):
    boot.RUNNING = Late()
    script = "echo $$ > pid; exec sleep 300"
    boot.run(["sh", "-c", script], Path("run/console.txt").absolute(), limit, say, {})

elsewhere.bring = one
sys.exit(main(["elsewhere", "powerpc"]))
"""


@pytest.mark.parametrize("late", [0, 1])
def test_an_emulator_does_not_outlive_the_one_who_is_stopped(tmp_path, late):
    """Nor one that had just been started, and was in no list yet."""
    command = subprocess.Popen([sys.executable, "-c", STOPPED, str(late)], cwd=tmp_path)
    written = tmp_path / "run" / "pid"
    until(lambda: written.exists() and written.read_text().strip(), "the emulator runs")
    pid = int(written.read_text())
    command.terminate()
    assert command.wait(PATIENCE) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    "script, sentence",
    [
        ("echo panic", "the emulator ended while we waited for the kernel to boot"),
        ("echo @@ nokvm 6.1", "the machine inside has no /dev/kvm"),
        ("echo @@ kvm 6.1; echo @@ stage the atlas; echo @@ failed", "failed in the stage: the at"),
        ("echo @@ document; echo AAAA; echo @@ whole", "over the console is damaged"),
    ],
)
def test_a_machine_that_goes_wrong(tmp_path, script, sentence):
    with pytest.raises(KvmExitError, match=sentence):
        run(tmp_path, script)


def test_each_stage_has_the_whole_limit(tmp_path, monkeypatch):
    """However long the stages before it have taken."""
    lines, limits = iter(["@@ kvm 6.1", "@@ stage a", "@@ doing b", "@@ failed"]), []
    monkeypatch.setattr(boot, "time", SimpleNamespace(monotonic=count(0, 100).__next__))
    console = SimpleNamespace(line=lambda until: limits.append(until) or next(lines), keep=silent)
    with pytest.raises(KvmExitError, match="failed in the stage: a"):
        boot.listen(console, 7, silent, tmp_path)
    assert len(set(limits)) == len(limits) == 4 and limits == sorted(limits)


def test_a_document_comes_home(tmp_path):
    packed = subprocess.run(
        "echo '{\"a\": 1}' | gzip | base64", shell=True, capture_output=True, text=True
    )
    script = f"echo @@ document; echo '{packed.stdout.strip()}'; echo @@ whole"
    assert run(tmp_path, script) == {"a": 1}
    assert packed.stdout.strip() not in (tmp_path / "run" / "console.txt").read_text()


def test_no_room_for_what_is_written_while_it_runs(monkeypatch, capsys, tmp_path):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "initrd")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kvmexit.commands.elsewhere.bring", full)
    assert main(["elsewhere", "powerpc"]) == 2
    said = capsys.readouterr().err
    assert said == "kvmexit: powerpc: initrd: No space left on device; make room there\n"


def test_one_machine_that_cannot_be_had_does_not_cost_the_others(monkeypatch, capsys, tmp_path):
    """What was seen on the one is printed, and status 2 says that the other is missing."""

    def one(machine: Machine, *_: object) -> dict[str, object]:
        if machine.name == "arm64":
            raise KvmExitError("no network")
        return recording_of(machine.name)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kvmexit.commands.elsewhere.bring", one)
    assert main(["elsewhere", "arm64", "powerpc"]) == 2
    said = capsys.readouterr()
    assert "load 1; load 2" in said.out and ": 0 differ" in said.out
    assert said.err == "kvmexit: arm64: no network\n"


def test_a_kernel_that_has_changed_is_told_by_status_1(monkeypatch, capsys, tmp_path):
    document = recording_of("powerpc")
    document["packet"]["served"]["strip"] = "." * 20
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kvmexit.commands.elsewhere.bring", lambda *_: document)
    assert main(["elsewhere", "powerpc"]) == 1
    said = capsys.readouterr().out
    assert "2 differ" in said
    assert "simulator: packet, served: strip" in said and "recording: packet, served" in said


def test_bad_limits(capsys):
    assert main(["elsewhere", "powerpc", "--limit", "0"]) == 2
    assert "--limit is a number of seconds above 0" in capsys.readouterr().err
    assert main(["elsewhere", "s390"]) == 2
    assert "invalid choice" in capsys.readouterr().err
