"""The atlas as one map: every exit a column, every save a row, the fate a colour and a letter.

An :class:`AtlasMap` is made of *worlds*: a machine, where the save is restored into, and how much
of the vCPU was saved. A machine is a name for reports, be they of a simulated kernel, of the real
one or of a recording. What is written is a table, complete in words, that a style sheet draws as a
map; the page's script (``show/atlas/``) lets the reader guess, point, filter and compare.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.probe.atlas import atlas_parts
from kvmexit.probe.report import Report, Row
from kvmexit.probe.saves import SAVES
from kvmexit.probe.verdict import Verdict, access
from kvmexit.show.atlas_style import ACCESS_GAP, BAND, CELL, PART_LETTER, style
from kvmexit.show.atlas_words import (
    INTO,
    KINDS,
    SAVED,
    WHEN,
    code,
    facts,
    kind_of,
    reason,
    verdict_of,
)
from kvmexit.show.views import styled, widget_view

GOES_ON = ", on"
"""Behind the name of a part, where a line of the map goes on with it."""
LETTERS = string.ascii_letters + string.digits
"""A letter a (fate, reason): there are fewer than these, as :mod:`.atlas_words` has no more."""
Place = tuple[str, int]
"""An exit: the name of its case, and its number from 0."""


@dataclass(frozen=True, slots=True)
class World:
    """One way to make all the saves. ``rows`` are the exits by place."""

    machine: str
    restore: str
    saved: str
    rows: Mapping[Place, Row]

    def fate(self, place: Place, save: str) -> Verdict | None:
        """What becomes of ``save`` at an exit; None if this machine has no such exit."""
        row = self.rows.get(place)
        return None if row is None else verdict_of(place[0], row, save, self.saved)

    def __str__(self) -> str:
        return f"{self.machine}, {INTO[self.restore]}, {SAVED[self.saved]}"


@dataclass(frozen=True, slots=True)
class AtlasMap:
    """A map. ``reports`` are those of the first world; ``key`` begins its addresses."""

    reports: tuple[Report, ...]
    worlds: tuple[World, ...]
    key: str

    @property
    def places(self) -> list[Place]:
        """All exits, in the order of the map."""
        return [(report.case.name, row.k) for report in self.reports for row in report.rows]

    def differ(self, world: World) -> int:
        """In how many cells ``world`` is not as the first."""
        first = self.worlds[0]
        return sum(
            first.fate(place, save) is not world.fate(place, save)
            for place in self.places
            for save in SAVES
        )

    def __repr__(self) -> str:
        rows = [
            ("access", "exit", *SAVES, "KVM_RUNs", "RAM"),
            *(cells for report in self.reports for cells in _text(report)),
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        cells = len(self.places) * len(SAVES)
        beside = [f"{self.differ(world):5} of {cells} differ: {world}" for world in self.worlds[1:]]
        return "\n".join([str(self.worlds[0]), "", *lines, *([""] * bool(beside)), *beside])

    def traits(self) -> dict[str, Any]:
        """What the page's script needs besides the table: JSON values.

        ``says`` lists every (fate, reason) that occurs, ``cells`` of a world are letters of
        :data:`LETTERS`, places in that list, save by save and exit by exit; a blank is no exit.
        ``machines`` has what was measured at an exit (by its number) where that is not what the
        table says of the first machine.
        """
        says: dict[tuple[str, str], int] = {}
        first = self.worlds[0]
        return {
            "key": self.key,
            "saves": WHEN,
            "kinds": KINDS,
            "into": INTO,
            "saved": SAVED,
            "fates": [verdict.value for verdict in Verdict],
            "kind": [list(KINDS).index(kind_of(first.rows[place].exit)) for place in self.places],
            "machines": {world.machine: self._measured(world) for world in self.worlds},
            "letters": LETTERS,
            "worlds": [
                [world.machine, world.restore, world.saved, self._cells(world, says)]
                for world in self.worlds
            ],
            "says": list(says),
        }

    def _measured(self, world: World) -> dict[int, str | None]:
        first = self.worlds[0].rows
        told = {
            n: None if (row := world.rows.get(place)) is None else facts(row)
            for n, place in enumerate(self.places)
        }
        return {n: one for n, one in told.items() if one != facts(first[self.places[n]])}

    def _cells(self, world: World, says: dict[tuple[str, str], int]) -> str:
        cells = ""
        for place in self.places:
            row = world.rows.get(place)
            for save in SAVES:
                if row is None:
                    cells += " "
                    continue
                verdict = verdict_of(place[0], row, save, world.saved)
                why = reason(world.restore, save, row, world.saved)
                cells += LETTERS[says.setdefault((verdict.value, why), len(says))]
        return cells

    def html(self) -> str:
        """The table, its styles, and the data for the script."""
        bands = "".join(self._bands())
        world = self.worlds[0]
        key = self.key
        views = "".join(
            f'<input type="radio" name="{key}-view" id="{key}-{value}"{" checked" * first}>'
            f'<label for="{key}-{value}">{label}</label>'
            for value, label, first in (("map", "map", True), ("words", "table of words", False))
        )
        data = json.dumps(self.traits(), ensure_ascii=False, separators=(",", ":"))
        data = data.replace("</", "<\\/")
        drawn = (
            f'<div class="kvmexit-atlas" id="{key}">'
            f'<script type="application/json">{data}</script>'
            f"<style>{style()}</style>{views}<table><caption><b>{escape(str(world))}</b>: a"
            " column an exit, a row a save; a letter is the first of its word, and blank is fine"
            f"</caption>{bands}</table>{self._legend()}</div>"
        )
        cells = len(self.places) * len(SAVES)
        words = f"The map of {len(self.places)} exits and {len(SAVES)} saves: {cells} cells."
        return styled(drawn, "kvmexit-atlas", words)

    def _bands(self) -> Iterator[str]:
        """The exits, a band a line of the map; each begins with the names of the saves."""
        heads = "".join(f'<th scope="col">{save}</th>' for save in SAVES)
        head = f"<tr><th>access</th>{heads}</tr>"
        for band in bands(self.reports):
            yield f"<tbody>{head}{''.join(self._access(*one) for one in band)}</tbody>"

    def _access(self, report: Report, part: str) -> str:
        """One access: a row an exit, which the style makes a column."""
        name, made = escape(report.case.name), []
        for row in report.rows:
            begins = ' class="a"' if row.k == 0 else ""
            if part and row.k == 0:
                goes_on = " on" if part.endswith(GOES_ON) else ""
                begins = f' class="a p{goes_on}" data-part="{escape(part)}"'
            cells = "".join(
                f'<td class="{word}">{word}</td>'
                for word in (verdict_of(name, row, save).value for save in SAVES)
            )
            of = f"exit {row.k + 1} of {len(report.rows)}"
            made.append(
                f'<tr id="{self.key}={slug(report.case.name)}.{row.k + 1}"{begins}>'
                f'<th scope="row">{name}, {of}<small> <code>{escape(code(report.case))}</code>'
                f" {escape(facts(row))}</small></th>{cells}</tr>"
            )
        return "".join(made)

    def _legend(self) -> str:
        """What the words mean, and each reason that the first world gives. The script folds it."""
        meanings = "".join(
            f'<dt class="{verdict.value}">{verdict.value}</dt><dd>{verdict.meaning}</dd>'
            for verdict in Verdict
        )
        world = self.worlds[0]
        given = {
            (save, verdict_of(place[0], row, save).value, reason(world.restore, save, row)): None
            for save in SAVES
            for place, row in world.rows.items()
        }
        reasons = "".join(
            f"<dt>{save}, {word}</dt><dd>{escape(why)}</dd>" for save, word, why in given
        )
        return (
            "<details open><summary>What the words mean, and why</summary>"
            f"<dl>{meanings}</dl><dl>{reasons}</dl></details>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        html = self.html()
        bundle = {"text/plain": repr(self), "text/html": html}
        return {**bundle, **widget_view("AtlasWidget", {"html": html})}


def atlas_map(
    machines: Mapping[str, Iterable[Report]] | Iterable[Report], key: str = "atlas"
) -> AtlasMap:
    """A map of probes: of one machine, or of several by name, the first one as it opens.

    The reports of a machine may be restored into a new VM, into the same vCPU, or both. Saves of
    the registers alone are in every report of a whole save. KvmExitError if there is no report.
    """
    if not isinstance(machines, Mapping):
        reports = list(machines)
        machines = {
            report.kernel: [r for r in reports if r.kernel == report.kernel] for report in reports
        }
    worlds, first = [], None
    for machine, given in machines.items():
        for restore, group in _by_restore(given).items():
            first = first or group
            rows = {(report.case.name, row.k): row for report in group for row in report.rows}
            worlds += [World(machine, restore, saved, rows) for saved in SAVED]
    if not first or not worlds[0].rows:
        raise KvmExitError("a map needs a report with an exit: give those of probe(kernel, case)")
    return AtlasMap(tuple(first), tuple(worlds), key)


def _by_restore(reports: Iterable[Report]) -> dict[str, list[Report]]:
    found: dict[str, list[Report]] = {}
    for report in reports:
        found.setdefault(report.restore, []).append(report)
    return found


def bands(reports: Iterable[Report]) -> Iterator[list[tuple[Report, str]]]:
    """Reports in lines of at most :data:`BAND` pixels, each with the name of the part that begins
    with it, if one does; a line that goes on with a part says so, where that name has room. What is
    wider than a line has one of its own."""
    part_of = {case.name: part for part, cases in atlas_parts().items() for case in cases}
    line: list[tuple[Report, str]] = []
    at, part = 0.0, ""
    for report in reports:
        if not report.rows:
            continue
        here = part_of.get(report.case.name, "other code")
        width = ACCESS_GAP + CELL * len(report.rows)
        begins = here if here != part else ""
        if line and at + max(width, PART_LETTER * len(begins)) > BAND:
            yield line
            line, at = [], 0.0
        if not line and not begins:
            begins = here + GOES_ON
        elif begins and line and line[0][1].endswith(GOES_ON):
            if at < PART_LETTER * len(line[0][1]):
                line[0] = (line[0][0], "")
        line.append((report, begins))
        at, part = at + width, here
    if line:
        yield line


def slug(name: str) -> str:
    """A name as it stands in an address."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("->", " to ")).strip("-")


def _text(report: Report) -> Iterator[tuple[str, ...]]:
    """Lines for a terminal: neighbouring exits of one instruction that fare alike are one."""
    name = report.case.name
    for _, group in groupby(report.rows, _alike):
        rows = list(group)
        first, last = rows[0].k + 1, rows[-1].k + 1
        number = str(first) if first == last else f"{first} to {last}"
        for save in SAVES:
            verdict_of(name, rows[0], save)
        words = (rows[0].verdict(save) for save in SAVES)
        runs, ram = str(rows[0].drain_runs), str(rows[0].ram_written or "")
        yield name, f"{number} of {len(report.rows)}", *words, runs, ram


def _alike(row: Row) -> tuple[Any, ...]:
    verdicts = [verdict.get(save) for verdict in (row.save, row.alone) for save in SAVES]
    return access(row.exit)[0], row.rip, *verdicts
