"""A log is Linux's wherever it is read: errors have Linux's names and numbers."""

import errno
import sys
from pathlib import Path

import pytest
from kvmexit.tracelint import lint
from kvmexit.tracelint.errors import NAMES, NUMBERS

LOGS = Path(__file__).parents[2] / "book" / "logs"


@pytest.mark.skipif(sys.platform != "linux", reason="no Linux: other numbers")
def test_the_table_is_that_of_linux() -> None:
    assert {name: getattr(errno, name) for name in NUMBERS if hasattr(errno, name)}.items() <= (
        NUMBERS.items()
    )
    assert set(errno.errorcode) <= set(NAMES)


@pytest.mark.parametrize("suffix", ["strace", "ftrace"])
def test_the_numbers_of_the_machine_that_reads_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """In a browser, EINTR is 27: a clean log became one that cannot tell."""
    path = LOGS / f"probe-fix-mmio.{suffix}"
    here = lint(str(path))
    monkeypatch.setattr(errno, "EINTR", 27)
    monkeypatch.setattr(errno, "errorcode", {27: "EINTR", 4: "EOTHER"})
    there = lint(str(path))
    assert there.verdict is here.verdict and here.verdict.value == "clean"
    assert there.findings == here.findings and there.reasons == here.reasons
