"""The first runs: the simulated kernel tells what real KVM, recorded, told."""

import pytest
from kvmexit.kernel.recorded import RecordedKernel, shipped
from kvmexit.kernel.retirement import ARM64
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.firsts import STORIES


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_simulated_and_recorded_tell_the_same(story):
    assert story(SimulatedKernel()) == story(RecordedKernel(shipped("first-runs")))


def test_a_kernel_with_other_rules_tells_another_story():
    assert [story(SimulatedKernel(ARM64)) for story in STORIES] != [
        story(SimulatedKernel()) for story in STORIES
    ]
