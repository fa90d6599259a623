"""When a run has had enough stops."""

from functools import cache
from random import Random

import pytest
from kvmexit.conform.odds import SURE, chance_of_a_break, enough, least_rate, more_stops
from patience import draws


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.6])
def test_the_bound_lies_below_the_rate_as_often_as_it_says(rate):
    random, stops, runs = Random(1), 40, 2000
    bounds = [least_rate(hits, stops) for hits in range(stops + 1)]
    below = sum(
        bounds[sum(random.random() < rate for _ in range(stops))] <= rate for _ in range(runs)
    )
    assert below / runs >= SURE - 0.015  # three standard deviations


@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_a_run_that_stops_when_it_has_enough_is_as_sure_as_it_says(rate):
    """Its stops would have shown a VMM that saves at once, however it came to end there."""
    random, least = Random(2), cache(least_rate)
    sure, runs = 0, draws(100, in_ci=400)
    for _ in range(runs):
        hits = stops = 0
        while stops == 0 or chance_of_a_break(least(hits, stops), stops) < SURE:
            stops, hits = stops + 1, hits + (random.random() < rate)
        sure += chance_of_a_break(rate, stops) >= SURE
    assert sure / runs >= SURE - 0.65 / runs**0.5  # three standard deviations


@pytest.mark.parametrize(
    ("hits", "stops", "bound"),
    # Exact where it can be said in closed form: one hit, and hits alone.
    [(1, 30, 1 - 0.95 ** (1 / 30)), (30, 30, 0.05 ** (1 / 30)), (0, 500, 0.0)],
)
def test_the_bound_where_it_has_a_closed_form(hits, stops, bound):
    assert least_rate(hits, stops) == pytest.approx(bound, abs=1e-9)


def test_a_run_that_never_met_the_access_says_nothing_however_long():
    assert not enough(0, 10**6)
    assert more_stops(0, 50) is None
    assert not enough(0, 0)


@pytest.mark.parametrize(("pending", "stops"), [(1, 3), (2, 40), (5, 20), (3, 3)])
def test_what_is_missing_is_enough(pending, stops):
    more = more_stops(pending, stops)
    total = stops + more
    hits = round(pending * total / stops)
    assert more > 0 and enough(hits, total)
    assert chance_of_a_break(least_rate(hits, total), total) >= SURE
