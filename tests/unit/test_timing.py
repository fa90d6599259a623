"""Odds by the clock against odds by the formula."""

import math
from dataclasses import replace

import pytest
from kvmexit.packet.experiment import Scenario, response_of
from kvmexit.packet.outcome import Kind
from kvmexit.packet.races import recorded_race
from kvmexit.packet.timing import Costs, Cycle, expected_share, simulate

WRONG = Scenario(response_of(32), policy="skip-entry")


@pytest.mark.parametrize(
    "cycle", [Cycle(0, 0, 0.01), Cycle(0, 0.0005, 0.01), Cycle(0.001, 0.002, 0.02)]
)
def test_simulation_and_formula_agree(cycle):
    suspends = 800
    odds = simulate(WRONG, cycle, suspends)
    share = expected_share(WRONG, cycle)
    tolerance = 4 * math.sqrt(share * (1 - share) / suspends)
    assert odds.suspends == suspends
    assert odds.pending / suspends == pytest.approx(share, abs=tolerance)


def test_every_pending_read_spoils_a_packet():
    odds = simulate(WRONG, Cycle(0, 0.001, 0.01), 400)
    assert odds.pending == odds.bad == odds.outcomes[Kind.MISSING] > 0


def test_drain_finds_as_many_and_spoils_none():
    right = Scenario(response_of(32), policy="drain")
    odds = simulate(right, Cycle(0, 0.001, 0.01), 400)
    assert odds.pending > 0 and odds.bad == 0 and set(odds.outcomes) == {Kind.OK}


def test_the_same_seed_counts_the_same():
    cycle = Cycle(0, 0.0005, 0.01)
    assert simulate(WRONG, cycle, 100, seed=5) == simulate(WRONG, cycle, 100, seed=5)


def test_a_vmm_that_is_never_outside_finds_nothing_pending():
    odds = simulate(WRONG, Cycle(0, 0, 0.01), 100, costs=Costs(outside=0.0))
    assert odds.pending == 0


# ------------------------------------------------------------------------ the recorded race

LIMIT = 3  # standard deviations


@pytest.mark.parametrize("tally", recorded_race().tallies, ids=lambda t: f"{t.think * 1e3:g}ms")
def test_the_formula_says_what_the_recorded_race_counted(tally):
    assert abs(tally.deviation) < LIMIT


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_with_another_window_it_would_not(factor):
    wrong = [
        replace(tally, outside_seconds=factor * tally.outside_seconds)
        for tally in recorded_race().tallies
    ]
    assert max(abs(tally.deviation) for tally in wrong) > LIMIT


def test_the_deviations_of_the_recorded_race_lie_on_both_sides_or_near():
    """A bias would be small in each row and large in the mean."""
    deviations = [tally.deviation for tally in recorded_race().tallies]
    assert abs(sum(deviations)) / math.sqrt(len(deviations)) < LIMIT
