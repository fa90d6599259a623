"""Exits that ask for nothing: what is in the state there, and what a new VM does with it."""

from __future__ import annotations

from kvmexit.exits import EINTR, Events, Hlt, InternalError, MmioRead, Shutdown
from kvmexit.guest.cpu import INVALID_OPCODE
from kvmexit.kernel.protocol import Kernel, Vm
from kvmexit.probe.cases import Case, case
from kvmexit.probe.verdict import begin
from small_guests import RF, SVM


def nothing_to_finish(vm: Vm) -> bool:
    """An entry that comes straight back changes nothing that can be saved."""
    before = vm.vcpu.get_state()
    vm.vcpu.kvm_run.immediate_exit = 1
    result = vm.vcpu.run()
    vm.vcpu.kvm_run.immediate_exit = 0
    return result is EINTR and vm.vcpu.get_state() == before


def again(kernel: Kernel, vm: Vm) -> Vm:
    """A new VM with what can be saved of ``vm``."""
    new = kernel.create_vm(len(vm.memory))
    new.memory[:] = vm.memory
    new.vcpu.set_state(vm.vcpu.get_state())
    return new


def test_hlt_has_retired_and_the_halt_is_not_in_the_state(kernel: Kernel) -> None:
    vm = begin(kernel, case("hlt", "hlt; mov al, [0xd0024]"))
    assert vm.vcpu.run() == Hlt()
    assert vm.vcpu.get_state().rip == 0x1001
    assert nothing_to_finish(vm)
    assert again(kernel, vm).vcpu.run() == MmioRead(0xD0024, 1)


def test_a_shutdown_happens_again(kernel: Kernel) -> None:
    vm = begin(kernel, Case("ud2", b"\x0f\x0b\xf4"))
    assert vm.vcpu.run() == Shutdown()
    assert vm.vcpu.get_state().rip == (0xFFF0 if SVM else 0x1000)
    assert nothing_to_finish(vm)
    if not SVM:  # there the guest that failed is gone, and a new one begins
        assert again(kernel, vm).vcpu.run() == Shutdown()


def test_what_cannot_be_emulated_is_tried_again(kernel: Kernel) -> None:
    """With SVM and VMX KVM has queued a #UD by then: whoever enters again, or restores the events
    that were saved, makes the guest take it. This one has no handler. kvm_pvm queues none."""
    vm = begin(kernel, case("fetch from a device", "jmp eax", eax=0xD0000))
    assert vm.vcpu.run() == InternalError(1)
    state = vm.vcpu.get_state()
    assert state.rip == 0xD0000
    assert nothing_to_finish(vm)
    queued = Events(exception=INVALID_OPCODE) if SVM or RF else Events()
    assert (state.events or Events()) == queued
    assert again(kernel, vm).vcpu.run() == (Shutdown() if SVM or RF else InternalError(1))
    assert vm.vcpu.run() == (Shutdown() if SVM or RF else InternalError(1))
