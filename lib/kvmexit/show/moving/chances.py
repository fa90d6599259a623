"""Suspends that come at random: each falls on the time line of a packet, and counts grow.

Those that find a read pending hang under the line, the others pile up on it. Beneath, the share of
the first against the formula, and how far chance may lead it away.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import exp, sqrt

from kvmexit.errors import KvmExitError
from kvmexit.exits import Lane
from kvmexit.packet.experiment import Scenario, response_of
from kvmexit.packet.timing import (
    Costs,
    Cycle,
    Odds,
    expected_share,
    packet_seconds,
    simulate,
    windows,
)
from kvmexit.show.moving.drawing import ALARM, WIDEST, line, svg, words
from kvmexit.show.moving.picture import Frame, Picture
from kvmexit.show.vocabulary import LANES

WIDE, LINE, TALL = 350, 96, 300
DOT, APART = 3.0, 3.6
"""How thick a suspend is drawn, and how far apart two of a pile lie."""
TOP, BOTTOM, LEFT = 186, 282, 34
"""The chart of the share."""
PACKET = Scenario(response_of(16), policy="skip-entry")


def chances(suspends: int = 1000) -> Picture:
    """``suspends`` (20 to 2000) of a guest that reads a packet of 16 bytes, and then thinks as long
    as that on the mean. The clock is SimPy's, its seed and its times are the library's own."""
    if not 20 <= suspends <= 2000:
        raise KvmExitError(f"the picture draws 20 to 2000 suspends, not {suspends}")
    costs = Costs()
    reading = packet_seconds(PACKET, costs)
    cycle = Cycle(think=reading, period=20 * reading)
    odds = simulate(PACKET, cycle, suspends, costs=costs)
    share = expected_share(PACKET, cycle, costs)
    steps = _steps(suspends)
    found = [sum(pending for _, pending in odds.landed[:n]) for n in steps]
    frames = tuple(
        Frame(
            _says(n, hits, share), f'<div style="aspect-ratio:{WIDE}/{TALL};max-width:440px"></div>'
        )
        for n, hits in zip(steps, found)
    )
    still = [*_axis(costs, reading), *_dots(odds, steps, reading, costs)]
    still += _chart(steps, found, share)
    return Picture(
        "chances",
        "Suspends that come at random",
        "Suspends",
        frames,
        len(frames) - 1,
        "\n".join(frame.says for frame in frames if frame is frames[-1] or frame is frames[20]),
        svg(WIDE, TALL, "".join(still), widest=WIDEST),
        plays=True,
        widest=WIDEST,
    )


def _steps(suspends: int) -> list[int]:
    """After how many suspends there is a frame: after each at first, later after more."""
    grown = [*range(20), *range(20, 100, 5), *range(100, 300, 20), *range(300, suspends, 50)]
    return [n for n in grown if n < suspends] + [suspends]


def _says(n: int, hits: int, share: float) -> str:
    if not n:
        return f"No suspend yet. The formula expects a share of {share:.3f} to find a read pending."
    return (
        f"{n} suspend{'' if n == 1 else 's'}, {hits} found a read pending: {hits / n:.3f} of them."
        f" The formula says {share:.3f}."
    )


def _axis(costs: Costs, reading: float) -> Iterator[str]:
    """The packet with its windows, to scale, and the thinking after it, as one share."""
    half = WIDE / 2
    yield line(0, LINE, WIDE, LINE, "currentColor", 'stroke-opacity=".6"')
    yield "".join(
        f'<rect x="{half * a / reading:.1f}" y="{LINE - 4}" width="{half * (b - a) / reading:.1f}"'
        f' height="8" fill="{ALARM}"/>'
        for a, b in windows(PACKET, costs)
    )
    yield line(half, LINE - 12, half, LINE + 12, LANES[Lane.GUEST].colour, 'stroke-width="2"')
    yield words("reads a packet", half / 2, 14)
    yield words("thinks …", half * 1.5, 14)


def _dots(odds: Odds, steps: list[int], reading: float, costs: Costs) -> Iterator[str]:
    """Each suspend in its column; those of one frame are one path."""
    columns = round(2 * reading / costs.round_trip)  # half a round trip is one
    wide = WIDE / 2 / columns
    piles: dict[tuple[int, bool], int] = {}
    for at, (before, after) in enumerate(pairwise(steps)):
        paths = {True: "", False: ""}
        for seconds, pending in odds.landed[before:after]:
            where = seconds / reading
            if where > 1:  # a thought has no longest: its end is where the scale ends
                where = 2 - exp(1 - where)
            column = int(where * columns)
            high = piles[column, pending] = piles.get((column, pending), 0) + 1
            y = LINE + (10 + high * APART if pending else -8 - high * APART)
            paths[pending] += f"M{(column + 0.5) * wide:.1f} {y:.1f}h0"
        for pending, path in paths.items():
            if path:
                colour, cap = (ALARM, "square") if pending else ("currentColor", "round")
                # In the style, for a chart of matplotlib's on the same page has a rule for all.
                style = f"--k:{at + 2};stroke-linecap:{cap}"
                yield f'<path style="{style}" stroke="{colour}" stroke-width="{DOT}" d="{path}"/>'


def _chart(steps: list[int], found: list[int], share: float) -> Iterator[str]:
    """The share after each number of suspends, against the formula's."""
    top = 3 * share

    def x(at: int) -> float:
        return LEFT + (WIDE - LEFT) * at / (len(steps) - 1)

    def y(value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * max(0.0, min(value / top, 1))

    spread = [2 * sqrt(share * (1 - share) / n) for n in steps[1:]]
    upper = [f"{x(at):.1f} {y(share + s):.1f}" for at, s in enumerate(spread, start=1)]
    lower = [f"{x(at):.1f} {y(share - s):.1f}" for at, s in enumerate(spread, start=1)]
    yield f'<path d="M{"L".join([*upper, *reversed(lower)])}z" fill-opacity=".12"/>'
    yield line(LEFT, y(share), WIDE, y(share), "currentColor", 'stroke-dasharray="5 4"')
    yield words(f"{share:.2f}", 0, y(share) + 5, "start")
    yield words("0", 0, BOTTOM + 4, "start")
    yield words("share of them, and the formula's", WIDE, TOP + 12, "end")
    yield words("1", LEFT, TALL - 3, "start")
    yield words(f"{steps[-1]} suspends", WIDE, TALL - 3, "end")
    shares = [hits / n for n, hits in zip(steps[1:], found[1:])]
    for at, (before, after) in enumerate(pairwise([shares[0], *shares]), start=1):
        stroke = line(x(max(1, at - 1)), y(before), x(at), y(after), ALARM, 'stroke-width="2.5"')
        yield f'<g style="--k:{at + 1}">{stroke}</g>'
