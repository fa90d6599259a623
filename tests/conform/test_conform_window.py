"""Where the pauses land is foretold by a log, and the log has nobody else in it."""

import os
import subprocess
from pathlib import Path

import pytest
from kvmexit.conform.guests import GUESTS, POP
from kvmexit.conform.landing import Access
from kvmexit.conform.record import TRACEFS, Tracefs
from kvmexit.conform.window import foretell, window
from kvmexit.errors import KvmExitError


def log(path: Path, reads: int, waits: int, outside: float = 3e-6, inside: float = 1e-6) -> Path:
    """A guest that reads the data register ``reads`` times and the status ``waits`` times."""
    now, lines = 100.0, []

    def said(after: float, what: str) -> None:
        nonlocal now
        now += after
        lines.append(f"  fc_vcpu 0-77  [001] .....  {now:.6f}: {what}\n")

    for at in [0x3F8] * reads + [0x3FD] * waits:
        said(0, "sys_ioctl(fd: 0x12, cmd: 0xae80, arg: 0)")
        said(4e-6, "kvm_emulate_insn: 0:1000025:ec (prot32)")
        said(inside, "kvm_userspace_exit: reason KVM_EXIT_IO (2)")
        said(0, "sys_ioctl -> 0x0")
        said(outside, "sys_ioctl(fd: 0x12, cmd: 0xae80, arg: 0)")
        said(2e-6, f"kvm_pio: pio_read at {at:#x} size 1 count 1 val 0x31 ")
    said(0, "kvm_userspace_exit: reason KVM_EXIT_IO (2)")
    path.write_text("# tracer: nop\n" + "".join(lines))
    return path


def test_the_share_is_that_of_the_reads_that_are_asked_for(tmp_path: Path) -> None:
    seen = window(log(tmp_path / "a", reads=30, waits=20), POP)
    assert seen.reads == 30
    assert seen.outside == pytest.approx(30 * 3e-6, rel=0.01)
    assert seen.inside == pytest.approx(30 * 1e-6, rel=0.01)
    assert seen.seconds == pytest.approx(50 * 10e-6, rel=0.01)
    assert seen.share == pytest.approx(30 * 4 / 500, rel=0.01)
    assert window(tmp_path / "a", frozenset({Access(True, 0x3FD)})).reads == 20
    assert window(tmp_path / "a", GUESTS["writer"].pending).reads == 0


def test_shares_of_several_stops_are_added_up(tmp_path: Path) -> None:
    logs = [log(tmp_path / str(n), reads=n, waits=10 - n) for n in range(11)]
    told = foretell(logs, POP)
    assert (told.stops, told.reads) == (11, 55)
    assert told.pending == pytest.approx(sum(n * 4 / 100 for n in range(11)), rel=0.01)
    assert told.share == pytest.approx(told.pending / 11)
    assert 0 < told.spread < told.pending


def test_an_empty_log_foretells_nothing(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    assert foretell([empty], POP).pending == foretell([], POP).pending == 0


def test_nothing_is_recorded_before_the_instance_knows_whom_to_follow(tmp_path: Path) -> None:
    """Somebody else's KVM was in a log once: recording had begun before the process was named."""
    try:
        recorder = Tracefs(tmp_path)
    except KvmExitError as problem:
        pytest.skip(str(problem))
    instance = TRACEFS / "instances" / f"kvmexit-{os.getpid()}"
    try:
        for number in range(2):
            command = recorder.before(["cat", f"{instance}/set_event_pid"], number)
            assert (instance / "tracing_on").read_text().strip() == "0"
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert said.strip().isdecimal()
            assert (instance / "tracing_on").read_text().strip() == "1"
            recorder.after()
    finally:
        recorder.close()
