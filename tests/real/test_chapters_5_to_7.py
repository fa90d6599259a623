"""What chapters 5 to 7 run on the simulated kernel, run on the real one too."""

from __future__ import annotations

import pytest
from kvmexit.kernel.real import RealKernel
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Landing, Scenario, response_of, run

pytestmark = pytest.mark.usefixtures("kvm")


@pytest.mark.parametrize("read", [5, 11, 15])
def test_registers_written_back_leave_the_same_stale_byte(read: int) -> None:
    scenario = Scenario(response_of(20), policy="save-at-once", restore="same-vcpu")
    landing = Landing(read, data_only=True)
    real, simulated = (run(k, scenario, landing) for k in (RealKernel(), SimulatedKernel()))
    assert real.ending == simulated.ending
    assert (real.outcome, real.ioctls) == (simulated.outcome, simulated.ioctls)


@pytest.mark.parametrize("policy", ["kick-once", "serve-once", "drain"])
@pytest.mark.parametrize("program", ["driver", "wide", "rmw", "string"])
def test_half_measures_end_alike(program: str, policy: str) -> None:
    scenario = Scenario(response_of(40), policy=policy, program=program)
    last = Landing(run(SimulatedKernel(), scenario).exits - 1)
    for landing in (last, Landing(11, data_only=True)):
        real, simulated = (run(k, scenario, landing) for k in (RealKernel(), SimulatedKernel()))
        assert (real.outcome, real.ioctls) == (simulated.outcome, simulated.ioctls)
