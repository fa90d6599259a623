MMIO = 6


def stop(vcpu, bus):
    vcpu.kvm_run.immediate_exit = 1
    for _ in range(3):
        vcpu.run()
        if vcpu.kvm_run.exit_reason == MMIO:
            bus.serve(vcpu.kvm_run)
    vcpu.kvm_run.immediate_exit = 0
