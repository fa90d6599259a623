"""A migration and its last copy: the slider says when it is taken, the bytes what is missing."""

from __future__ import annotations

from kvmexit.exits import Lane, What
from kvmexit.guest.driver import BUFFER
from kvmexit.packet.last_copy import PAGE, LastCopies, Moment, last_copies
from kvmexit.show.moving.drawing import (
    ALARM,
    BYTES,
    WIDEST,
    byte_row,
    lanes,
    line,
    mark,
    svg,
    words,
)
from kvmexit.show.moving.picture import Frame, Picture
from kvmexit.show.vocabulary import LANES, STEPS

WIDE, TALL, LEFT, FIRST = 350, 208, 56, 74
ROWS = {Lane.GUEST: 34.0, Lane.KERNEL: 62.0, Lane.VMM: 90.0}
LANE_OF = {What.EXIT: Lane.KERNEL, What.EINTR: Lane.KERNEL, What.SERVE: Lane.VMM}
SOURCE, TARGET, BOX = 122, 168, 24
"""The tops of the rows of pages, and how large one is."""


def migration() -> Picture:
    """:func:`kvmexit.packet.last_copy.last_copies`, the copy at each of its moments."""
    run = last_copies()
    frames = tuple(_frame(run, number) for number in range(len(run.moments)))
    served = next(n for n, one in enumerate(run.moments) if one.what is What.SERVE)
    return Picture(
        "migration",
        "When the last copy of memory is taken",
        "Last copy",
        frames,
        served,
        "\n".join(["When the last copy of memory is taken", *(one.says for one in frames)]),
        _backdrop(run),
        BYTES,
        widest=WIDEST,
    )


def _x(run: LastCopies, number: int) -> float:
    return FIRST + number * (WIDE - 14 - FIRST) / (len(run.moments) - 1)


def _frame(run: LastCopies, number: int) -> Frame:
    moment = run.moments[number]
    missing = moment.differs(run.source)
    holes = {at // PAGE for at in missing}
    pages = ", ".join(map(str, moment.log))
    named = (
        f"the log names page{'s' if len(moment.log) > 1 else ''} {pages}"
        if pages
        else ("the log names no page")
    )
    one = len(missing) == 1
    end = (
        f"{len(missing)} byte{'' if one else 's'} {'is' if one else 'are'} wrong on the other side"
        if missing
        else "nothing is missing on the other side"
    )
    when = moment.name[0].upper() + moment.name[1:]
    return Frame(
        f"{when}: {named}. If this copy is the last, {end}.",
        svg(WIDE, TALL, _drawn(run, number, holes), f"{named}; {end}", widest=WIDEST)
        + _bytes(run, moment, missing),
        "×" if missing else "·",
        {0: (_x(run, number) - FIRST, 0.0)},
    )


def _bytes(run: LastCopies, moment: Moment, missing: list[int]) -> str:
    """The packet here, drained, and there."""
    here = run.source[BUFFER : BUFFER + run.packet]
    there = moment.target[BUFFER : BUFFER + run.packet]
    wrong = [at - BUFFER for at in missing if BUFFER <= at < BUFFER + run.packet]
    return byte_row("here", here) + byte_row("there", there, wrong)


def _drawn(run: LastCopies, number: int, holes: set[int]) -> str:
    """What the log names at this moment, and which pages are not what they are here."""
    moment = run.moments[number]
    parts = [
        f'<rect x="{_x(run, number):g}" y="20" width="{WIDE - _x(run, number):g}" height="84"'
        ' fill-opacity=".1"/>'
    ]
    for page in moment.log:
        parts += [
            f'<rect x="{_page(page)}" y="{SOURCE}" width="{BOX}" height="{BOX}"'
            f' fill="{LANES[Lane.VMM].colour}" fill-opacity=".6"/>',
            line(
                _page(page) + BOX / 2,
                SOURCE + BOX,
                _page(page) + BOX / 2,
                TARGET,
                LANES[Lane.VMM].colour,
                'stroke-width="3"',
            ),
        ]
    for page in sorted(holes):
        parts += [
            f'<rect x="{_page(page)}" y="{TARGET}" width="{BOX}" height="{BOX}" fill="none"'
            f' stroke="{ALARM}" stroke-width="4"/>',
            words("×", _page(page) + BOX / 2, TARGET + 17),
        ]
    return "".join(parts)


def _page(number: int) -> int:
    return LEFT + 14 + number * (BOX + 8)


def _backdrop(run: LastCopies) -> str:
    """Lanes with the steps of the stop, the pages, and the copy, which glides."""
    parts = [lanes(ROWS, LEFT, WIDE)]
    written: set[int] = set()
    for number, moment in enumerate(run.moments):
        x = _x(run, number)
        if moment.what is not None:
            lane = LANE_OF[moment.what]
            parts.append(mark(moment.what, lane, x, ROWS[lane]))
        if moment.is_round:
            parts.append(words(str(number + 1), x, 14))
        now = {n for n in moment.log if n * PAGE == BUFFER} if not moment.is_round else set()
        if now - written or (now and moment.what is not What.SERVE):
            parts.append(mark(What.COMPLETE, Lane.GUEST, x - 12, ROWS[Lane.GUEST]))
        written |= now
    end = _x(run, len(run.moments) - 1)
    parts.append(words(STEPS[What.EINTR].label, end + 12, ROWS[Lane.KERNEL] - 12, "end"))
    for head, top in (("here", SOURCE), ("there", TARGET)):
        parts.append(words(head, 0, top + 17, "start"))
        for page in range(len(run.source) // PAGE):
            parts.append(
                f'<rect x="{_page(page)}" y="{top}" width="{BOX}" height="{BOX}" fill="none"'
                ' stroke="currentColor" stroke-opacity=".5"/>'
            )
            if top == SOURCE:
                parts.append(words(str(page), _page(page) + BOX / 2, top + 17))
    parts.append(
        f'<g class="kxp-m0">{line(FIRST, 18, FIRST, 106, "currentColor", chr(32))}'
        f'<path d="M{FIRST - 6} 104h12l-6 9z"/></g>'
    )
    return svg(WIDE, TALL, "".join(parts), widest=WIDEST)
