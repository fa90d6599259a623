def stop(vcpu, bus):
    hoard = ["bytes"]
    while True:
        hoard = hoard * 2
