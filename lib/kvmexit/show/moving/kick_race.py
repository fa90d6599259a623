"""The race of a kick: where its acts land, and whether the thread of the vCPU comes out.

Every kick at once, each a piece of lanes. The acts glide along the steps of the vCPU's thread as
the slider moves; what the thread makes of them is what the model has run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations_with_replacement
from typing import Any

from kvmexit.exits import Lane, What
from kvmexit.packet.kicks import KICKS, Act, Place, Race, kick_races
from kvmexit.show.moving.drawing import ALARM, alarm, lanes, line, mark, shape, svg, words
from kvmexit.show.moving.picture import Frame, Picture
from kvmexit.show.vocabulary import ACTS, LANES, STEPS

WIDE, TALL, LEFT = 340, 102, 54
ROWS = {Lane.HOST: 12.0, Lane.GUEST: 36.0, Lane.KERNEL: 57.0, Lane.VMM: 78.0}
COLUMNS = {Place.BEFORE: 76.0, Place.BETWEEN: 142.0, Place.INSIDE: 226.0}
LOOK, ENTRY, RUNS, BACK, AGAIN = 108, 180, 196, 268, 300
"""Where the thread's own steps stand: look, entry, the guest's start, EINTR, the second look."""
STYLE = """
.kxp-kicks{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));
 gap:.1rem .8rem}
.kxp-kicks p{display:flex;justify-content:space-between;margin:0;max-width:340px;line-height:1.3}
"""


def kicks() -> Picture:
    """Every kick of :data:`kvmexit.packet.KICKS`, at every landing of two acts; a kick of one act
    lands where the first of two does."""
    places = list(combinations_with_replacement(Place, 2))
    races = {kick: {race.places: race for race in kick_races(kick)} for kick in KICKS}
    frames = []
    for pair in places:
        at = {kick: races[kick][pair[: len(acts)]] for kick, acts in KICKS.items()}
        frames.append(
            Frame(_says(pair, at), _panels(_outcome, at), _mark(at), _moves(at)),
        )
    lost = [sum(not races[k][p[: len(KICKS[k])]].stops for k in KICKS) for p in places]
    return Picture(
        "kick",
        "Where the acts of a kick land",
        "Landing",
        tuple(frames),
        lost.index(max(lost)),
        _text(races),
        _panels(_backdrop, dict.fromkeys(KICKS)),
        STYLE,
    )


def _says(pair: tuple[Place, Place], at: dict[str, Race]) -> str:
    lost = [kick for kick, race in at.items() if not race.stops]
    first, second = (place.value for place in pair)
    where = f"Both acts land {first}" if first == second else f"First act {first}, second {second}"
    end = f"never stops: {'; '.join(lost)}" if lost else "every kick stops"
    return f"{where}: {end}."


def _mark(at: dict[str, Race]) -> str:
    return "×" if any(not race.stops for race in at.values()) else "·"


def _panels(draw: Callable[[str, Any], str], at: Mapping[str, Race | None]) -> str:
    return (
        '<div class="kxp-kicks">'
        + "".join(draw(kick, race) for kick, race in at.items())
        + "</div>"
    )


def _number(kick: str, act: int) -> int:
    """Of an act, among the parts that move."""
    return 2 * list(KICKS).index(kick) + act


def _beside(race: Race, act: int) -> int:
    """Two acts of one kick stand side by side, also where they land in one place."""
    return (-9, 9)[act] if len(race.places) == 2 else 0


def _moves(at: dict[str, Race]) -> dict[int, tuple[float, float]]:
    """How far each act is from the first place."""
    moves = {}
    for kick, race in at.items():
        for act, place in enumerate(race.places):
            x = COLUMNS[place] + _beside(race, act)
            moves[_number(kick, act)] = (x - COLUMNS[Place.BEFORE], 0.0)
    return moves


def _backdrop(kick: str, _: None) -> str:
    """What is the same at each landing: the lanes, and the acts, which glide."""
    acts = "".join(
        f'<g class="kxp-m{_number(kick, n)}">'
        + shape(ACTS[act], COLUMNS[Place.BEFORE], ROWS[Lane.HOST], LANES[Lane.HOST].colour)
        + "</g>"
        for n, act in enumerate(KICKS[kick])
    )
    drawn = svg(WIDE, TALL, lanes(ROWS, LEFT, WIDE) + acts)
    return f"<div><p><strong>{kick}</strong></p>{drawn}</div>"


def _outcome(kick: str, race: Race) -> str:
    """What the thread did at one landing."""
    end = "stops" if race.stops else alarm("× never stops")
    drawn = svg(WIDE, TALL, "".join([*_acts(race), *_thread(race)]), f"{kick}: {_told(race)}")
    return f"<div><p><span>&nbsp;</span><span>{end}</span></p>{drawn}</div>"


def _told(race: Race) -> str:
    return "; ".join(f"{LANES[deed.lane].name} {deed.words}" for deed in race.story)


def _acts(race: Race) -> Iterator[str]:
    """What each act that was made does: a flag lies in the kernel until it is looked at, a signal
    reaches a guest that is in, and is spent otherwise."""
    whats = [deed.what for deed in race.story]
    host, colour = ROWS[Lane.HOST], LANES[Lane.HOST].colour
    for n in range(whats.count(What.REQUEST)):
        place = race.places[n]
        x = COLUMNS[place] + _beside(race, n)
        if KICKS[race.kick][n] is Act.FLAG:
            y = ROWS[Lane.KERNEL]
            end = BACK - 8 if What.EINTR in whats else WIDE if What.ENTRY in whats else LOOK
            yield line(x, y, end, y, LANES[Lane.KERNEL].colour, 'stroke-width="5"')
            yield line(x, host + 8, x, y, colour, 'stroke-width="2"')
        elif place is Place.INSIDE:
            yield line(x, host + 8, x, ROWS[Lane.GUEST], colour, 'stroke-width="2"')
        else:
            y = ROWS[Lane.GUEST]
            yield line(x, host + 8, x, y, colour, 'stroke-width="2" stroke-dasharray="2 3"')
            yield words("×", x, y + 5)


def _thread(race: Race) -> Iterator[str]:
    """What the thread of the vCPU does, in the kernel and in the guest too."""
    looks = 0
    whats = [deed.what for deed in race.story]
    for deed in race.story:
        y = ROWS[deed.lane]
        match deed.what:
            case What.LOOK | What.STOP:
                x, looks = (LOOK, AGAIN)[looks], looks + 1
                yield mark(What.LOOK, deed.lane, x, y) + words(STEPS[What.LOOK].label, x, y + 21)
                if deed.what is What.STOP:
                    yield mark(What.STOP, deed.lane, x + 22, y)
            case What.ENTRY:
                yield mark(What.ENTRY, deed.lane, ENTRY, y)
                yield words(STEPS[What.ENTRY].label, ENTRY, y + 21)
            case What.EINTR:
                yield mark(What.EINTR, deed.lane, BACK, y)
                yield words(STEPS[What.EINTR].label, BACK, y - 9)
    if What.EXECUTE in whats:
        y = ROWS[Lane.GUEST]
        end, colour = (BACK, LANES[Lane.GUEST].colour) if race.stops else (WIDE, ALARM)
        yield line(RUNS, y, end, y, colour, 'stroke-width="6"')
        if not race.stops:
            yield words("for ever", (RUNS + WIDE) / 2 + 20, y - 7)


def _text(races: dict[str, dict[tuple[Place, ...], Race]]) -> str:
    """A strip a kick, and the stories of those that are lost."""
    lines = []
    for kick, by_place in races.items():
        lines.append(f"{kick:18} {''.join('.' if r.stops else 'x' for r in by_place.values())}")
    for kick, by_place in races.items():
        for race in by_place.values():
            if not race.stops:
                lines.append(f"{kick}, lost: {_told(race)}")
    return "\n".join(lines)
