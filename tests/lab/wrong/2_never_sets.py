from kvmexit.exits import EINTR


def stop(vcpu, bus):
    while vcpu.run() is not EINTR:
        bus.serve(vcpu.kvm_run)
    vcpu.kvm_run.immediate_exit = 0
