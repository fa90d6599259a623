def stop(vcpu, bus):
    raise SystemExit(0)
