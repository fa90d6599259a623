"""A machine halted at a landing."""

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Landing, Phase, Scenario, machine_at, response_of
from kvmexit.vmm.machine import drain

KERNEL = SimulatedKernel()


def test_the_device_has_answered_where_the_phase_says_so():
    scenario = Scenario(response_of(20), policy="save-at-once")
    offsets = {
        phase: machine_at(KERNEL, scenario, Landing(5, phase, data_only=True))
        .bus.device.save()
        .offset
        for phase in Phase
    }
    assert offsets == {Phase.UNSERVED: 4, Phase.SERVED: 5, Phase.ENTERED: 5}


def test_it_can_be_driven_on_by_hand():
    machine = machine_at(KERNEL, Scenario(response_of(20)), Landing(5, data_only=True))
    before = machine.vm.vcpu.get_state()
    drain(machine.vm.vcpu, machine.bus)
    assert machine.vm.vcpu.get_state().rip > before.rip
    machine.vm.vcpu.kvm_run.immediate_exit = 1
    assert machine.vm.vcpu.run() is EINTR


def test_a_landing_past_the_end_is_named():
    with pytest.raises(KvmExitError, match="landing 21 lies past the end: the run has 20 reads"):
        machine_at(KERNEL, Scenario(response_of(20)), Landing(21, data_only=True))
