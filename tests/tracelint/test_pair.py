"""Two logs of one restore: the byte is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from kvmexit.commands import main
from kvmexit.errors import KvmExitError
from kvmexit.tracelint.pair import compare

VMMS = Path(__file__).parent / "vmms"


def pair(of: str) -> tuple[str, str]:
    return tuple(str(VMMS / f"firecracker-{of}-{end}.ftrace") for end in ("source", "destination"))


def test_a_byte_that_nobody_received_and_one_that_came_twice() -> None:
    (missing,) = compare(*pair("reader-pvm"))
    assert (missing.kind, missing.values) == ("missing", (0x4F,))
    (twice,) = compare(*pair("writer-svm"))
    assert (twice.kind, twice.values) == ("repeated", (0xC8,))


LINE = " cpu0-7 [000] ..... 1.{:06}: {}\n"
READ = "kvm_pio: pio_read at 0x3f8 size 1 count 1 val {:#x}"
EXIT, EINTR = "kvm_userspace_exit: reason KVM_EXIT_IO (2)", "kvm_userspace_exit: reason restart (4)"


def log(path: Path, *events: str) -> str:
    path.write_text("".join(LINE.format(n, event) for n, event in enumerate(events)))
    return str(path)


@pytest.mark.parametrize(
    ("values", "ends", "then", "kind"),
    [
        ((1, 2, 3), EXIT, 4, "whole"),
        ((1, 2, 3), EXIT, 5, "missing"),
        ((1, 2, 3), EXIT, 7, "missing"),
        ((254, 255, 0), EXIT, 2, "missing"),
        ((9, 9, 9), EXIT, 9, "repeated"),
        ((1,), EXIT, 7, "repeated"),
        ((1, 2, 3), EINTR, 4, "whole"),
    ],
)
def test_what_lies_between(
    tmp_path: Path, values: tuple[int, ...], ends: str, then: int, kind: str
) -> None:
    before = [text for value in values for text in (EXIT, READ.format(value))]
    source = log(tmp_path / "a", *before, ends)
    destination = log(tmp_path / "b", EXIT, READ.format(then))
    (found,) = compare(source, destination)
    assert found.kind == kind
    if kind == "missing":
        assert found.values[0] == (values[-1] + 1) % 256 and len(found.values) == (
            (then - values[-1]) % 256 - 1
        )


def test_what_is_no_pair_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = log(tmp_path / "a", EXIT, READ.format(1))
    (tmp_path / "b").write_text("7 ioctl(5, KVM_RUN, 0) = 0\n")
    with pytest.raises(KvmExitError, match="no values"):
        compare(good, str(tmp_path / "b"))
    assert main(["lint", "--pair", good]) == 2
    assert "two files" in capsys.readouterr().err
    assert main(["lint", "--pair", *pair("reader-pvm")]) == 1
    assert "0x4f is missing" in capsys.readouterr().out
