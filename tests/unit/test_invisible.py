"""Where a restored machine stands."""

import random

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import What
from kvmexit.guest.driver import PROGRAMS
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Landing, Phase, Scenario, response_of
from kvmexit.packet.invisible import invisibility, suspend_often, undisturbed_points
from kvmexit.packet.outcome import Kind
from kvmexit.packet.sweeps import sweep
from kvmexit.vmm.machine import POLICIES, RESTORES
from patience import draws

KERNEL = SimulatedKernel()
MACHINES = [("tis", program) for program in PROGRAMS] + [("tis-indexed", "driver")]


@pytest.mark.parametrize("restore", RESTORES)
@pytest.mark.parametrize("device, program", MACHINES)
def test_the_drain_is_invisible_at_every_landing(device, program, restore):
    scenario = Scenario(response_of(40), device, "drain", restore=restore, program=program)
    found = invisibility(KERNEL, scenario)
    assert found.holds and found.visible == []
    assert found.landings == 3 * len(undisturbed_points(KERNEL, scenario).served) + 2 * found.points


@pytest.mark.parametrize("restore", RESTORES)
@pytest.mark.parametrize("device, program", MACHINES)
@pytest.mark.parametrize("policy", POLICIES)
def test_what_cannot_be_seen_does_no_harm(policy, device, program, restore):
    """Each landing with another outcome than ok is visible; and the landings are the sweep's."""
    length = draws(14, in_ci=30)
    scenario = Scenario(response_of(length), device, policy, restore=restore, program=program)
    found, swept = invisibility(KERNEL, scenario), sweep(KERNEL, scenario)
    assert tuple(landing for landing, _ in found.at_exits) == swept.landings
    for landing, outcome in zip(swept.landings, swept.outcomes):
        assert outcome.kind is Kind.OK or landing in found.visible


def test_a_harmless_outcome_can_be_visible():
    """STS read twice: the driver never knows, the device does."""
    scenario = Scenario(response_of(20), policy="save-at-once")
    sts = Landing(1, Phase.SERVED)
    swept = sweep(KERNEL, scenario)
    assert swept.outcomes[swept.landings.index(sts)].kind is Kind.OK
    assert sts in invisibility(KERNEL, scenario).visible


def test_a_read_saved_before_it_was_served_stands_one_point_back():
    scenario = Scenario(response_of(20), policy="save-at-once")
    at = dict(invisibility(KERNEL, scenario).at_exits)
    known = undisturbed_points(KERNEL, scenario)
    where = at[Landing(4, Phase.UNSERVED)]
    assert where is not None and known.points[where].exits == 3
    assert at[Landing(4, Phase.ENTERED)] == where + 1


def test_a_request_between_two_instructions_changes_nothing():
    found = invisibility(KERNEL, Scenario(response_of(12), policy="save-at-once"))
    assert all(where == there for where, there in found.at_points)


@pytest.mark.parametrize("restore", RESTORES)
@pytest.mark.parametrize("device, program", MACHINES)
def test_any_number_of_suspends(device, program, restore):
    scenario = Scenario(response_of(40), device, "drain", restore=restore, program=program)
    for seed in range(5):
        rng = random.Random(seed)
        outcome, suspends = suspend_often(KERNEL, scenario, lambda _, r=rng: r.random() < 0.3)
        assert outcome.kind is Kind.OK and suspends > 3
    outcome, suspends = suspend_often(KERNEL, scenario, lambda step: step.what is What.LOOK)
    assert outcome.kind is Kind.OK and suspends > 9


def test_safety_is_not_progress():
    with pytest.raises(KvmExitError, match="after 1000 steps .* leave it room"):
        suspend_often(KERNEL, Scenario(policy="drain"), lambda _: True, limit=1_000)
