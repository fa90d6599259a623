"""All questions of the book: nothing but thought tells which guess is right."""

import html
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache

import nbformat
import pytest
from guesses import FOLDER as OF_A_PAGE, questions, script
from kvmexit.errors import KvmExitError
from kvmexit.show import paint, player, predict, tap
from pages import ROOT, contents, notebooks

LONGEST_PART = 250
"""Lines of a part of the script."""
REFUTED = {3: 5.99, 4: 7.81}
"""By chi-squared, that all places are as likely: at five in a hundred, by the number of places."""
SHARE = 0.4
"""No place has a larger part of the right guesses, where there are enough questions to say so."""
OFTEN = 4
"""Guesses that begin alike, before it is a habit."""
NOT_BENEATH = ("Who does one instruction twice", "QEMU goes on in the same process")
"""Questions whose answer does not stand under them."""
GUESS = re.compile(
    r"<details [^>]*?(?P<right>data-right)?><summary [^>]*>(?P<guess>.*?)</summary>"
    r"<p class=\"kvmexit-answer\" [^>]*><strong>.*?</strong> (?P<answer>.*?)</p></details>"
)


def words(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", markup))


@dataclass(frozen=True)
class Asked:
    """A question as it stands in a notebook: guess, answer and whether it is right, in order."""

    key: str
    guesses: tuple[tuple[str, str, bool], ...]


@cache
def asked() -> list[Asked]:
    """Every choice of guesses in the stored outputs of the book."""
    found = []
    for path in notebooks():
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", ()):
                text = output.get("data", {}).get("text/html", "")
                if 'data-kind="choice"' in text:
                    guesses = tuple(
                        (words(one["guess"]), words(one["answer"]), bool(one["right"]))
                        for one in GUESS.finditer(text)
                    )
                    found.append(Asked(re.findall('data-key="(\\w+)"', text)[0], guesses))
    return found


def test_every_question_is_found_with_all_its_guesses() -> None:
    listed: dict[str, list[str]] = {}
    for page in contents():
        for key, _ in questions(page):
            listed.setdefault(key, []).append(page)
    twice = [pages for pages in listed.values() if len(pages) > 1]
    assert twice == [], "the same question on two pages has one guess: change its words"
    assert len(listed) > 30
    assert {one.key for one in asked()} <= set(listed)
    for one in asked():
        right = sum(is_right for *_, is_right in one.guesses)
        assert 0 < right < len(one.guesses) and len(one.guesses) > 2, one


def test_the_place_tells_nothing() -> None:
    places: dict[int, Counter[int]] = defaultdict(Counter)
    for one in asked():
        rights = [n for n, (*_, right) in enumerate(one.guesses) if right]
        if len(rights) == 1:
            places[len(one.guesses)][rights[0]] += 1
    for size, found in places.items():
        total = found.total()
        assert set(found) == set(range(size)), f"of {size} guesses one place is never right"
        assert max(found.values()) <= SHARE * total, (size, found)
        even = total / size
        chi = sum((found[n] - even) ** 2 / even for n in range(size))
        assert chi < REFUTED[size], (size, found)


def test_the_length_tells_nothing() -> None:
    for which in (max, min):
        pick = [which(one.guesses, key=lambda guess: len(guess[0])) for one in asked()]
        assert 0.15 < sum(right for *_, right in pick) / len(pick) < 0.45, which


@pytest.mark.parametrize("part", [0, 1], ids=["guesses", "answers"])
def test_the_first_word_tells_nothing(part: int) -> None:
    begun: dict[str, list[bool]] = defaultdict(list)
    for one in asked():
        for guess in one.guesses:
            begun[guess[part].split()[0].strip(",.:")].append(guess[2])
    for word, rights in begun.items():
        if len(rights) >= OFTEN:
            assert not all(rights), f"{word!r} begins right ones alone"
            assert part or any(rights), f"{word!r} begins wrong ones alone"
    assert not {"Yes", "Right", "No", "So"} & set(begun) or part == 0, "the verdict says it"


def test_what_answers_is_marked() -> None:
    """The first output that a reader sees under a question, in its section, has the tag."""
    for path in notebooks():
        open_question = ""
        for cell in nbformat.read(path, as_version=4).cells:
            tags = set(cell.metadata.get("tags", ()))
            if cell.cell_type == "markdown" and re.search(r"^#+ ", cell.source, re.MULTILINE):
                assert not open_question, f"{path.name}: who answers {open_question!r}?"
            if cell.cell_type != "code" or "remove-cell" in tags:
                continue
            if any("kvmexit-predict" in str(output) for output in cell.outputs):
                assert not open_question, f"{path.name}: who answers {open_question!r}?"
                text = cell.outputs[0].data["text/plain"].replace("\n", " ")
                known = "answered-below" in tags or any(one in text for one in NOT_BENEATH)
                open_question = "" if known else text[:60]
            elif "answer" in tags:
                open_question = ""
        assert not open_question, f"{path.name}: who answers {open_question!r}?"


def test_each_guess_has_its_own_answer() -> None:
    one = predict(
        "Is `al` written?",
        right={"not yet": "The kernel has it: <b> is text."},
        wrong={"it is": "Who should have?", "half of it": "There is one."},
    )
    assert one.html().count("<details") == one.html().count("<summary") == 3
    assert one.html().count(" data-right>") == 1
    assert "script" not in one.html() and "<b>" not in one.html()
    assert "<code>al</code>" in one.html()
    shown = one._repr_mimebundle_()
    assert {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"} == set(shown)
    text = repr(one)
    assert "     Right. The kernel" in text and text.count("     Not so. ") == 2
    assert text.index("not yet\n") < text.index("Right.")


def test_the_order_is_nobodys_choice() -> None:
    said = {name: f"because of {name}" for name in "abcde"}
    first = {"a": said.pop("a")}
    one = predict("?", right=first, wrong=said)
    back = dict(reversed(said.items()))
    assert predict("?", right=first, wrong=back) == one
    orders = {
        tuple(guess.guess for guess in predict(f"{n}?", right=first, wrong=said).guesses)
        for n in range(20)
    }
    assert len(orders) > 10
    keys = {predict(f"{n}?", right=first, wrong=said).key for n in range(20)}
    assert len(keys) == 20 and one.key == predict("?", right=said, wrong=first).key


@pytest.mark.parametrize(
    "right, wrong, message",
    [
        ({}, {"a": "b"}, "at least one right"),
        ({"a": "b"}, {}, "one wrong"),
        ({"a": "b"}, {"a": "c"}, "'a' cannot be right and wrong"),
    ],
)
def test_a_question_must_be_one(right, wrong, message) -> None:
    with pytest.raises(KvmExitError, match=message):
        predict("?", right=right, wrong=wrong)


def test_a_strip_is_a_sweep_of_the_librarys() -> None:
    one = tap("Where?", "There.", length=12, policy="save-at-once")
    assert one.strip.strip(".").startswith("m") and one.first == one.strip.index("m") + 1
    assert one.exits[one.first - 1] == "a read of the response"
    assert one.exits[-1] == "a write to STS" and len(one.exits) == len(one.kinds)
    assert one.strip in one.html() and one.strip in repr(one) and one.truth in one.html()
    other = paint("Where?", "There.", length=12, policy="save-at-once", phase="unserved")
    assert other.strip.endswith("l") and other.key != one.key
    assert "Paint those" in repr(other) and 'data-kind="paint"' in other.html()
    with pytest.raises(KvmExitError, match="nothing to point at"):
        tap("?", "!", length=12, policy="drain")
    with pytest.raises(KvmExitError, match="known: unserved, served, entered"):
        tap("?", "!", length=12, phase="late")


def test_every_part_of_the_script_reads_in_one_sitting_and_is_needed() -> None:
    own = {path.name: path.read_text() for path in OF_A_PAGE.glob("*.js")}
    assert set(own) <= set(player.order({**player.parts(), **own}, "site.js"))
    assert not set(own) & set(player.parts()), "a part of a player has the same name"
    for name, text in own.items():
        assert len(text.splitlines()) <= LONGEST_PART, name
        assert text.startswith("/* "), f"{name} does not say what it is"
        for names, _ in player.IMPORT.findall(text):
            for one in re.findall(r"\w+", names):
                assert re.search(rf"\b{one}\b", player.IMPORT.sub("", text)), (name, one)


def test_the_joined_scripts_import_nothing() -> None:
    for text in (player.module("question.js"), script()):
        assert not re.search(r"^\s*import\b", text, re.MULTILINE)
        assert "</script" not in text
    assert (ROOT / "book" / "reference" / "guesses.md").exists()
