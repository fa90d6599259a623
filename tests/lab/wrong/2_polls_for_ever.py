def stop(vcpu, bus):
    vcpu.kvm_run.immediate_exit = 1
    while True:
        try:
            vcpu.run()
        except Exception:
            continue
