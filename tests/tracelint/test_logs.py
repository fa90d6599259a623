"""The book's real logs get the right verdict, for the right reason."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from kvmexit.tracelint import Report, Verdict, lint, lint_bytes

LOGS = Path(__file__).parents[2] / "book" / "logs"
NAMES = sorted(path.name for path in LOGS.iterdir() if path.suffix != ".md")

# What each log shows, read by hand: (first line of the finding, exit, direction, place, effect).
FOUND = {
    "probe-bug-insb.ftrace": ("KVM_EXIT_IO", "read", "", "read repeated"),
    "probe-bug-mmio.ftrace": ("KVM_EXIT_MMIO", "read", "gpa 0xd0024 len 1", "read repeated"),
    "probe-bug-mmio.perfscript": ("KVM_EXIT_MMIO", "read", "gpa 0xd0024 len 1", "read repeated"),
    "probe-bug-mmio.strace-kvm": ("KVM_EXIT_MMIO", "", "", "does not show the direction"),
    "probe-bug-rmw.ftrace": ("KVM_EXIT_MMIO", "read", "gpa 0xd0024 len 1", "read repeated"),
    "probe-ignore-rmw.ftrace": ("KVM_EXIT_MMIO", "write", "gpa 0xd0024 len 1", "second half"),
    "qemu-vapic.strace-kvm": ("KVM_EXIT_IO", "", "", "does not show the direction"),
    "qemu-bad-savevm.ftrace": ("KVM_EXIT_MMIO", "read", "gpa 0xfed40024 len 1", "answer dropped"),
    "qemu-bad-savevm.derived.qtrace": ("KVM_EXIT_MMIO", "", "", "does not show the direction"),
}
HIDDEN = {
    "probe-bug-mmio.strace": "for a reason that the log does not give",
    "probe-bug-xpage.strace": "for a reason that the log does not give",
    "qemu-bad-savevm.strace": "for a reason that the log does not give",
    "qemu-bad-savevm.qtrace": "does not show that the kernel completed anything",
    "qemu-good-savevm.qtrace": "does not show that the kernel completed anything",
}


def report(name: str) -> Report:
    return lint(str(LOGS / name))


def test_every_log_has_its_place_here() -> None:
    clean = {name for name in NAMES if "-fix-" in name or "-good-" in name} - set(HIDDEN)
    assert set(NAMES) == set(FOUND) | set(HIDDEN) | clean


@pytest.mark.parametrize("name", sorted(FOUND))
def test_findings_name_the_exit_and_what_the_guest_will_see(name: str) -> None:
    said = report(name)
    assert said.verdict is Verdict.FINDINGS
    exit, direction, where, effect = FOUND[name]
    first = said.findings[0]
    assert (first.exit, first.direction, first.where) == (exit, direction, where)
    assert effect in first.effect
    log = (LOGS / name).read_text().splitlines()
    for line in first.lines:  # each line it shows is that line of the file
        assert line.text == log[line.number - 1].strip()[:240].strip()
    assert first.exit_line < first.line


@pytest.mark.parametrize("name", sorted(HIDDEN))
def test_what_a_format_hides_is_said(name: str) -> None:
    said = report(name)
    assert said.verdict is Verdict.CANNOT_TELL
    assert HIDDEN[name] in said.reasons[0]


def saves_in(name: str) -> set[tuple[str, ...]]:
    """What QEMU logged from an exit to the next one, if it read the registers in between: the
    events without their times and pointers."""
    windows, window = set(), None
    for line in (LOGS / name).read_text().splitlines():
        event = line.split(":", 1)[-1].split(", arg")[0]
        if line.startswith("#"):  # a cut
            window = None
        elif event.startswith("kvm_run_exit"):
            if window and any("0x8090ae81" in one for one in window):
                windows.add(tuple(window))
            window = [event]
        elif window is not None and event.startswith("kvm_"):
            window.append(event)
    return windows


def test_qemus_log_of_a_good_save_and_of_a_bad_one_are_the_same() -> None:
    """So no reader can call one clean and not the other: both are *cannot tell*."""
    bad, good = saves_in("qemu-bad-savevm.qtrace"), saves_in("qemu-good-savevm.qtrace")
    assert bad and bad <= good
    assert report("qemu-bad-savevm.qtrace").verdict is Verdict.CANNOT_TELL
    assert report("qemu-good-savevm.qtrace").verdict is Verdict.CANNOT_TELL


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(FOUND) - set(HIDDEN)))
def test_good_logs_are_clean(name: str) -> None:
    said = report(name)
    assert said.verdict is Verdict.CLEAN
    assert not said.reasons
    assert said.fine or said.drains


def test_the_two_bad_saves_of_qemu_are_both_found() -> None:
    said = report("qemu-bad-savevm.ftrace")
    assert [finding.where for finding in said.findings] == [
        "gpa 0xfed40024 len 1",
        "gpa 0xfed40018 len 1",
    ]
    assert all("KVM_SET_REGS" in finding.ioctls for finding in said.findings)


def test_gzip_and_windows_line_ends(tmp_path: Path) -> None:
    data = (LOGS / "probe-bug-mmio.ftrace").read_bytes()
    zipped = tmp_path / "log.gz"
    zipped.write_bytes(gzip.compress(data))
    assert lint(str(zipped)).verdict is Verdict.FINDINGS
    assert lint_bytes(data.replace(b"\n", b"\r\n")).findings[0].line == 55


def test_reading_in_small_pieces_changes_nothing() -> None:
    class Drip:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def read(self, size: int = -1, /) -> bytes:
            piece, self.data = self.data[:97], self.data[97:]
            return piece

    from kvmexit.tracelint import lint_stream

    for name in NAMES:
        data = (LOGS / name).read_bytes()
        whole, dripped = lint_bytes(data, name), lint_stream(Drip(data), name, whole_format(name))
        assert whole.as_json() == dripped.as_json()


def whole_format(name: str) -> str:
    suffix = name.rpartition(".")[2]
    formats = {"ftrace": "tracefs", "perfscript": "perf", "qtrace": "qemu"}
    return formats.get(suffix, "strace")


def test_formats_are_told_from_the_content() -> None:
    for name in NAMES:
        assert report(name).format == whole_format(name)


def test_a_log_without_ioctls_that_ends_with_a_read_pending_is_not_clean() -> None:
    """The source of a bad migration looks so: the second request is made elsewhere."""
    lines = (LOGS / "probe-fix-mmio.perfscript").read_bytes().splitlines(keepends=True)
    verdicts = {True: set(), False: set()}
    for end in range(1, len(lines) + 1):
        accesses = [line for line in lines[:end] if b"kvm_mmio:" in line]
        pending = bool(accesses) and b"unsatisfied-read" in accesses[-1]
        verdicts[pending].add(lint_bytes(b"".join(lines[:end]), format="perf").verdict)
    assert verdicts[True] == {Verdict.CANNOT_TELL}
    assert Verdict.CLEAN in verdicts[False]
