"""The atlas to be guessed at: complete, the same on every run, and right about every guess."""

import re
from html.parser import HTMLParser

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.atlas import atlas_cases
from kvmexit.probe.cases import case
from kvmexit.probe.report import probe
from kvmexit.probe.saves import SAVES
from kvmexit.show import atlas

REPORTS = [probe(SimulatedKernel(), one) for one in atlas_cases()]
TABLE = atlas(REPORTS)


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.fors: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        found = dict(attrs)
        assert tag != "script"
        if tag == "input":
            self.ids.append(found["id"])
        if tag == "label":
            self.fors.append(found["for"])


def test_every_exit_is_in_one_entry_with_its_verdicts() -> None:
    rows = {(r.case.name, row.k): row.save for r in REPORTS for row in r.rows}
    for entry in TABLE.entries:
        for k in range(entry.row.k, entry.last.k + 1):
            assert rows.pop((entry.case.name, k)) == entry.row.save
    assert rows == {}


def test_the_same_twice_and_no_id_twice() -> None:
    assert atlas(REPORTS).html() == TABLE.html() and repr(atlas(REPORTS)) == repr(TABLE)
    tags = Tags(TABLE.html())
    assert len(set(tags.ids)) == len(tags.ids) and tags.ids == tags.fors
    assert not set(tags.ids) & set(Tags(atlas(REPORTS, key="other").html()).ids)


def test_one_of_each_shows_every_fate() -> None:
    shown = [entry for entry in TABLE.entries if entry.first_of_its_kind]
    assert len(shown) < len(TABLE.entries) / 3
    fates = {tuple(entry.verdict(save) for save in SAVES) for entry in TABLE.entries}
    assert {tuple(entry.verdict(save) for save in SAVES) for entry in shown} == fates


def test_each_answer_has_its_own_reason() -> None:
    """No entry falls back on the bare meaning of a word."""
    for entry in TABLE.entries:
        for save in SAVES:
            assert entry.verdict(save).meaning not in entry.reason(save).lower()


def test_a_reason_about_what_came_back_is_true() -> None:
    """`came back with a write` is said only where the next exit of the access is a write."""
    exits = {(r.case.name, row.k): row.exit for r in REPORTS for row in r.rows}
    said = 0
    for entry in TABLE.entries:
        for k in range(entry.row.k, entry.last.k + 1):
            for save in ("kick-once", "serve-once"):
                reason = entry.reason(save)
                if "EINTR" in reason:
                    continue
                after = type(exits[entry.case.name, k + 1]).__name__
                said += 1
                if "write" in reason:
                    assert after in ("MmioWrite", "PioOut"), (entry.case.name, k, save)
                if "a read" in reason:
                    assert after == "MmioRead", (entry.case.name, k, save)
    assert said > 50


def test_the_guess_decides_what_is_said() -> None:
    style = re.search(r"<style>(.*)</style>", TABLE.html())[1]
    assert ".g-lost:checked~.said .v-lost .yes{display:inline}" in style
    assert ".g-lost:checked~.said p:not(.v-lost) .no{display:inline}" in style
    assert "#atlas-s-drain:not(:checked)~ol .s-drain{display:none}" in style


def test_another_restore_is_refused() -> None:
    one = probe(SimulatedKernel(), case("read", "mov al, [0xd0024]"), "same-vcpu")
    with pytest.raises(KvmExitError, match="into a new VM, not same-vcpu"):
        atlas([one])
