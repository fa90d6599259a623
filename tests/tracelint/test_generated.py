"""A share of the generated logs; ``make logs`` takes the whole."""

from __future__ import annotations

import generate
import pytest
from patience import draws

COUNT = draws(1000, in_ci=20000)


def test_no_false_clean_no_false_finding_and_few_doubts() -> None:
    said = [generate.check(seed) for seed in range(COUNT)]
    assert {verdict for verdict, _, _ in said} >= {"clean", "findings", "cannot tell"}
    decide = sum(decides for _, decides, _ in said)
    assert sum(missed for _, _, missed in said) <= generate.MOST * decide


@pytest.mark.parametrize("seed", [66038, 99701])
def test_what_a_long_campaign_found(seed: int) -> None:
    """A cut that leaves a blank; a touch that another VM's KVM_RUN overlaps."""
    generate.check(seed)


def test_the_check_itself_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that takes the beginning of an overlapping call for its place in time is caught."""
    from kvmexit.tracelint.judge import Judge

    settle = Judge._settle
    monkeypatch.setattr(
        Judge, "_settle", lambda self, vcpu, seat, gap=None: settle(self, vcpu, seat)
    )
    with pytest.raises(AssertionError, match="false"):
        for seed in range(1500, 4000):
            generate.check(seed)
