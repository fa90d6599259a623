from kvmexit.exits import EINTR
from kvmexit.lab import Snapshot


def suspend(vcpu, bus, memory):
    ram = memory.save()
    vcpu.kvm_run.immediate_exit = 1
    while vcpu.run() is not EINTR:
        bus.serve(vcpu.kvm_run)
    vcpu.kvm_run.immediate_exit = 0
    snapshot = Snapshot(vcpu.get_state(), ram, bus.device.save())
    bus.device.close()
    return snapshot
