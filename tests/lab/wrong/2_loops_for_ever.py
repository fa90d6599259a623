def stop(vcpu, bus):
    while vcpu.kvm_run:
        pass
