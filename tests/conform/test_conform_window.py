"""Where the pauses land is foretold by a log, and the log has nobody else in it."""

import os
import subprocess
from pathlib import Path

import pytest
from conform_json import validated
from kvmexit.conform import VMMS, Plan, Result, judge, summary
from kvmexit.conform.guests import GUESTS, POP
from kvmexit.conform.harness import Seen
from kvmexit.conform.landing import Access
from kvmexit.conform.record import TRACEFS, Tracefs
from kvmexit.conform.report import as_json
from kvmexit.conform.sequence import undisturbed
from kvmexit.conform.window import Foretold, foretell, window
from kvmexit.errors import KvmExitError


def log(path: Path, reads: int, waits: int, outside: float = 3e-6, inside: float = 1e-6) -> Path:
    """A guest that reads the data register ``reads`` times and the status ``waits`` times, in
    turn if both; the last read is pending when its vCPU is asked to leave, 2 us later."""
    now, lines = 100.0, []

    def said(after: float, what: str) -> None:
        nonlocal now
        now += after
        lines.append(f"  fc_vcpu 0-77  [001] .....  {now:.6f}: {what}\n")

    places = {0x3F8: "100002e", 0x3FD: "1000025"}
    for at in [0x3FD] * waits + [0x3F8] * reads:
        said(0, "sys_ioctl(fd: 0x12, cmd: 0xae80, arg: 0)")
        said(4e-6, f"kvm_emulate_insn: 0:{places[at]}:ec (prot32)")
        said(inside, "kvm_userspace_exit: reason KVM_EXIT_IO (2)")
        said(0, "sys_ioctl -> 0x0")
        said(outside, "sys_ioctl(fd: 0x12, cmd: 0xae80, arg: 0)")
        said(2e-6, f"kvm_pio: pio_read at {at:#x} size 1 count 1 val 0x31 ")
    said(0, "sys_ioctl(fd: 0x12, cmd: 0xae80, arg: 0)")
    said(4e-6, "kvm_emulate_insn: 0:100002e:ec (prot32)")
    said(inside, "kvm_userspace_exit: reason KVM_EXIT_IO (2)")
    said(2e-6, "sys_tgkill(tgid: 0x4c, pid: 0x4d, sig: 0x22)")
    said(9e-3, "sys_tgkill(tgid: 0x4c, pid: 0x4d, sig: 0x22)")
    path.write_text("# tracer: nop\n" + "".join(lines))
    return path


def test_the_share_is_that_of_the_reads_that_are_asked_for(tmp_path: Path) -> None:
    seen = window(log(tmp_path / "a", reads=30, waits=20), POP)
    assert seen.reads == 31
    assert seen.seconds == pytest.approx(50 * 10e-6 + 7e-6, rel=0.01)
    assert seen.pending == pytest.approx(30 * 4e-6 + 3e-6, rel=0.02)
    assert window(tmp_path / "a", frozenset({Access(True, 0x3FD)})).reads == 20
    assert window(tmp_path / "a", GUESTS["writer"].pending).share == 0


def test_only_the_time_counts_in_which_the_pause_could_have_come(tmp_path: Path) -> None:
    """The guest that waited for its first bytes is not the one that was stopped."""
    path = log(tmp_path / "a", reads=30, waits=500)
    assert window(path, POP).share < 0.03
    last = window(path, POP, span=100e-6)
    assert last.seconds == pytest.approx(100e-6, rel=0.01)
    assert 0.3 < last.share < 0.5


def test_shares_of_several_stops_are_added_up(tmp_path: Path) -> None:
    logs = [log(tmp_path / str(n), reads=n, waits=40 - n) for n in range(2, 41, 2)]
    told = foretell(logs, POP)
    each = [window(one, POP).share for one in logs]
    assert (told.stops, told.reads) == (20, sum(range(3, 42, 2)))
    assert told.pending == pytest.approx(sum(each)) and told.share == pytest.approx(sum(each) / 20)
    assert told.spread == pytest.approx((20 * told.share * (1 - told.share)) ** 0.5)


def test_it_stands_beside_what_was_seen_and_a_break_in_what_the_guest_said() -> None:
    said = undisturbed(300)
    judgement = judge(Seen(GUESTS["reader"], False, said[:110] + said[112:], [100], [1]))
    plan = Plan(VMMS["qemu"], "qemu", GUESTS["reader"], stops=1, trace="tracefs")
    result = Result(plan, judgement, 1.0, "", [], Foretold(1, 26, 0.25, 0.25, 0.43))
    text = " ".join(" ".join(summary(result)).split())
    assert "the logs foretell 0.2 of 1 stop with the access pending" in text
    assert "one standard deviation is 0.4); seen: 1" in text
    assert "round the first break the guest said: 6b 6c 6d 6e 71 72 73 74" in text
    document = validated(as_json(result))
    assert document["foretold"]["share"] == 0.25
    assert document["first_break"]["around"].split()[4] == "71"


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
