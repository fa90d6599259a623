def stop(vcpu, bus):
    vcpu.kvm_run.immediate_exit = 1
    vcpu.kvm_run.immediate_exit = 0
