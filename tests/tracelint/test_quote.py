"""Excerpts: the lines that were asked for, without who and when, and cut visibly."""

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.tracelint import excerpt

LOGS = {
    "tracefs": "         python3-935     [001] .n...  3323.832509: kvm_mmio: mmio read",
    "perf": "         python3 32608 [000]  3274.341213:           kvm_mmio: mmio read",
    "qemu": "30578@1795459444.979588:kvm_mmio: mmio read",
    "strace": "32070 kvm_mmio: mmio read",
    "strace -tt": "32117 18:45:32.179648 kvm_mmio: mmio read",
}


@pytest.mark.parametrize("line", LOGS.values(), ids=LOGS)
def test_the_prefix_goes_and_the_rest_stays(tmp_path, line):
    log = tmp_path / "log"
    log.write_text(f"# a comment\n{line}\n")
    assert excerpt(str(log), 1, 2) == "   1  # a comment\n   2  kvm_mmio: mmio read"


def test_a_long_line_is_cut_and_shows_it(tmp_path):
    log = tmp_path / "log"
    log.write_text("a" * 100)
    assert excerpt(str(log), 1, 1, width=20) == f"   1  {'a' * 12} …"


def test_lines_may_be_passed_over_and_keep_their_numbers(tmp_path):
    log = tmp_path / "log"
    log.write_text("one\ntwo\nthree\n")
    assert excerpt(str(log), 1, 3, without="two") == "   1  one\n   3  three"


@pytest.mark.parametrize(("first", "last"), [(0, 1), (2, 1), (1, 4)])
def test_lines_that_are_not_there(tmp_path, first, last):
    log = tmp_path / "log"
    log.write_text("one\ntwo\nthree\n")
    with pytest.raises(KvmExitError, match="has lines 1 to 3"):
        excerpt(str(log), first, last)
