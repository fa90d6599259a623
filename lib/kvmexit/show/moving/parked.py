"""Where a loop parks: from the first exit of a load of two pieces to the save, policy by policy.

The slider moves the request to stop through the load. What each loop does with it is run, not
told: the dotted line is an exit that is pending, and a save that stands on it has a ring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from kvmexit.exits import DATA_EXITS, Lane, MmioRead, Step, What
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import (
    Arrival,
    Landing,
    Phase,
    Scenario,
    make_machine,
    response_of,
    run,
)
from kvmexit.packet.outcome import Kind, Outcome
from kvmexit.show.moving.drawing import ALARM, WIDEST, alarm, lanes, line, mark, svg, words
from kvmexit.show.moving.picture import Frame, Picture
from kvmexit.show.vocabulary import LANES, STEPS

LOADS = Scenario(response_of(32), program="wide")
PIECE = 8
"""Bytes of an exit of the 16-byte load: two make one instruction."""
WIDE, TALL, LEFT, APART = 350, 58, 62, 20
ROWS = {Lane.KERNEL: 18.0, Lane.VMM: 44.0}
LANE_OF = {What.EXIT: Lane.KERNEL, What.EINTR: Lane.KERNEL}
SHOWN = (What.EXIT, What.EINTR, What.SERVE, What.LOOK, What.ENTRY, What.STOP, What.SAVE)
STYLE = """
.kxp-loop p{display:flex;justify-content:space-between;gap:0 1rem;margin:.3rem 0 0}
@media(max-width:22rem){.kxp-loop p{display:block}.kxp-loop p span{display:block}}
"""
NAMES = {
    Phase.UNSERVED: "before the device is asked",
    Phase.SERVED: "after the device has answered",
    Phase.ENTERED: "after the look, before the entry",
}


@dataclass(frozen=True, slots=True)
class Stop:
    """The steps of one stop, the request among them; whether an exit is pending at its save; and
    how the packet ends."""

    steps: tuple[What, ...]
    pending: bool
    outcome: Outcome


def parks(who: Mapping[str, str]) -> Picture:
    """The loops of ``who``: names of policies, and for each whose it is."""
    first = _first_piece()
    landings = [Landing(exit, phase) for exit in (first, first + 1) for phase in Phase]
    stops = [{policy: stop_of(policy, first, landing) for policy in who} for landing in landings]
    frames = tuple(
        _frame(who, landing, landing.exit - first, stop) for landing, stop in zip(landings, stops)
    )
    worst = [sum(stop.pending for stop in one.values()) for one in stops]
    title = "Where each loop parks, in a load of two exits"
    return Picture(
        "parked",
        title,
        "Where the request lands",
        frames,
        worst.index(max(worst)),
        "\n".join([title, *(frame.says for frame in frames)]),
        style=STYLE,
        widest=WIDEST,
    )


def _first_piece() -> int:
    """The number, among the exits from 1, of the first piece of the first wide load."""
    machine = make_machine(SimulatedKernel(), LOADS)
    exits = [step.about for step in machine.steps() if step.what is What.EXIT]
    sizes = [exit.size if isinstance(exit, MmioRead) else 0 for exit in exits]
    return next(n for n, two in enumerate(zip(sizes, sizes[1:]), 1) if two == (PIECE, PIECE))


def stop_of(policy: str, first: int, landing: Landing) -> Stop:
    """Stop a guest by ``policy`` at ``landing``; the steps from exit ``first`` to the save."""
    scenario = Scenario(LOADS.response, policy=policy, program=LOADS.program)
    machine = make_machine(SimulatedKernel(), scenario)
    arrival, steps, served = Arrival(landing, machine.bus), list[What](), 0

    def note(step: Step) -> None:
        nonlocal served
        while len(machine.bus.log) > served:  # inside a policy nobody tells of the device
            served += 1
            steps.append(What.SERVE)
        if step.what is What.SERVE:
            served += 1
        if step.what in SHOWN:
            steps.append(step.what)

    machine.tell = note
    for step in machine.steps():
        due = arrival.due(step)
        if arrival.exits < first:
            served = len(machine.bus.log) + (step.what is What.SERVE)
            continue
        if step.what is What.EXIT:  # a request that is due has come behind it
            note(step)
        if due:
            steps.append(What.REQUEST)
            machine.request_stop()
        if step.what is not What.EXIT:
            note(step)
        if step.what is What.SAVE:
            break
    pending = isinstance(machine.calls[-1][1], DATA_EXITS)
    return Stop(tuple(steps), pending, run(SimulatedKernel(), scenario, landing).outcome)


def _frame(
    who: Mapping[str, str], landing: Landing, piece: int, stops: Mapping[str, Stop]
) -> Frame:
    bad = [name for name, stop in stops.items() if stop.pending]
    where = f"{('First', 'Second')[piece]} exit, {NAMES[landing.phase]}"
    ends = "; ".join(f"{name}: {stop.outcome}" for name, stop in stops.items())
    parts = [_legend()]
    for policy, name in who.items():
        stop = stops[policy]
        ok = stop.outcome.kind is Kind.OK
        end = escape(str(stop.outcome)) if ok else alarm(str(stop.outcome))
        told = ", ".join(STEPS[what].label for what in stop.steps)
        parts.append(
            f'<div class="kxp-loop"><p><span><strong>{escape(policy)}</strong> ({escape(name)})'
            f"</span><span>{end}</span></p>"
            f"{svg(WIDE, TALL, _drawn(stop), f'{policy}: {told}', widest=WIDEST)}</div>"
        )
    parked = f"parked with an exit pending: {', '.join(bad)}" if bad else "nobody has one pending"
    return Frame(f"{where}: {parked}. {ends}.", "".join(parts), "×" if bad else "·")


def _legend() -> str:
    """The marks and their names, in one line."""
    parts, x = [], 8.0
    for what in SHOWN:
        parts.append(mark(what, LANE_OF.get(what, Lane.VMM), x, 9))
        parts.append(words(STEPS[what].label, x + 10, 14, "start"))
        x += 21 + (8.4 if what is What.EINTR else 6) * len(STEPS[what].label)
    return svg(WIDE, 18, f'<g style="font-size:12px">{"".join(parts)}</g>', widest=WIDEST)


def _drawn(stop: Stop) -> str:
    """The steps from left to right; kernel above, VMM below."""
    parts, open_at = [lanes(ROWS, LEFT, WIDE)], 0.0
    colour = LANES[Lane.KERNEL].colour
    for n, what in enumerate(stop.steps):
        x, lane = LEFT + 12 + n * APART, LANE_OF.get(what, Lane.VMM)
        if what is What.REQUEST:
            parts.append(mark(what, Lane.HOST, x, ROWS[Lane.KERNEL] + 12))
            continue
        if what in (What.ENTRY, What.SAVE) and open_at:
            style = 'stroke-width="5" stroke-dasharray="4 3"'
            parts.append(line(open_at, ROWS[Lane.KERNEL], x, ROWS[Lane.KERNEL], colour, style))
            open_at = 0.0
        if what is What.EXIT:
            open_at = x
        parts.append(mark(what, lane, x, ROWS[lane]))
        if what is What.SAVE and stop.pending:
            parts.append(
                f'<circle cx="{x:g}" cy="{ROWS[lane]:g}" r="11" fill="none" stroke="{ALARM}"'
                ' stroke-width="3"/>'
            )
    return "".join(parts)
