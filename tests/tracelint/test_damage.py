"""A fixed share of the damaged logs of :mod:`fuzz`; ``python fuzz.py`` takes the whole."""

from __future__ import annotations

import fuzz
import pytest
from patience import draws


def test_damage_never_crashes_and_never_cleans() -> None:
    said = {fuzz.check(seed) for seed in range(draws(700, in_ci=2000))}
    assert {"findings", "cannot tell", "clean", "refused"} == said


def test_the_check_itself_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that ignores what it does not understand is caught."""
    from kvmexit.tracelint.judge import Judge

    monkeypatch.setattr(Judge, "_lost", lambda self, event, seats: None)
    with pytest.raises(AssertionError, match="false clean"):
        for seed in range(2500):
            fuzz.check(seed)
