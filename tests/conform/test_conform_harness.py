"""The harness is not the culprit: what a fake VMM does to its guest is counted, and no more."""

import os
import tempfile
import threading
from pathlib import Path

import pytest
from fakes import fake, seen
from kvmexit.conform import (
    GUESTS,
    Judgement,
    Plan,
    Verdict,
    conform,
    harness as harness_module,
    judge,
)
from kvmexit.errors import KvmExitError
from patience import draws

FAULTS = {
    "none": {},
    "lose": {"missing": 1},
    "repeat": {"twice": 1},
    "make-up": {"made up": 1},
    "in-place": {"made up": 1, "missing": 1},
    "reorder": {"out of order": 1},
    "write-twice": {"written twice": 1},
    "not-write": {"not written": 1},
}


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path_factory, monkeypatch):
    """No process, no thread, no descriptor, no folder."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def there():
        children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()
        descriptors = len(os.listdir("/proc/self/fd"))
        return children, threading.active_count(), descriptors, list(folder.iterdir())

    before = there()
    yield
    assert there() == before


def total(judgement: Judgement) -> dict[str, int]:
    return {kind: count for kind, count in judgement.counts.items() if count}


@pytest.mark.parametrize("same", [False, True], ids=["new-process", "same-process"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_counted_once_and_at_its_stop(fault, same, tmp_path):
    for seed in range(draws(1, in_ci=50)):
        folder = tmp_path / str(seed)
        folder.mkdir()
        at = 1 + seed % 2
        judgement = judge(seen(folder, fault, at, 2, seed, same))
        assert total(judgement) == FAULTS[fault], (fault, seed)
        if fault != "none":
            assert judgement.verdict is Verdict.NOT_WHOLE
            assert judgement.broken == [at]
            assert f"at stop {at}: expected" in judgement.reason


def plan(fault, at=1, **more):
    adapter = fake(fault, at)
    return Plan(adapter, more.pop("binary", adapter.binary), GUESTS["reader"], **more)


def test_a_perfect_vmm_is_whole_when_enough_pauses_met_the_read(monkeypatch):
    monkeypatch.setattr(harness_module, "pending_at_pause", lambda _: GUESTS["reader"].pending)
    result = conform(plan("none", same=True))
    assert result.judgement.verdict is Verdict.WHOLE
    assert result.judgement.seen.pending == list(range(1, result.judgement.seen.stops + 1))


def test_a_perfect_vmm_that_never_met_it_is_not_called_whole(monkeypatch):
    monkeypatch.setattr(harness_module, "pending_at_pause", lambda _: None)
    judgement = conform(plan("none", same=True, stops=3)).judgement
    assert judgement.verdict is Verdict.CANNOT_TELL
    assert "at none of 3 stops" in judgement.reason


def test_what_has_no_vcpu_is_told():
    judgement = conform(plan("none", same=True, stops=1)).judgement
    assert judgement.verdict is Verdict.CANNOT_TELL
    assert "has mapped a vCPU" in judgement.reason


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("die", "ended with status 1; its last words: fake: no room for this guest"),
        ("half", "s for its API's socket, and nothing came; it said nothing"),
        ("mute", "s for its guest's first word, and nothing came"),
        ("hang", "s for pausing, and nothing came"),
        ("killed", "ended by signal 9"),
        ("refuse", "pausing failed: the fake says 'cannot pause now'; it said nothing"),
        ("stand", "s for its guest to go on after stop 1, and nothing came"),
    ],
)
def test_a_vmm_that_fails_is_one_sentence(fault, said):
    with pytest.raises(KvmExitError) as problem:
        conform(plan(fault))
    assert said in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_binary_that_is_not_there():
    with pytest.raises(KvmExitError, match="no such program; give its path with --binary"):
        conform(plan("none", binary="/no/such/vmm"))
