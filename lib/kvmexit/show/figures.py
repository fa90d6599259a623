"""Charts of outcomes: strips, grids, and policies by devices.

The SVG is the same to the byte on every run and everywhere, as nothing but this library draws it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from re import sub
from textwrap import wrap
from typing import Any

from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Phase, Scenario, response_of
from kvmexit.packet.outcome import Kind
from kvmexit.packet.sweeps import Sweep, sweep_policies
from kvmexit.show.chart import WIDTH, Chart, box, drawing, filled, framed, label
from kvmexit.show.reel import as_policy, name_of
from kvmexit.show.vocabulary import OUTCOMES
from kvmexit.vmm.devices import DEVICES
from kvmexit.vmm.machine import POLICIES

HEADING = 46  # characters of bold text that fit into the width, in a wide font
LEFT = 92
"""Where the cells begin; before them stands what they are of."""


def strip(
    length: int = 20,
    *,
    policy: Any = "save-at-once",
    device: Any = "tis-2011",
    compensation: Any = "none",
    restore: str = "new-vm",
    program: str = "driver",
) -> Chart:
    """The outcome at every landing, one row a phase, one column an exit.

    A landing is an exit (from 1) in a phase. One policy, or a list: a block each.
    """
    base = Scenario(response_of(length), device, "drain", compensation, restore, program)
    swept = sweeps(base, policy)
    return _cells(
        swept,
        title=_title("Outcome strip", base),
        by_phase=True,
    )


def grid(
    length: int = 20,
    *,
    policy: Any = "all",
    device: Any = "tis-2011",
    compensation: Any = "none",
    restore: str = "new-vm",
    program: str = "driver",
) -> Chart:
    """Policies by landings: one row a policy, the landings in the order of the run."""
    base = Scenario(response_of(length), device, "drain", compensation, restore, program)
    swept = sweeps(base, policy)
    return _cells(swept, title=_title("Policies and landings", base), by_phase=False)


def _title(what: str, scenario: Scenario) -> str:
    parts = [f"{len(scenario.response)} bytes", name_of(scenario.device)]
    if scenario.compensation != "none":
        parts.append(f"{name_of(scenario.compensation)} on load")
    if scenario.program != "driver":
        parts.append(f"program {scenario.program}")
    return f"{what}: {', '.join([*parts, scenario.restore])}"


def sweeps(base: Scenario, policy: Any) -> list[Sweep]:
    """The sweeps of one scenario under one policy, a list of policies, or all of them."""
    every = tuple(POLICIES) if policy == "all" else policy
    names = every if isinstance(every, list | tuple) else [every]
    scenarios = [replace(base, policy=as_policy(one)) for one in names]
    return sweep_policies(SimulatedKernel(), scenarios)


def _summary(result: Sweep) -> str:
    kinds = [outcome.kind for outcome in result.outcomes]
    found = ", ".join(f"{kinds.count(kind)} {kind.value}" for kind in Kind if kind in kinds)
    return f"{name_of(result.scenario.policy)}: {found}"


def _cells(swept: Sequence[Sweep], title: str, by_phase: bool) -> Chart:
    rows: list[tuple[str, list[Kind]]] = []
    lines = [f"{title} ({len(swept[0].landings)} landings)"]
    for result in swept:
        lines.append(_summary(result))
        if by_phase:
            for phase in Phase:
                kinds = [outcome.kind for _, outcome in result.at(phase)]
                rows.append((phase.value, kinds))
                lines.append(f"  {phase.value:<8} {''.join(kind.letter for kind in kinds)}")
        else:
            rows.append(
                (name_of(result.scenario.policy), [outcome.kind for outcome in result.outcomes])
            )
            lines.append(f"  {result.strip}")
    alt = ". ".join(_summary(result) for result in swept) + "."
    blocks = [_summary(result) for result in swept] if by_phase else []
    svg = rows_of_cells(rows, blocks, "exit" if by_phase else "landing")
    return Chart(title, alt, "\n".join(lines), svg)


def rows_of_cells(rows: Sequence[tuple[str, list[Kind]]], blocks: Sequence[str], axis: str) -> str:
    """Rows of cells, each outcome with its colour and its shape."""
    tall, line, apart = 28, 20, 8
    headings = [_heading(block) for block in blocks]
    per_block = len(rows) // len(blocks) if blocks else len(rows)
    count = max(len(kinds) for _, kinds in rows)
    each = (WIDTH - LEFT - 4) / count
    bars: Bars = {}
    parts: list[str] = []
    y = 0
    for number, (name, kinds) in enumerate(rows):
        if headings and number % per_block == 0:
            y += apart if number else 0
            for words in headings[number // per_block]:
                y += line
                parts.append(label(2, y - 5, words, bold=True))
        parts.append(label(2, y + 21, name))
        for at, kind in enumerate(kinds):
            _bar(bars, kind, LEFT + at * each, y + 6, each)
        y += tall
    y += 16
    parts.append(label(LEFT, y, f"{axis} 1 to {count} →"))
    present = [kind for kind in Kind if any(kind in kinds for _, kinds in rows)]
    height = _legend(parts, bars, present, y)
    return drawing(height, [*parts, *(_drawn(kind, outline) for kind, outline in bars.items())])


def _legend(parts: list[str], bars: Bars, present: Sequence[Kind], y: float) -> float:
    """Three outcomes a line below ``y``; returns where the last line ends.

    Where in its row a shape stands is part of it, so the legend shows the row as well.
    """
    for number, kind in enumerate(present):
        x, row = 2 + (number % 3) * 116, y + 28 * (1 + number // 3)
        parts.append(filled(box(x, row - 15, 10, 20), opacity=0.12))
        _bar(bars, kind, x, row - 15, 10)
        parts.append(label(x + 17, row, f"{kind.letter} {kind.value}"))
    return y + 28 * ((len(present) + 2) // 3) + 6


def _heading(block: str) -> list[str]:
    """The lines of a heading. A count stays with its word: textwrap keeps no-break spaces."""
    return wrap(sub(r"(?<=\d) ", "\N{NO-BREAK SPACE}", block), HEADING)


Bars = dict[Kind, str]
"""The outlines of all bars of one outcome, to be drawn at once."""


def _bar(bars: Bars, kind: Kind, x: float, y: float, each: float) -> None:
    """One cell, ``each`` wide, of a row that begins at ``y`` and is 20 high."""
    wide = each - 1 if each > 4 else each
    for top, bottom in OUTCOMES[kind].bars:
        bars[kind] = bars.get(kind, "") + box(x, y + top, wide, bottom - top)


def _drawn(kind: Kind, outline: str) -> str:
    look = OUTCOMES[kind]
    return filled(outline, "" if kind is Kind.OK else look.colour, look.opacity)


def devices(
    length: int = 20,
    *,
    policy: Any = "all",
    device: Sequence[Any] = tuple(DEVICES),
    compensation: Any = "none",
    restore: str = "new-vm",
) -> Chart:
    """Policies by devices: how many landings are not ok, and what becomes of those."""
    table: dict[str, list[list[Kind]]] = {}
    for one in device:
        base = Scenario(response_of(length), one, "drain", compensation, restore)
        for result in sweeps(base, policy):
            kinds = [outcome.kind for outcome in result.outcomes]
            table.setdefault(name_of(result.scenario.policy), []).append(kinds)
    names = [name_of(one) for one in device]
    corrected = "" if compensation == "none" else f", {name_of(compensation)} on load"
    title = f"Policies and devices: {length} bytes{corrected}, {restore}"
    words = {policy: [_counts(kinds) for kinds in row] for policy, row in table.items()}
    width = max(len(cell) for row in words.values() for cell in row) + 2
    lines = [title, " " * 14 + "".join(name.ljust(width) for name in names).rstrip()]
    for name, row in words.items():
        lines.append(name.ljust(14) + "".join(cell.ljust(width) for cell in row).rstrip())
    alt = ". ".join(
        f"{name}: " + "; ".join(f"{one} {cell}" for one, cell in zip(names, row))
        for name, row in words.items()
    )
    return Chart(title, alt + ".", "\n".join(lines), _draw_devices(table, names))


def _counts(kinds: Sequence[Kind]) -> str:
    wrong = [kind for kind in Kind if kind in kinds and kind is not Kind.OK]
    return ", ".join(f"{kinds.count(kind)} {kind.value}" for kind in wrong) or "all ok"


def _draw_devices(table: Mapping[str, list[list[Kind]]], names: Sequence[str]) -> str:
    """A bar for each cell: how much of all landings ends how."""
    tall, head = 42, 24
    column = (WIDTH - LEFT) / len(names)
    room = column - 8
    parts = [label(LEFT + n * column, 14, name, bold=True) for n, name in enumerate(names)]
    for number, (policy, row) in enumerate(table.items()):
        y = head + tall * number
        parts.append(label(2, y + 18, policy))
        for n, kinds in enumerate(row):
            x = at = LEFT + n * column
            wrong = [kind for kind in Kind if kind in kinds and kind is not Kind.OK]
            for kind in wrong:
                part = room * kinds.count(kind) / len(kinds)
                parts.append(filled(box(at, y + 10, part, 10), OUTCOMES[kind].colour))
                at += part
            parts.append(framed(box(x, y + 10, room, 10), 0.5))
            text = " ".join(f"{kinds.count(kind)} {kind.letter}" for kind in wrong) or "all ok"
            parts.append(label(x, y + 35, text))
    return drawing(head + tall * len(table), parts)


__all__ = ["devices", "grid", "rows_of_cells", "strip", "sweeps"]
