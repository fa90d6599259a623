from kvmexit.exits import EINTR


def stop(vcpu, bus):
    vcpu.kvm_run.immediate_exit = 1
    while vcpu.run() is not EINTR:
        bus.serve(vcpu.kvm_run)
