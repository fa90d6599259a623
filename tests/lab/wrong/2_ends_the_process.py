import os


def stop(vcpu, bus):
    os._exit(0)
