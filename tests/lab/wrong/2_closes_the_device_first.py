from kvmexit.exits import EINTR
from kvmexit.lab import Snapshot


def suspend(vcpu, bus, memory):
    device = bus.device.save()
    bus.device.close()
    vcpu.kvm_run.immediate_exit = 1
    while vcpu.run() is not EINTR:
        bus.serve(vcpu.kvm_run)
    vcpu.kvm_run.immediate_exit = 0
    return Snapshot(vcpu.get_state(), memory.save(), device)
