"""Tests of the real kernel. Where it does not work they are skipped, and say why.

In continuous integration a machine that has /dev/kvm must be able to use it: there they fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from kvmexit.exits import VcpuState
from kvmexit.kernel.doctor import DEVICE, kvm_status
from kvmexit.kernel.protocol import Kernel, Vm
from kvmexit.kernel.real import RealKernel
from kvmexit.kernel.simulated import SimulatedKernel
from patience import PATIENCE
from small_guests import START, Boot

STATUS = kvm_status()


@pytest.fixture(scope="session")
def kernel() -> Iterator[RealKernel]:
    if not STATUS.works:
        if os.environ.get("CI") and Path(DEVICE).exists():
            pytest.fail(f"/dev/kvm is here and does not work: {STATUS.reason}")
        pytest.skip(STATUS.reason)
    with RealKernel(limit=PATIENCE) as kernel:
        yield kernel


@pytest.fixture(params=["simulated", "real"])
def either(request) -> Kernel:
    """Both kernels, one after the other: what is asked of one is asked of the other."""
    if request.param == "real":
        return request.getfixturevalue("kernel")
    return SimulatedKernel()


@pytest.fixture
def boot(kernel: RealKernel) -> Iterator[Boot]:
    """Makes VMs that are about to execute some machine code, and closes them afterwards."""
    vms: list[Vm] = []

    def boot(code: str, state: VcpuState | None = None, memory_size: int = 0x10000) -> Vm:
        vm = kernel.create_vm(memory_size)
        vms.append(vm)
        program = bytes.fromhex(code)
        vm.memory[START : START + len(program)] = program
        vm.vcpu.set_state(state or VcpuState(rip=START))
        return vm

    yield boot
    for vm in vms:
        vm.close()
