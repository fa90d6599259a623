"""What is seen is stated once: no colour, shape, letter or word of it stands in two files."""

import re
from pathlib import Path

import pytest
from kvmexit.exits import Lane, Reason, What
from kvmexit.packet.outcome import Kind
from kvmexit.probe.verdict import Verdict as Fate
from kvmexit.show import vocabulary
from kvmexit.show.fates import columns
from kvmexit.show.scene import Page
from kvmexit.show.stage import Verdict
from kvmexit.show.vocabulary import FATES, LANES, OUTCOMES, STEPS, VERDICTS, WORDS, for_player

ROOT = Path(__file__).parents[2]
HOME = "lib/kvmexit/show/vocabulary.py"
TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for top in ("lib", "book")
    for kind in ("py", "js", "css")
    for path in sorted((ROOT / top).rglob(f"*.{kind}"))
    if not {"_build", ".ipynb_checkpoints"} & set(path.parts)
}
DRAWS = {
    name: text
    for name, text in TEXTS.items()
    if not name.endswith(".py") or name.startswith(("lib/kvmexit/show/", "book/site/"))
}
"""The files that a reader's eye meets; elsewhere the words are prose and messages."""
COLOUR = re.compile(r"#(?:[0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})\b", re.IGNORECASE)
SHAPE = re.compile(r"""["'`](M-?[\d.][^"'`${}]{6,})["'`]""")


def homes(pattern: re.Pattern[str], texts: dict[str, str]) -> dict[str, set[str]]:
    """What the pattern finds, and in which files."""
    found: dict[str, set[str]] = {}
    for name, text in texts.items():
        for one in pattern.findall(text):
            found.setdefault(one.lower(), set()).add(name)
    return found


def twice(pattern: re.Pattern[str], texts: dict[str, str]) -> dict[str, set[str]]:
    return {one: files for one, files in homes(pattern, texts).items() if len(files) > 1}


def quoted(word: str) -> re.Pattern[str]:
    """The word as a whole string; between two backticks it is a docstring's."""
    return re.compile(rf"""(?<!`)(["'`]){re.escape(word)}\1(?!`)""")


def row(word: str) -> re.Pattern[str]:
    """The word as the key of a table, or as a property of a style sheet, with a literal value."""
    return re.compile(rf"""(?<![\w.]){word}["']?:\s*["'`\[({{#]""")


def test_the_search_finds_what_stands_twice():
    two = {"a.js": 'x = "#AB12cd"; d = "M-6-6H6V6"', "b.css": "--x:#ab12cd", "c.py": "'M-6-6H6V6'"}
    assert twice(COLOUR, two) == {"#ab12cd": {"a.js", "b.css"}}
    assert twice(SHAPE, two) == {"m-6-6h6v6": {"a.js", "c.py"}}
    assert row("missing").search('{ missing: [[0, 7]], stale: "s" }')
    assert row("missing").search("--missing:#fff")
    assert not row("stale").search("page.stale = true; { stale: true }")


def test_no_colour_stands_in_two_files():
    assert homes(COLOUR, TEXTS), "the search finds no colour at all"
    assert not twice(COLOUR, TEXTS)


def test_no_shape_stands_in_two_files():
    shapes = homes(SHAPE, TEXTS)
    for look in STEPS.values():
        assert shapes[look.shape.lower()] == {HOME}
    assert not twice(SHAPE, TEXTS)


@pytest.mark.parametrize(
    "words",
    [
        {lane.value for lane in Lane},
        {what.value for what in What},
        {kind.value for kind in Kind},
        set(FATES),
        {reason.name for reason in Reason},
    ],
    ids=["lanes", "steps", "outcomes", "fates", "exits"],
)
def test_no_second_table_has_a_row_for_a_word(words: set[str]):
    """A table of two or more of the words is a look, wherever it stands."""
    for name, text in DRAWS.items():
        rows = {word for word in words if row(word).search(text)}
        assert name == HOME or len(rows) < 2, (name, rows)


def test_no_word_that_is_shown_stands_in_two_files():
    """Words that are no names (those, code must be able to compare) stand in the vocabulary."""
    names = {one.value for kind in (Lane, What, Kind) for one in kind} | set(FATES)
    shown = {look.label for look in STEPS.values()} | {look.name for look in LANES.values()}
    shown |= {word for look in FATES.values() for word in (look.sign, look.word)}
    shown |= {
        vocabulary.PAGE,
        vocabulary.MOVED_UP,
        vocabulary.STOP,
        *WORDS.values(),
        *vocabulary.ASKING.values(),
        *vocabulary.MARKS.values(),
    }
    shown |= {reason.c_name for reason in Reason}
    for word in shown - names - {""}:
        found = {name for name, text in DRAWS.items() if quoted(word).search(text)}
        assert found <= {HOME}, (word, found)


def test_everything_that_can_be_shown_has_a_look():
    assert (set(LANES), set(STEPS), set(OUTCOMES)) == (set(Lane), set(What), set(Kind))
    assert set(VERDICTS) == set(Fate)
    for group in (LANES, OUTCOMES, VERDICTS):
        colours = [look.colour for look in group.values()]
        assert len(set(colours)) == len(colours)
    shapes = [look.shape for look in STEPS.values()]
    assert len(set(shapes)) == len(shapes)
    assert len({look.bars for look in OUTCOMES.values()}) == len(OUTCOMES)
    assert len({kind.letter for kind in Kind}) == len(Kind)
    assert len({fate.value[0] for fate in Fate}) == len(Fate)


def test_every_fate_of_a_byte_has_a_look():
    want, found = bytes(range(8)), set()
    for kind in ("missing", "duplicate", "stale", "torn"):
        verdict = Verdict(kind, 3, 1, 8, None, 8, 0)
        for got in (want, want[:3] + want[4:], want[:3] + want[2:7], b"\xff" * 8):
            found |= {one.fate for one in columns(list(got), want, verdict)}
    assert found == set(FATES)


def test_the_player_hears_the_same():
    told = for_player()
    assert [lane["key"] for lane in told["LANES"]] == [lane.value for lane in Lane]
    assert told["REASONS"][told["MMIO"]] == Reason.MMIO.name
    assert told["OUTCOMES"]["ok"]["letter"] == "" and told["OUTCOMES"]["lost"]["letter"] == "l"
    assert told["STEPS"]["exit"]["carries"] == [2, 3]


def test_exit_reasons_are_put_into_words():
    assert Page().reason_words == "0 (nothing yet)"
    assert Page(reason=6, stale=False).reason_words == "6 KVM_EXIT_MMIO"
    assert Page(reason=10).reason_words == "10 KVM_EXIT_INTR (stale)"
    assert Page(reason=77, stale=False).reason_words == "77 KVM_EXIT_?"
