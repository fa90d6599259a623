import os
import signal


def stop(vcpu, bus):
    os.kill(os.getppid(), signal.SIGKILL)
