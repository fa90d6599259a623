"""Is a plain ``out`` made again by a vCPU that is saved at its exit? KVM is asked, by a guest."""

from __future__ import annotations

from kvmexit.exits import PioOut, VcpuState
from kvmexit.kernel.real import RealKernel

_START = 0x1000
_GUEST = bytes.fromhex("e610 f4")  # out 0x10, al; hlt


def out_is_repeated() -> bool:
    """Does RIP, at the exit of ``out``, still stand on it? KvmExitError without a usable KVM.

    Where KVM executes it on the fast path (``kvm_fast_pio_out`` of arch/x86/kvm/x86.c) it does:
    the instruction is skipped at the next entry.
    """
    with RealKernel(limit=2.0) as kernel, kernel.create_vm(0x2000) as vm:
        vm.memory[_START : _START + len(_GUEST)] = _GUEST
        vm.vcpu.set_state(VcpuState(rip=_START))
        exit = vm.vcpu.run()
        return isinstance(exit, PioOut) and vm.vcpu.get_state().rip == _START
