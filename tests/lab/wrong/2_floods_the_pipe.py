import os


def stop(vcpu, bus):
    while True:
        os.write(vcpu._ask.__self__._out, b"x" * 65536)
