"""A share of the generated logs; ``make logs`` takes the whole."""

from __future__ import annotations

import generate
import pytest
from patience import draws

COUNT = draws(1000, in_ci=20000)


def test_no_false_clean_no_false_finding_and_few_doubts() -> None:
    said = [generate.check(seed) for seed in range(COUNT)]
    assert {verdict for verdict, _ in said} >= {"clean", "findings", "cannot tell"}
    decide = sum(generate.case(seed).decides for seed in range(COUNT))
    assert sum(missed for _, missed in said) <= generate.MOST * decide


def test_the_check_itself_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that takes the end of an overlapping call for its place in time is caught."""
    from kvmexit.tracelint.judge import Judge

    monkeypatch.setattr(Judge, "_gaps", lambda self, vcpu, seat, thread: {seat.gap})
    with pytest.raises(AssertionError, match="false"):
        for seed in range(20000):
            generate.check(seed)
