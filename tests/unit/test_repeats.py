"""The drain of a repeated instruction: simulated as recorded, and its bound."""

import pytest
from kvmexit.kernel.recorded import RecordedKernel, shipped
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.repeats import COUNTS, Drain, drain_repeat


@pytest.mark.parametrize("count", COUNTS)
def test_simulated_as_recorded(count: int) -> None:
    recorded = drain_repeat(RecordedKernel(shipped("repeats")), count)
    assert drain_repeat(SimulatedKernel(), count) == recorded


def test_three_thousand() -> None:
    assert drain_repeat(SimulatedKernel(), 3000) == Drain(3000, 952, 2048, 952)


@pytest.mark.parametrize("count", [1, 2, 1023, 1024, 1025, 2047, 2048, 2049])
def test_never_more_than_1024(count: int) -> None:
    done = drain_repeat(SimulatedKernel(), count)
    assert done.kvm_runs == (count - 1) % 1024 + 1 == done.count - done.ecx
