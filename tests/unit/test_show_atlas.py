"""The map of the atlas: each cell is what its report says, in every world, and says why."""

import json
import re
from html.parser import HTMLParser

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import MmioRead, MmioWrite, PioIn, PioOut
from kvmexit.kernel.recorded import RecordedKernel, shipped
from kvmexit.kernel.retirement import MACHINES
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.atlas import atlas_cases, atlas_parts
from kvmexit.probe.cases import case
from kvmexit.probe.report import Report, probe
from kvmexit.probe.saves import SAVES
from kvmexit.probe.verdict import Verdict
from kvmexit.show import atlas_map
from kvmexit.show.atlas_figure import GOES_ON, bands, slug
from kvmexit.show.atlas_style import ACCESS_GAP, BAND, CELL, style
from kvmexit.show.atlas_words import ALONE, SAVED, reason
from kvmexit.show.vocabulary import VERDICTS

RESTORES = ("new-vm", "same-vcpu")


def ask(kernel, restores=RESTORES) -> list[Report]:
    return [probe(kernel, one, into) for into in restores for one in atlas_cases()]


ASKED = {
    "x86": ask(SimulatedKernel()),
    "powerpc": ask(SimulatedKernel(MACHINES["powerpc"]), ["new-vm"]),
    "arm64": ask(SimulatedKernel(MACHINES["arm64"]), ["new-vm"]),
    "recorded": ask(RecordedKernel(shipped("atlas")), ["new-vm"]),
}
MAP = atlas_map(ASKED)


class Table(HTMLParser):
    """The exits of a map: (address, name, the cells' classes and words), in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[tuple[str, str, list[tuple[str, str]]]] = []
        self.ids: list[str] = []
        self._text: list[str] = []
        self._head = self._class = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        found = dict(attrs)
        assert tag != "script" or found["type"] == "application/json"
        self.ids += [found["id"]] if "id" in found else []
        if tag == "tr" and "id" in found:
            self.rows.append((found["id"], "", []))
        if tag in ("td", "th"):
            self._text, self._class = [], found.get("class", "")

    def handle_data(self, data) -> None:
        self._text.append(data)

    def handle_endtag(self, tag) -> None:
        if tag == "th" and self.rows and not self.rows[-1][2]:
            self.rows[-1] = (self.rows[-1][0], "".join(self._text), self.rows[-1][2])
        if tag == "td":
            self.rows[-1][2].append((self._class, "".join(self._text)))


TABLE = Table(MAP.html())
TRAITS = json.loads(re.search(r"json\">(.*?)</script>", MAP.html())[1])


def test_every_cell_is_the_verdict_of_its_report() -> None:
    """In the table, which is all that there is without a script."""
    rows = [(r.case.name, row) for r in ASKED["x86"] if r.restore == "new-vm" for row in r.rows]
    assert len(rows) == len(TABLE.rows)
    for (name, row), (address, head, cells) in zip(rows, TABLE.rows, strict=True):
        assert address == f"atlas={slug(name)}.{row.k + 1}"
        assert head.startswith(f"{name}, exit {row.k + 1} of ") and f"rip {row.rip:#x}" in head
        words = [row.save[save].value for save in SAVES]
        assert cells == [(word, word) for word in words]


def test_every_cell_of_every_world_is_the_verdict_of_its_report() -> None:
    given = {(name, r.restore): None for name, reports in ASKED.items() for r in reports}
    told = [(name, into, saved) for name, into, saved, _ in TRAITS["worlds"]]
    assert told == [(*one, saved) for one in given for saved in SAVED]
    for name, into, saved, cells in TRAITS["worlds"]:
        rows = [row for r in ASKED[name] if r.restore == into for row in r.rows]
        assert len(cells) == len(rows) * len(SAVES)
        for n, row in enumerate(rows):
            for s, save in enumerate(SAVES):
                fate, why = TRAITS["says"][TRAITS["letters"].index(cells[n * len(SAVES) + s])]
                alone = row.alone.get(save) if saved == "registers" else None
                assert fate == (alone or row.save[save]).value
                assert why == reason(into, save, row, saved)


def test_the_registers_alone_are_a_world_of_their_own() -> None:
    """What the map says of them is what a probe of such a save says."""
    kernel = SimulatedKernel()
    by_saved = {world.saved: world for world in MAP.worlds[:2]}
    assert set(by_saved) == set(SAVED)
    for one in atlas_cases():
        if "#" not in one.name:
            continue
        for row in probe(kernel, one, "new-vm", "registers").rows:
            for save in SAVES:
                assert by_saved["registers"].fate((one.name, row.k), save) is row.save[save]


def test_a_recording_is_a_machine_as_any_other() -> None:
    """And this one agrees with ours in every cell."""
    assert [world.machine for world in MAP.worlds[-2:]] == ["recorded"] * 2
    assert MAP.differ(MAP.worlds[-2]) == 0
    assert MAP.differ(MAP.worlds[1]) > 0 and MAP.differ(MAP.worlds[2]) > 0


def test_an_exit_that_another_machine_does_not_have_is_no_cell() -> None:
    here = [probe(SimulatedKernel(), case("it", "mov eax, [0xd0ffe]"))]
    there = [probe(SimulatedKernel(), case("it", "mov eax, [0xd0024]"))]
    small = atlas_map({"here": here, "there": there})
    cells = small.traits()["worlds"][2][3]
    assert cells[5:] == " " * 5 and " " not in cells[:5]
    measured = small.traits()["machines"]["there"]
    assert measured[1] is None and measured[0].startswith("MMIO read of 4 bytes at 0xd0024")
    assert small.traits()["machines"]["here"] == {}


def test_the_same_twice_and_no_id_twice() -> None:
    again = atlas_map(ASKED)
    assert again.html() == MAP.html() and repr(again) == repr(MAP)
    assert len(set(TABLE.ids)) == len(TABLE.ids)
    assert not set(TABLE.ids) & set(Table(atlas_map(ASKED, key="other").html()).ids)


def test_an_address_is_one_exits_own() -> None:
    names = [one.name for one in atlas_cases()]
    assert len({slug(name) for name in names}) == len(names)
    assert slug("rep movsb 8 MMIO->RAM") == "rep-movsb-8-mmio-to-ram"


def test_every_access_is_on_the_map_once_and_in_its_part() -> None:
    reports = [r for r in ASKED["x86"] if r.restore == "new-vm"]
    lines = list(bands(reports))
    assert [r for line in lines for r, _ in line] == [r for r in reports if r.rows]
    begun = [part for line in lines for _, part in line if part and not part.endswith(GOES_ON)]
    assert begun == list(atlas_parts())
    now = ""
    for line in lines:
        told = [part for _, part in line if part]
        assert line[0][1] in ("", now + GOES_ON) or line[0][1] in begun
        assert told, "a line of the map that says not what it is of"
        now = told[-1].removesuffix(GOES_ON)
    for line in lines:
        assert len(line) == 1 or sum(ACCESS_GAP + CELL * len(r.rows) for r, _ in line) <= BAND


def test_the_colours_are_those_of_the_vocabulary() -> None:
    rules = style()
    for fate, look in VERDICTS.items():
        colour = "currentColor" if fate is Verdict.FINE else look.colour
        tint = re.search(rf"--{fate.value}:([^;}}]*)", rules)[1]
        assert colour in tint
        assert f".kvmexit-atlas .{fate.value}{{background:var(--{fate.value})}}" in rules
    assert "{is}" not in rules and "{words}" not in rules and "{labels}" not in rules


def test_the_text_has_every_exit_and_counts_the_other_worlds() -> None:
    lines = repr(MAP).splitlines()
    assert lines[0] == "x86, a new VM, registers and events"
    beside = [line for line in lines if " differ: " in line]
    exits, named = 0, [line for line in lines[3:] if line and line not in beside]
    for line in named:
        first, last = re.search(r" (\d+)(?: to (\d+))? of \d+ ", line).groups()
        exits += int(last or first) - int(first) + 1
    assert exits == len(MAP.places)
    assert len(beside) == len(MAP.worlds) - 1
    for line, world in zip(beside, MAP.worlds[1:], strict=True):
        assert line.split()[0] == str(MAP.differ(world)) and line.endswith(str(world))


def cells():
    """(report, row, the exit after it or None, save) of each cell of each machine."""
    for reports in ASKED.values():
        for report in reports:
            after = [row.exit for row in report.rows[1:]] + [None] * bool(report.rows)
            for row, then in zip(report.rows, after, strict=True):
                for save in SAVES:
                    yield report, row, then, save


def test_each_answer_has_its_own_reason() -> None:
    """No cell of any machine falls back on the bare meaning of a word."""
    for report, row, _, save in cells():
        for saved in SAVED:
            verdict = row.alone.get(save, row.save[save]) if saved != "whole" else row.save[save]
            why = reason(report.restore, save, row, saved).lower()
            assert verdict.meaning not in why, (report.case.name, row.k, save)


def test_a_reason_about_what_came_back_is_true() -> None:
    """`came back with a write` stands only where the next exit of the access is a write."""
    said = 0
    for report, row, then, save in cells():
        why = reason(report.restore, save, row)
        if save in ("kick-once", "serve-once"):
            assert ("EINTR" in why) == (row.drain_runs == 1)
        if "came back" not in why or "EINTR" in why:
            continue
        said += 1
        assert then is not None
        if "a write" in why:
            assert isinstance(then, MmioWrite | PioOut), (report.case.name, row.k, save)
        if "a read" in why:
            assert isinstance(then, MmioRead | PioIn), (report.case.name, row.k, save)
        if "last piece" in why:
            assert row.drain_runs == 2
    assert said > 500


def test_a_reason_about_the_registers_is_true() -> None:
    """`behind` and `before` say where rip is, of an access that is not repeated by a prefix."""
    seen = set()
    for report, row, _, save in cells():
        if save in ("serve-once", "drain") or report.case.name.startswith(("rep", "std")):
            continue
        why, saved_rip = reason(report.restore, save, row), row.rip
        if save == "kick-once":
            saved_rip = report.rows[min(row.k + 1, len(report.rows) - 1)].rip
        if row.rip_after == saved_rip and report.end == "shutdown":
            continue  # an exception: rip does not move, and says nothing
        if "stand behind" in why and not report.case.name.startswith(("call", "jmp", "ret")):
            assert saved_rip == row.rip_after, (report.case.name, row.k)
            seen.add("behind")
        if "stand before" in why:
            assert saved_rip != row.rip_after, (report.case.name, row.k)
            seen.add("before")
    assert seen == {"behind", "before"}


def test_without_the_events_there_was_an_exception() -> None:
    found = set()
    for report, row, _, save in cells():
        if save in row.alone:
            assert reason(report.restore, save, row, "registers") == ALONE[row.alone[save]]
            assert report.end == "shutdown", report.case.name
            found.add(row.alone[save])
    assert found == set(ALONE)


def test_a_notebook_gets_all_three() -> None:
    """Text for a terminal, the table for a page, the widget where a kernel is."""
    bundle = MAP._repr_mimebundle_()
    assert bundle["text/plain"] == repr(MAP) and bundle["text/html"] == MAP.html()
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_reports_alone_are_one_machine() -> None:
    one = atlas_map([probe(SimulatedKernel(), case("read", "mov al, [0xd0024]"), "same-vcpu")])
    assert str(one.worlds[0]) == "simulated, the same vCPU, registers and events"
    assert "other code" in one.html()


def test_code_outside_the_subset_is_shown_in_bytes() -> None:
    """A recording of another machine may have it; here, a report whose code is read as data."""
    from kvmexit.probe.cases import Case
    from kvmexit.show.atlas_words import code

    assert code(Case("xlatb", bytes.fromhex("d7f4"))) == "d7 f4"


def test_a_map_of_nothing_is_refused() -> None:
    for nothing in ({}, [], {"x86": []}, [probe(SimulatedKernel(), case("none", "nop"))]):
        with pytest.raises(KvmExitError, match="a map needs a report with an exit"):
            atlas_map(nothing)


def test_a_drain_without_end_is_refused() -> None:
    report = probe(SimulatedKernel(), case("it", "mov al, [0xd0024]"))
    report.rows[0].save["drain"] = None
    with pytest.raises(KvmExitError, match="it: the drain does not end, so drain has no verdict"):
        atlas_map([report]).html()
