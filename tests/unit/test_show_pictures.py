"""Pictures that move: their frames are what the runs say, and each can be reached."""

import gzip
import re
from functools import cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import What
from kvmexit.guest.driver import BUFFER
from kvmexit.kernel import MACHINES, SimulatedKernel
from kvmexit.packet import (
    KICKS,
    Costs,
    Cycle,
    Landing,
    Phase,
    Place,
    Scenario,
    expected_share,
    kick_races,
    packet_seconds,
    response_of,
    run,
    simulate,
    sweep,
    windows,
)
from kvmexit.packet.last_copy import PAGE, STOPPED_AT, last_copies
from kvmexit.probe import atlas_cases, probe
from kvmexit.show import atlas_map, chances, kicks, migration, parks, two_machines, walk
from kvmexit.show.moving.log_walk import rows_of
from kvmexit.show.moving.parked import stop_of
from kvmexit.show.moving.picture import Picture
from kvmexit.show.player import module
from kvmexit.tracelint import lint
from kvmexit.vmm import POLICIES
from pages import ROOT

LOGS = ROOT / "book" / "logs"
BUG, FIX = (str(LOGS / f"probe-{kind}-mmio.ftrace") for kind in ("bug", "fix"))
HEAVIEST = 12_000
"""Bytes of a picture in a page, compressed."""


@cache
def all_pictures() -> dict[str, Picture]:
    """One of each."""
    return {
        "kick": kicks(),
        "migration": migration(),
        "machines": two_machines(),
        "log": walk(BUG, 39, 58),
        "chances": chances(),
        "parked": parks(dict.fromkeys(POLICIES, "somebody")),
    }


class Bare(HTMLParser):
    """What is read of HTML where its styles and drawings have been taken away."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.hidden, self.words = 0, ""
        self.feed(re.sub(r"<style>.*?</style>|<svg.*?</svg>|<(input|br|hr)[^>]*>", "", html))

    def handle_starttag(self, tag, attrs) -> None:
        if self.hidden or dict(attrs).get("hidden"):
            self.hidden += 1

    def handle_endtag(self, tag) -> None:
        self.hidden -= bool(self.hidden)

    def handle_data(self, data) -> None:
        self.words += "" if self.hidden else data


def test_who_takes_the_styles_away_sees_a_sentence_and_no_heap() -> None:
    """JupyterLab does, of a notebook that it does not trust."""
    asked = atlas_map([probe(SimulatedKernel(), one) for one in list(atlas_cases())[:3]])
    for picture in (*all_pictures().values(), asked):
        words = Bare(picture.html()).words
        assert words.endswith("Run the cell to see it drawn.") and len(words) < 400


def shown(drawing: str) -> str:
    """The text of a piece of HTML."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", drawing)).split())


@pytest.mark.parametrize("name", ["kick", "migration", "machines", "log", "chances", "parked"])
def test_each_frame_has_a_button_a_box_and_words(name: str) -> None:
    picture = all_pictures()[name]
    html, count = picture.html(), len(picture.frames)
    assert count > 3
    assert picture.name == name
    ids = re.findall(r'<input type="radio"[^>]* id="([^"]+)"', html)
    assert len(set(ids)) == count == len(re.findall(r"<label ", html))
    assert [f'for="{one}"' in html for one in ids] == [True] * count
    assert len(re.findall(r"<input [^>]* checked>", html)) == 1
    assert html.count('class="kxp-frame"') == html.count('class="kxp-says"') == count
    assert len({frame.says for frame in picture.frames}) == count
    assert "<script" not in html
    assert html == picture.html()
    assert len(gzip.compress(html.encode())) < HEAVIEST
    for number in map(int, re.findall(r"--k:(\d+)", html)):
        assert 1 <= number <= count
    assert len(repr(picture).splitlines()) >= 2 and "object at" not in repr(picture)


def test_a_notebook_has_the_widget_and_the_page_beside_it() -> None:
    picture = all_pictures()["kick"]
    bundle = picture._repr_mimebundle_()
    assert bundle["text/html"] == picture.html() and bundle["text/plain"] == repr(picture)
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_the_script_is_small_and_one_file() -> None:
    assert len(gzip.compress(module("picture.js").encode())) < 5000
    assert not re.search(r"^\s*import\b", module("picture.js"), re.MULTILINE)


def test_every_landing_of_every_kick_is_in_the_race() -> None:
    picture = all_pictures()["kick"]
    seen: dict[str, set[tuple[Place, ...]]] = {kick: set() for kick in KICKS}
    for frame in picture.frames:
        panels = frame.drawing.split("<div><p>")[1:]
        lost = []
        for kick, panel in zip(KICKS, panels, strict=True):
            (told,) = re.findall(r'aria-label="([^"]+)"', panel)
            (race,) = [r for r in kick_races(kick) if told.endswith(_story(r)) and _at(r, frame)]
            seen[kick].add(race.places)
            assert ("never stops" in panel) != race.stops
            lost += [kick] * (not race.stops)
        assert ("×" in frame.mark) == bool(lost)
        assert frame.says.endswith(f"{'; '.join(lost)}." if lost else "every kick stops.")
    assert seen == {kick: {race.places for race in kick_races(kick)} for kick in KICKS}
    assert "×" in picture.frames[picture.first].mark


def _story(race) -> str:
    return "; ".join(f"{deed.lane.value.replace('vmm', 'VMM')} {deed.words}" for deed in race.story)


def _at(race, frame) -> bool:
    """Is the race's landing the one that the frame names?"""
    head = frame.says.split(":")[0]
    first = head.removeprefix("Both acts land ").removeprefix("First act ").split(", second ")
    return all(place.value == (first * 2)[n] for n, place in enumerate(race.places))


def test_the_race_s_text_has_a_strip_a_kick() -> None:
    lines = repr(all_pictures()["kick"]).splitlines()
    for kick, line in zip(KICKS, lines):
        assert line == f"{kick:18} " + "".join("." if r.stops else "x" for r in kick_races(kick))


def test_the_log_of_dirty_pages_knows_with_the_drain_and_no_sooner() -> None:
    """As on /dev/kvm, where book/code/dirty_log.py was recorded."""
    recorded = (ROOT / "book" / "code" / "dirty_log.txt").read_text()
    found = dict(re.findall(r"^(at the exit|served|drained) +\[(\d*)\]", recorded, re.MULTILINE))
    assert [bool(found[one]) for one in ("at the exit", "served", "drained")] == [
        False,
        False,
        True,
    ]
    moments = last_copies().moments
    (served, *_) = (one for one in moments if one.what is What.SERVE)
    assert moments[moments.index(served) - 1].is_round  # the exit, where the log was emptied
    assert served.log == ()
    assert moments[-1].log == (BUFFER // PAGE,)


def test_what_the_drain_writes_is_what_the_last_copy_lacks() -> None:
    copies = last_copies()
    length = copies.packet
    assert copies.source[BUFFER : BUFFER + length] == response_of(length)
    (served, *_) = (one for one in copies.moments if one.what is What.SERVE)
    assert served.differs(copies.source) == [BUFFER + n for n in range(STOPPED_AT - 1, length)]
    assert copies.moments[-1].differs(copies.source) == []
    counts = [len(one.differs(copies.source)) for one in copies.moments]
    assert counts == sorted(counts, reverse=True) and counts[-2] > 0
    for frame, moment in zip(all_pictures()["migration"].frames, copies.moments, strict=True):
        assert ("nothing is missing" in frame.says) == (moment.target == copies.source)
        there = shown(frame.drawing).split(" there ")[-1].split()
        assert bytes.fromhex("".join(there[:length])) == moment.target[BUFFER : BUFFER + length]


@pytest.mark.parametrize(("first", "second"), [("x86", "powerpc"), ("arm64", "x86")])
def test_two_machines_are_two_sweeps(first: str, second: str) -> None:
    picture = two_machines(first, second, length=12)
    scenario = Scenario(response_of(12), policy="save-at-once")
    for name, line in zip((first, second), repr(picture).splitlines()[1:], strict=True):
        kernel = SimulatedKernel(MACHINES[name])
        swept = sweep(kernel, scenario).at(Phase.SERVED)
        assert line == f"{name:13} " + "".join(end.kind.letter for _, end in swept)
        for exit, frame in enumerate(picture.frames, start=1):
            result = run(kernel, scenario, Landing(exit, Phase.SERVED))
            part = frame.drawing.split('class="kxp-machine"')[(first, second).index(name) + 1]
            sent, got = re.findall(r"kxp-bytes.*?</span>(.*?)</div>", part)
            assert bytes.fromhex(shown(sent)) == result.undisturbed.guest
            assert bytes.fromhex(shown(got).replace("··", "")) == result.ending.guest
            assert f"{name}: {result.outcome}" in frame.says


def test_a_row_of_the_log_is_bad_where_lint_says_so() -> None:
    (finding,) = lint(BUG).findings
    rows = {row.number: row for row in rows_of(BUG, 39, 70)}
    bad = {line.number for line in finding.lines if line.role == "state"} & set(rows)
    assert bad and {number for number, row in rows.items() if row.bad} == bad
    assert all(rows[number].pending for number in bad)
    assert rows[finding.exit_line].pending and not rows[finding.exit_line - 1].pending
    pending = {row.number for row in rows.values() if row.pending}
    assert 45 in pending and 47 not in pending  # a read that was completed


@pytest.mark.parametrize("log", ["probe-fix-mmio.ftrace", "probe-fix-mmio.strace"])
def test_no_row_of_a_clean_log_is_bad(log: str) -> None:
    name = str(LOGS / log)
    last = len(Path(name).read_text().splitlines())
    rows = rows_of(name, 1, last)
    assert len(rows) == last and not any(row.bad for row in rows)
    assert any("EINTR" in row.says for row in rows)


def test_suspends_fall_where_the_windows_are() -> None:
    scenario, cycle = Scenario(response_of(16), policy="skip-entry"), Cycle(think=3e-4, period=0.01)
    odds = simulate(scenario, cycle, 300)
    spans = windows(scenario)
    assert len(odds.landed) == odds.suspends == 300
    assert 0 < odds.pending == sum(pending for _, pending in odds.landed)
    for seconds, pending in odds.landed:
        assert pending == any(begin <= seconds < end for begin, end in spans)
    whole = sum(end - begin for begin, end in spans)
    share = expected_share(scenario, cycle)
    assert whole / share == pytest.approx(packet_seconds(scenario, Costs()) + cycle.think)


def test_every_suspend_is_a_dot_and_the_last_words_count_them() -> None:
    picture = chances(200)
    assert len(re.findall(r"M[\d.]+ [\d.]+h0", picture.still.replace("h0M", "h0 M"))) == 200
    found = re.search(r"^200 suspends, (\d+) found a read pending", picture.frames[-1].says)
    assert found
    alarm = re.findall(r'linecap:square"[^>]* d="([^"]+)"', picture.still)
    assert sum(path.count("M") for path in alarm) == int(found[1]) > 0


@pytest.mark.parametrize("policy", POLICIES)
def test_a_loop_parks_where_its_run_does(policy: str) -> None:
    picture = all_pictures()["parked"]
    scenario = Scenario(response_of(32), policy=policy, program="wide")
    first = next(  # the exit of the picture's first frame
        n
        for n in range(1, 40)
        if run(SimulatedKernel(), scenario, Landing(n)).calls[0][1].size == 8
    )
    places = [Landing(exit, phase) for exit in (first, first + 1) for phase in Phase]
    for frame, landing in zip(picture.frames, places, strict=True):
        result, stop = run(SimulatedKernel(), scenario, landing), stop_of(policy, first, landing)
        assert stop.pending == (result.pattern == "bad")
        assert (policy in frame.says.split(".")[0]) == stop.pending
        assert f"{policy}: {result.outcome}" in frame.says
        assert stop.steps[0] is What.EXIT and stop.steps[-1] is What.SAVE
        assert stop.steps.count(What.REQUEST) == stop.steps.count(What.STOP) == 1
        runs = [call for name, call in result.calls if name == "KVM_RUN"]
        behind = stop.steps[stop.steps.index(What.REQUEST) :]
        assert behind.count(What.EXIT) + behind.count(What.EINTR) == len(runs) - 2  # before, after


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: two_machines("vax"), "unknown machine 'vax'"),
        (lambda: chances(5), "20 to 2000 suspends, not 5"),
        (lambda: walk(BUG, 1, 10_000), "has lines 1 to"),
        (lambda: kick_races("shout").__next__(), "unknown kick 'shout'"),
    ],
)
def test_what_cannot_be_drawn_is_said(make, words: str) -> None:
    with pytest.raises(KvmExitError, match=words):
        make()
