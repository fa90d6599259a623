"""A film shows what the experiment finds: its words, its strip, its cards, at every landing."""

import gzip
import json
import re
from itertools import pairwise

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import What
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Scenario, response_of, run
from kvmexit.show import film, text, trial
from kvmexit.show.fates import columns
from kvmexit.show.films import landings_of
from kvmexit.show.frame import RIP
from kvmexit.show.page import page
from kvmexit.show.scene import scene
from kvmexit.vmm.machine import COMPENSATIONS, POLICIES
from patience import draws

KERNEL = SimulatedKernel()
RESTORES = ("new-vm", "same-vcpu")


@pytest.fixture(scope="module")
def whole():
    return film(11, policy="all", compensation="all", restore="all")


@pytest.fixture(scope="module")
def indexed():
    return film(11, policy=["save-at-once", "drain"], restore="all", device="tis-indexed")


def test_every_landing_ends_as_the_experiment_says(whole) -> None:
    """All landings of all 20 variants, against `run`, which knows nothing of films."""
    assert agrees(whole) == {"ok", "missing", "stale", "duplicate", "torn", "lost"}


def test_every_landing_of_the_index_register(indexed) -> None:
    assert agrees(indexed) == {"ok", "stale", "torn", "lost"}


def agrees(made) -> set[str]:
    """Compares every landing with the experiment; the outcomes that there are."""
    kinds = set()
    for choice in made.choices:
        scenario = made.scenario(choice)
        world = made.worlds[choice[0]]
        for number, landing in landings_of(world).items():
            result = run(KERNEL, scenario, landing)
            verdict = made.verdict(number, choice)
            assert (verdict.kind, verdict.index) == (
                result.outcome.kind.value,
                result.outcome.index,
            ), (choice, number)
            assert verdict.returned == result.ending.returned
            assert verdict.message == result.ending.message
            assert verdict.reads == result.ending.reads
            assert verdict.left_over == result.ending.left_over
            kinds.add(verdict.kind)
    return kinds


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("restore", RESTORES)
@pytest.mark.parametrize("compensation", COMPENSATIONS)
def test_cards_of_every_landing(policy: str, restore: str, compensation: str) -> None:
    """The guest's buffer at the end of a film is the buffer that the experiment finds."""
    made = film(12, policy=policy, compensation=compensation, restore=restore)
    for number, landing in list(landings_of(made.worlds[0]).items())[:: draws(14, in_ci=2)]:
        result = run(KERNEL, made.scenario(), landing)
        frames, verdict = made.filmed(number)
        shown = scene(frames).bytes()
        assert bytes(byte or 0 for byte in shown)[: len(result.ending.guest)] == result.ending.guest
        assert verdict == made.verdict(number)
        found = columns(shown, result.undisturbed.guest, verdict)
        harmed = any(one.fate != "ok" for one in found)
        assert harmed == (verdict.kind not in ("ok", "lost")), (verdict, found)
        said = frames[-1].sentence
        assert f"the driver returns {result.ending.returned}" in said
        assert (result.ending.message or "") in said


def decode(data, choice, landing):
    """The run that the player would show: the sentences, straight from the tables."""

    def sums(steps):
        total, values = 0, []
        for step in steps:
            total += step
            values.append(total)
        return values

    nodes = [sums(column) for column in data["nodes"]]
    rows = [sums(column) for column in data["rows"]]
    world = data["worlds"][choice[0]]

    def chain(node):
        while node >= 0:
            yield node
            node = nodes[6][node]

    names = data["names"]
    at = (choice[1] * len(names["compensation"]) + choice[2]) * len(names["restore"]) + choice[3]
    segment, tail, end = (sums(column)[landing - 1] for column in world["runs"][at])
    texts = [nodes[0][node] for node in chain(world["first"])][: landing - 1]
    texts += [rows[0][row] for row in sums(data["segments"][segment])]
    texts += [nodes[0][node] for node in chain(tail)]
    return [data["texts"][number][2] for number in texts], data["ends"][end]


def test_the_tables_say_what_a_run_filmed_from_its_beginning_says() -> None:
    """Shared segments and tails against runs that share nothing."""
    made = film(11, policy=["save-at-once", "drain"], compensation="all", restore="all")
    data = json.loads(json.dumps(made.data))
    for choice in made.choices:
        for landing in range(1, len(made.worlds[0].frames) + 1, 13):
            frames, verdict = made.filmed(landing, choice)
            sentences, end = decode(data, choice, landing)
            assert sentences == [frame.sentence for frame in frames], (choice, landing)
            assert end[0] == verdict.kind


def test_the_undisturbed_run_has_the_same_steps_under_every_policy() -> None:
    steps = {
        tuple(frame.sentence for frame in film(11, policy=policy, suspend=False).frames())
        for policy in POLICIES
    }
    assert len(steps) == 1


def test_a_chapter_fits() -> None:
    """A film of 16 bytes, every landing of every policy, correction and restore: 40 kB."""
    made = film(16, policy="all", compensation="all", restore="all", read=13)
    assert len(gzip.compress(made.html().encode(), 9)) < 40_000


def test_a_film_is_the_same_to_the_byte_and_tells_of_a_change() -> None:
    first, again = film(12, read=11), film(12, read=11)
    assert first.html() == again.html() and repr(first) == repr(again)
    changed = response_of(12)[:-1] + b"\x00"
    other = film(response=changed, read=11)
    assert other.html() != first.html() and other.digest != first.digest


def test_the_default_frame_is_complete_without_scripts() -> None:
    made = film(16, read=13, at="end")
    html = made.html()
    visible = html[html.index("</script>") :]
    for words in ("1 byte missing: 20.", "20 missing", "returns 16", "aria-label", "Pending"):
        assert words in visible
    assert "<script" not in visible and "http" not in visible.replace("http://www.w3.org", "")


def test_a_readers_own_policy_and_device() -> None:
    def my_stop(vcpu, bus) -> None:
        vcpu.kvm_run.immediate_exit = 1
        vcpu.run()
        vcpu.kvm_run.immediate_exit = 0

    made = film(12, policy=[my_stop, "drain"])
    assert made.names["policy"] == ["my_stop", "drain"]
    assert made.kinds() == made.kinds((0, 1, 0, 0)) == ["ok"] * len(made.kinds())


def test_a_name_is_text_and_no_markup() -> None:
    """A title is the reader's, and a function without a name is called ``<lambda>``."""
    nothing = lambda vcpu, bus: None  # noqa: E731  # it is to have no name
    made, tried = film(11, title="a <i>b</i>", policy=[nothing]), trial(nothing, 11)
    for html in (made.html(), page(made), tried.film().html(), tried.chart().html()):
        shown = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
        assert "&lt;" in shown and "<i>" not in shown and "<lambda" not in shown


def test_a_program_of_the_readers() -> None:
    made = film(source="mov al, [0xfed40024]\nhlt", response=b"\x42\x43", read=1)
    assert made.verdict(made.landing).kind == "missing"
    assert film(source="mov al, [0xfed40024]\nhlt", response=b"\x42", suspend=False).kinds() == []
    frames = made.frames()
    assert frames[-1].seen.registers[0] == 0x43


def test_pending_is_what_the_save_does_not_hold() -> None:
    frames = film(16, read=13).frames()
    save = next(frame for frame in frames if frame.what is What.SAVE)
    assert save.seen.pending.startswith("a read, answered with 20")
    assert "none of it is in what was saved" in save.sentence
    drained = film(16, read=13, policy="drain").frames()
    save = next(frame for frame in drained if frame.what is What.SAVE)
    assert save.seen.pending == "" and "Nothing is pending" in save.sentence


def test_text_is_the_run() -> None:
    lines = repr(text(16, read=13, around=2)).splitlines()
    assert sum("new VM gets what was saved" in line for line in lines) == 1
    assert lines[-2].startswith("Outcome: missing at 12")
    assert "The driver returns 16, prints nothing." == lines[-1]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"read": 17}, "read 17 lies past the end"),
        ({"read": 0}, "landings count from 1, not 0"),
        ({"landing": 9999}, "outside the run"),
        ({"policy": 7}, "a policy is a name"),
        ({"policy": "drein"}, "unknown policy"),
        ({"at": "nap"}, "no step 'nap'"),
        ({"source": "hlt", "policy": "sometimes"}, "unknown policy"),
    ],
)
def test_what_cannot_be_is_named(settings: dict, words: str) -> None:
    with pytest.raises(KvmExitError, match=words) as caught:
        made = film(16, **settings)
        made.html()
    assert "\n" not in str(caught.value)


def test_scenarios_of_a_film_are_those_of_the_experiment(whole) -> None:
    assert whole.scenario((0, 4, 1, 1)) == Scenario(
        response_of(11), "tis-2011", "drain", "rewind", "same-vcpu"
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"read": 13}, ["answer goes to the guest, RIP moves on"]),
        ({"read": 13, "restore": "same-vcpu"}, ["eax to edi keep what was written back"]),
        ({"read": 11, "program": "wide"}, ["RIP stays", "answer goes to the guest, RIP moves on"]),
        ({"read": 13, "program": "string"}, ["RIP stays", "RIP stays"]),
    ],
)
def test_a_completion_says_what_the_guest_gets_of_it(settings: dict, words: list[str]) -> None:
    made = film(40, policy="save-at-once", **settings)
    frames = made.filmed(made.landing, made.choices[0])[0]
    stop = next(at for at, one in enumerate(frames) if one.what is What.RESTORE)
    ends = [pair for pair in pairwise(frames[stop:]) if pair[1].what is What.COMPLETE]
    for word, (before, after) in zip(words, ends, strict=False):
        moves = before.seen.registers[RIP] != after.seen.registers[RIP]
        assert word in after.sentence and ("RIP moves on" in after.sentence) == moves
