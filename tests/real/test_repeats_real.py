"""The drain of a repeated instruction on real KVM, live and as it was recorded."""

from pathlib import Path

import pytest
from kvmexit.kernel.recorded import RecordedKernel, shipped
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.repeats import COUNTS, drain_repeat, record


@pytest.mark.parametrize("count", COUNTS)
def test_a_repeat_is_drained_alike(kernel, count: int) -> None:
    assert drain_repeat(kernel, count) == drain_repeat(SimulatedKernel(), count)


def test_the_recording_can_be_made_again(kernel, tmp_path: Path) -> None:
    record(kernel, tmp_path / "repeats.json.gz")
    again = RecordedKernel(tmp_path / "repeats.json.gz")
    for count in COUNTS:
        assert drain_repeat(again, count) == drain_repeat(RecordedKernel(shipped("repeats")), count)
