"""`kvmexit lint`, as somebody who never saw the book would use it."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import recording
from kvmexit.commands import main
from patience import PATIENCE, until

LOGS = Path(__file__).parents[2] / "book" / "logs"
BAD, GOOD = str(LOGS / "probe-bug-mmio.strace-kvm"), str(LOGS / "probe-fix-mmio.strace-kvm")
HIDES = str(LOGS / "probe-bug-mmio.strace")


def lint(*arguments: str) -> int:
    return main(["lint", *arguments])


def test_status_and_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(GOOD) == 0
    assert "clean" in capsys.readouterr().out
    assert lint(BAD) == 1
    out = capsys.readouterr().out
    assert "KVM_GET_REGS and 7 more while KVM_EXIT_MMIO was pending" in out
    assert "the guest will see:" in out
    assert "immediate_exit = 1" in out
    assert lint(HIDES) == 3
    assert "-e kvm=vcpu" in capsys.readouterr().out


def test_of_several_files_the_worst_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(GOOD, HIDES) == 3
    assert lint(GOOD, HIDES, BAD) == 1
    assert lint(BAD, "/nowhere/at/all", GOOD) == 2
    streams = capsys.readouterr()
    assert streams.err.count("\n") == 1
    assert "findings" in streams.out  # what could be read was


def test_json_holds_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint("--json", BAD, GOOD) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["verdict"] == "findings"
    bad, good = said["reports"]
    assert (bad["verdict"], good["verdict"]) == ("findings", "clean")
    finding = bad["findings"][0]
    text = Path(BAD).read_text().splitlines()
    assert "KVM_EXIT_MMIO" in text[finding["exit_line"] - 1]
    assert finding["ioctls"][0] in text[finding["line"] - 1]


def test_lanes(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint("--explain", str(LOGS / "qemu-bad-savevm.ftrace")) == 1
    out = capsys.readouterr().out
    assert re.search(r"line +VMM +kernel +guest", out)
    assert re.search(r"KVM_RUN returns 0 +<--- +KVM_EXIT_MMIO +half done: read gpa 0xfed40024", out)
    assert "completes first" in out


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\n\n\n", "empty"),
        (b"\x7fELF\0\0\0\0", "binary"),
        (b"PERFILE2\0\0\0", "perf script"),
        (b"\xff\xfe7\0 \0", "UTF-16"),
        (b"\x1f\x8b\x08\0broken", "gzip"),
        (b"Dear diary,\nno log today.\n", "not a log"),
        ("straße\n".encode("latin-1"), "not a log"),
    ],
)
def test_what_is_no_log_gets_one_line(
    data: bytes, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log"
    path.write_bytes(data)
    assert lint(str(path)) == 2
    streams = capsys.readouterr()
    assert not streams.out.strip()
    assert streams.err.count("\n") == 1
    assert says in streams.err and str(path) in streams.err


def test_what_is_no_file_gets_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for arguments in ([str(tmp_path)], [str(tmp_path / "no")], [], ["--format", "vhs", BAD]):
        assert lint(*arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_bytes_that_are_no_text_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b'7 write(1, "\xff\xfe\xe9", 3) = 3\n' + Path(BAD).read_bytes())
    assert lint(str(path)) == 1


def test_standard_input_and_its_end() -> None:
    run = "import sys; from kvmexit.commands import main; sys.exit(main())"
    command = [sys.executable, "-c", run, "lint", "-"]
    with open(BAD, "rb") as log:
        done = subprocess.run(command, stdin=log, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 1
    assert done.stdout.startswith("standard input: findings")
    empty = subprocess.run(command, input=b"", capture_output=True, timeout=PATIENCE)
    assert empty.returncode == 2


def test_the_help_holds_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        lint("--help")
    out = capsys.readouterr().out
    for word in (
        "strace -f -y -e trace=ioctl -e kvm=vcpu -o",
        "set_event_pid",
        "perf script",
        "trace-cmd report",
        "-trace 'kvm_*'",
        "immediate_exit = 1",
        "kvmexit lint --pid PID",
        "--pair SOURCE DESTINATION",
        "strace-log-merge",
        "KVM_CAP_SYNC_REGS",
        "cannot tell",
        "read repeated",
        "answer dropped",
        "second half lost",
    ):
        assert word in out
    assert max(len(line) for line in out.splitlines()) <= 100


@pytest.mark.skipif(not recording.can_strace(), reason="needs strace with -e kvm=vcpu")
def test_a_command_is_traced_and_judged(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint("--strace", "--", "echo", "out of the way") == 3
    assert "no KVM_RUN in this log" in capsys.readouterr().out
    for arguments in ([], ["--", "no-such-command-here"]):
        assert lint("--strace", *arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not recording.can_strace(), reason="needs strace with -e kvm=vcpu")
def test_a_vmm_is_traced_and_judged(kvm: str, capsys: pytest.CaptureFixture[str]) -> None:
    live = [sys.executable, str(Path(__file__).with_name("live.py"))]
    assert lint("--json", "--strace", "--", *live, "0", "1") == 1  # run 0 saves at once
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    assert [finding["exit"] for finding in report["findings"]] == ["KVM_EXIT_MMIO"]


@pytest.mark.skipif(not recording.can_strace(), reason="needs strace with -e kvm=vcpu")
def test_a_running_vmm_is_followed_and_left_running(kvm: str) -> None:
    """Attached while it waits, judged until Ctrl-C, alive afterwards."""
    script = (
        "import sys; sys.path[:0] = [sys.argv[1]]; print('here', flush=True); sys.stdin.readline();"
        " import live; [print(one['expected'], flush=True) for one in live.main(0, 1)];"
        " sys.stdin.readline()"
    )
    folder = str(Path(__file__).parent)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", script, folder], stdin=pipe, stdout=pipe, text=True
    ) as vmm:
        assert vmm.stdin and vmm.stdout
        assert vmm.stdout.readline() == "here\n"
        run = "import sys; from kvmexit.commands import main; sys.exit(main())"
        command = [sys.executable, "-c", run, "lint", "--json", "--pid", str(vmm.pid)]
        with subprocess.Popen(command, stdout=pipe, text=True, start_new_session=True) as lints:
            status = Path(f"/proc/{vmm.pid}/status")
            until(lambda: "TracerPid:\t0" not in status.read_text(), "strace to attach")
            vmm.stdin.write("\n")
            vmm.stdin.flush()
            assert vmm.stdout.readline() == "True\n"  # run 0 saves at once
            os.killpg(lints.pid, signal.SIGINT)
            said = json.loads(lints.communicate(timeout=PATIENCE)[0])
        assert vmm.poll() is None
        vmm.stdin.close()
    assert lints.returncode == 1
    assert [f["exit"] for f in said["reports"][0]["findings"]] == ["KVM_EXIT_MMIO"]


def test_who_is_not_there_cannot_be_followed(capsys: pytest.CaptureFixture[str]) -> None:
    if recording.can_strace():
        assert lint("--pid", str(1 << 22)) == 2
        assert "no such process" in capsys.readouterr().err
    assert lint("--pid", "1", BAD) == 2


@pytest.mark.parametrize("zipped", [False, True])
def test_what_cannot_seek_is_read_all_the_same(
    zipped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A named pipe, and what a shell makes of `<(zcat log.gz)`."""
    data = Path(BAD).read_bytes()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writes = threading.Thread(
        target=lambda: fifo.write_bytes(gzip.compress(data) if zipped else data)
    )
    writes.start()
    assert lint(str(fifo)) == 1
    writes.join()
    closes = threading.Thread(target=lambda: fifo.write_bytes(b""))
    closes.start()
    assert lint(str(fifo)) == 2
    closes.join()
    assert "empty" in capsys.readouterr().err
    run = "import sys; from kvmexit.commands import main; sys.exit(main())"
    script = f'"{sys.executable}" -c "{run}" lint <(cat "{BAD}")'
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=PATIENCE)
    assert done.returncode == 1
    script = f'cat "{BAD}" | "{sys.executable}" -c "{run}" lint /dev/stdin'
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=PATIENCE)
    assert done.returncode == 1


def test_a_pipe_that_nobody_writes_into_is_named(tmp_path: Path) -> None:
    """To open it waits, for ever perhaps: so a person is told what for, and can write into it."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "kvmexit", "lint", str(pipe)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as lints:
        assert b"pipe is a pipe; waiting for somebody" in lints.stderr.readline()
        pipe.write_bytes(Path(BAD).read_bytes())
        out, err = lints.communicate()
    assert lints.returncode == 1 and b"findings" in out and err == b""


def test_a_pair_is_not_read_from_pipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint("--pair", BAD, "-") == 2
    assert "save it as a file" in capsys.readouterr().err
