"""What the tests of small guests share."""

from __future__ import annotations

from collections.abc import Callable

from kvmexit.exits import Vcpu, Vm

START = 0x1000
"""Where a guest's code lies, in its memory."""
Boot = Callable[..., Vm]
"""The fixture ``boot``."""


def finish(vcpu: Vcpu) -> object:
    """One KVM_RUN that completes and executes nothing; ``immediate_exit`` is 0 afterwards."""
    vcpu.kvm_run.immediate_exit = 1
    result = vcpu.run()
    vcpu.kvm_run.immediate_exit = 0
    return result
