"""Figures, questions and listings: the same on every run, with words for whoever sees none."""

import re
from html import unescape
from xml.etree import ElementTree

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Scenario, response_of
from kvmexit.packet.sweeps import sweep
from kvmexit.show import card, devices, film, grid, listing, odds, strip
from kvmexit.vmm.machine import POLICIES


def svg_of(chart):
    html = chart.html()
    source = html[html.index("<svg") : html.index("</svg>") + 6]
    return ElementTree.fromstring(source)


CHARTS = {
    "strip": lambda: strip(12),
    "grid": lambda: grid(12),
    "devices": lambda: devices(12),
    "odds": lambda: odds([1, 10], {"a": [0.1, 0.2]}, title="t", xlabel="x", ylabel="y"),
}


@pytest.mark.parametrize("make", CHARTS.values(), ids=CHARTS)
def test_a_chart_is_the_same_twice_and_has_words(make) -> None:
    first, again = make(), make()
    assert first.html() == again.html() and repr(first) == repr(again)
    svg = svg_of(first)
    names = {"{http://www.w3.org/2000/svg}title", "{http://www.w3.org/2000/svg}desc"}
    ids = [child.get("id") for child in svg if child.tag in names]
    assert svg.get("role") == "img" and svg.get("aria-labelledby") == " ".join(ids)
    assert first.alt and "currentColor" in first.html() and "#010203" not in first.html()
    assert svg.findall(".//{http://www.w3.org/2000/svg}text"), "text stays text"
    ids = re.findall(r'id="([^"]+)"', first.html())
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("make", CHARTS.values(), ids=CHARTS)
def test_a_front_end_that_takes_drawings_away_shows_a_sentence(make) -> None:
    """JupyterLab, in a notebook that it does not trust: drawings go, their text stays."""
    chart = make()
    left = re.sub(r"<style>.*?</style>|</?(svg|g|title|desc|text|path)\b[^>]*>", "", chart.html())
    hidden = re.search(r"<div [^>]*hidden='hidden'.*?</div>", left, re.DOTALL)[0]
    assert "<div" not in hidden[4:]
    seen = unescape(re.sub(r"<[^>]*>", "", left.replace(hidden, "")))
    assert seen == f"{chart.title}. {chart.alt} Run the cell to see it drawn."


@pytest.mark.parametrize("policy", POLICIES)
def test_the_strip_is_the_sweep(policy: str) -> None:
    swept = sweep(SimulatedKernel(), Scenario(response_of(12), policy=policy))
    shown = grid(12, policy=policy)
    assert swept.strip in repr(shown)
    wrong = sum(letter != "." for letter in swept.strip)
    found = re.findall(r"(\d+) (?:missing|stale|duplicate|torn|lost)", shown.alt)
    assert sum(map(int, found)) == wrong


def test_no_text_under_twelve_pixels() -> None:
    """On a telephone a figure is 350 pixels wide."""
    for make in CHARTS.values():
        html = make().html()
        sizes = [float(size) for size in re.findall(r"font-size: ?([\d.]+)px", html)]
        units = float(re.search(r'viewBox="0 0 ([\d.]+) ', html)[1])
        assert sizes and min(sizes) * 350 / units >= 12


def test_two_charts_of_a_page_share_no_id() -> None:
    ids = [re.findall(r'id="([^"]+-t)"', chart.html()) for chart in (strip(11), strip(12))]
    assert ids[0] != ids[1]


def test_a_listing_marks_one_instruction() -> None:
    shown = listing("driver", start="mov al, [0xfed40024]", lines=4, mark="mov al")
    lines = repr(shown).splitlines()
    assert [line for line in lines if line.startswith("→")] == [lines[0]]
    assert "<strong>" in shown.html()
    with pytest.raises(KvmExitError, match="nothing to mark"):
        listing("driver", lines=2, mark="cpuid")
    with pytest.raises(KvmExitError, match="not in this program"):
        listing("driver", start="cpuid")
    with pytest.raises(KvmExitError, match="unknown program 'drivre'; known: driver, indexed"):
        listing("drivre")


def test_a_listing_of_little() -> None:
    assert listing(source="; nothing").lines == listing(lines=0).lines == ()
    assert listing(source="jmp end\nend:").lines == ("0x1000  eb 00  jmp end", "end:")


def test_the_card_is_the_page() -> None:
    made = film(16, suspend=False, at="exit")
    assert "mmio.phys_addr  0xfed40018" in repr(card(made))
    assert "(stale)" not in repr(card(made))
    with pytest.raises(KvmExitError, match="outside the run"):
        card(made, 10_000)
