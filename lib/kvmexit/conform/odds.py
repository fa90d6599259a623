"""How many stops a verdict needs: what was sampled, and what it allows to say.

A VMM that saves at once breaks its guest at a stop that comes while the guest's access is
pending. At how many stops of the run it was, is known; at which share of all stops it is *at
least*, is Clopper and Pearson's lower bound (Biometrika 26, 1934).
"""

from __future__ import annotations

from math import exp, lgamma, log

SURE = 0.95
"""How sure a verdict is, and how sure the bound is that it rests on."""


def _at_least(hits: int, stops: int, rate: float) -> float:
    """The probability of ``hits`` or more in ``stops`` draws at ``rate``."""
    whole = lgamma(stops + 1)
    return sum(
        exp(
            whole
            - lgamma(k + 1)
            - lgamma(stops - k + 1)
            + k * log(rate)
            + (stops - k) * log(1 - rate)
        )
        for k in range(hits, stops + 1)
    )


def least_rate(hits: int, stops: int, sure: float = SURE) -> float:
    """The rate that is exceeded with probability ``sure``, given ``hits`` in ``stops``."""
    if hits == 0:
        return 0.0
    if hits == stops:
        return float((1 - sure) ** (1 / stops))
    low, high = 0.0, hits / stops
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_least(hits, stops, middle) < 1 - sure else (low, middle)
    return low


def chance_of_a_break(rate: float, stops: int) -> float:
    """That a VMM which breaks at ``rate`` of its stops has broken in ``stops``."""
    return 1 - (1 - rate) ** stops


def enough(pending: int, stops: int) -> bool:
    """Would a VMM that saves at once have broken in ``stops``, with probability ``SURE``?"""
    return stops > 0 and chance_of_a_break(least_rate(pending, stops), stops) >= SURE


def more_stops(pending: int, stops: int) -> int | None:
    """About how many more stops that takes, if they go on as they went; None: nobody knows."""
    if pending == 0:
        return None
    total = stops
    while not enough(round(pending * total / stops), total):
        total += max(1, stops // 8)
    return total - stops
