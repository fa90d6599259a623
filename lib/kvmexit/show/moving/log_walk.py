"""A log and the lanes beside it: time runs down, a line of the log is a row of the lanes.

As the slider walks, the marks of the lines come; from an exit to its entry the exit is pending,
and state that is touched there is what ``lint`` finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from kvmexit.exits import Lane, What
from kvmexit.show.moving.drawing import ALARM, line, mark, svg, words
from kvmexit.show.moving.picture import Frame, Picture
from kvmexit.show.vocabulary import LANES, STEPS
from kvmexit.tracelint import excerpt, lint, rule
from kvmexit.tracelint.detect import READERS
from kvmexit.tracelint.events import Event, Kind

TALL, HEAD, WIDE = 20, 22, 132
COLUMNS = {Lane.GUEST: 22.0, Lane.KERNEL: 66.0, Lane.VMM: 110.0}
TRACE_POINTS = {
    "kvm_emulate_insn": (Lane.GUEST, What.EXECUTE, "the guest executes an instruction"),
    "unsatisfied-read": (Lane.GUEST, What.EXECUTE, "the guest asks for a byte of the device"),
    "mmio read": (Lane.KERNEL, What.COMPLETE, "the kernel completes the read"),
}
"""What a line of the kernel's says that is no event of lint's: who, what, in words."""
STYLE = f"""
.kxp-log{{display:flex;position:relative}}
.kxp-log>pre{{flex:1 1 0;min-width:0;margin:0;padding:{HEAD}px 0 0;overflow:hidden;border:0;
 background:none;color:inherit;font:12px/{TALL}px ui-monospace,monospace}}
.kxp-log>pre>span{{display:block;overflow:hidden;text-overflow:ellipsis;white-space:pre}}
.kxp-log>div{{flex:0 0 {WIDE}px}}
.kxp-here{{position:absolute;left:0;right:0;top:{HEAD}px;height:{TALL}px;
 background:color-mix(in srgb,currentColor 14%,transparent);outline:1px solid}}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the log: its number and text; who acts in it and how (None: nothing to draw),
    whether an exit is pending behind it, whether lint finds it bad, and what there is to say."""

    number: int
    text: str
    mark: tuple[Lane, What] | None
    pending: bool
    bad: bool
    says: str


def walk(name: str, first: int, last: int, *, title: str = "") -> Picture:
    """Lines ``first`` to ``last`` (from 1) of the log file ``name``, and what they say.

    Raises KvmExitError if there are no such lines, or the file is no log.
    """
    rows = rows_of(name, first, last)
    shown = title or f"{Path(name).name}, lines {first} to {last}"
    height = HEAD + TALL * len(rows)
    frames = tuple(
        Frame(
            f"Line {row.number}, {row.text[:64]}{': ' if row.says else ''}{row.says}.",
            f'<div style="height:{height}px"></div>',
            "×" if row.bad else "",
            {0: (0.0, float(TALL * at))},
        )
        for at, row in enumerate(rows)
    )
    start = next((at for at, row in enumerate(rows) if row.bad), 0)
    text = [
        shown,
        *(f"{row.number:4} {'|' if row.pending else ' '} {row.says or row.text}" for row in rows),
    ]
    return Picture(
        "log", shown, "Line", frames, start, "\n".join(text), _still(rows, height), STYLE
    )


def rows_of(name: str, first: int, last: int) -> list[Row]:
    """The lines with what they say."""
    texts = excerpt(name, first, last, width=200).splitlines()
    report = lint(name)
    found = {
        one.number: finding
        for finding in report.findings
        for one in finding.lines
        if one.role == "state"
    }
    data = Path(name).read_bytes().split(b"\n")
    reader = READERS[report.format]()
    events = {event.line: event for event in [*reader.feed(data, 1), *reader.end()]}
    rows, pending = [], 0
    for number in range(1, last + 1):
        event = events.get(number)
        before, pending = pending, _pending(event, pending)
        if number < first:
            continue
        text = texts[number - first].split(maxsplit=1)[1]
        bad = number in found
        drawn, says = _meaning(text, event, before)
        if bad:
            says = f"{says} while the exit of line {found[number].exit_line} is pending: a bad save"
        rows.append(Row(number, text, drawn, pending > 0, bad, says))
    return rows


def _pending(event: Event | None, pending: int) -> int:
    """The line of the exit that is pending behind this event; 0 for none."""
    if event is None:
        return pending
    if event.kind is Kind.ENTRY or event.kind in (Kind.CLOSED, Kind.CUT, Kind.LOST):
        return 0
    if event.kind is Kind.RETURN:
        gap, _ = rule.after_run(event, rule.Gap.DONE)
        return event.line if gap is rule.Gap.PENDING else 0
    return pending


def _meaning(text: str, event: Event | None, before: int) -> tuple[tuple[Lane, What] | None, str]:
    """Who acts in a line and how, and that in words. ``before``: the exit pending until here."""
    if event is not None:
        match event.kind:
            case Kind.ENTRY:
                first = f", which completes the exit of line {before} first" if before else ""
                return (Lane.VMM, What.ENTRY), f"the VMM calls KVM_RUN{first}"
            case Kind.RETURN if event.result == rule.EINTR:
                return (Lane.KERNEL, What.EINTR), f"KVM_RUN fails with {STEPS[What.EINTR].label}"
            case Kind.RETURN:
                access = event.access
                asked = f", {access.direction} {access.where}" if access else ""
                return (Lane.KERNEL, What.EXIT), f"{rule.exit_name(event.reason)}{asked}: pending"
            case Kind.GET | Kind.VM_GET:
                return (Lane.VMM, What.SAVE), f"{event.name} reads the state"
            case Kind.SET:
                return (Lane.VMM, What.RESTORE), f"{event.name} writes the state"
    for word, (lane, what, says) in TRACE_POINTS.items():
        if word in text:
            return (lane, what), says
    return None, ""


def _still(rows: list[Row], height: int) -> str:
    """The log, the lanes, and the row that is walked to."""
    lines = "".join(f"<span>{row.number} {escape(row.text)}</span>" for row in rows)
    return (
        f'<div class="kxp-here kxp-m0"></div><div class="kxp-log"><pre>{lines}</pre>'
        f"<div>{svg(WIDE, height, ''.join(_drawn(rows, height)))}</div></div>"
    )


def _drawn(rows: list[Row], height: int) -> Iterator[str]:
    """The lanes as columns, and a row's marks, which come with it."""
    for lane, x in COLUMNS.items():
        yield words(LANES[lane].name, x, 14)
        yield line(x, HEAD, x, height, LANES[lane].colour, 'stroke-opacity=".4"')
    for at, row in enumerate(rows):
        y = HEAD + TALL * at + TALL / 2
        parts = ""
        if row.pending:
            x, colour = COLUMNS[Lane.KERNEL], LANES[Lane.KERNEL].colour
            parts += line(x, y, x, y + TALL, colour, 'stroke-width="5" stroke-dasharray="4 3"')
        if row.mark:
            lane, what = row.mark
            if row.bad:
                parts += (
                    f'<circle cx="{COLUMNS[lane]:g}" cy="{y:g}" r="10" fill="none"'
                    f' stroke="{ALARM}" stroke-width="3"/>'
                )
            parts += mark(what, lane, COLUMNS[lane], y)
        if parts:
            yield f'<g style="--k:{at + 1}">{parts}</g>'
