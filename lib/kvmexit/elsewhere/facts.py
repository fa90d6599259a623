"""What a single kernel shows, and no row of the simulator says: facts, each by a name.

They are held against the shipped recording, and against nothing else. What depends on the processor
(the length of an instruction that KVM skips, flags at an exit) is here the emulator's reading of
its manual.
"""

from __future__ import annotations

import fcntl
import signal
from typing import Any

from kvmexit.elsewhere.guests.isa import ForeignCase, Isa
from kvmexit.elsewhere.vmm import (
    DATA,
    IS_WRITE,
    KVM_SET_VCPU_EVENTS,
    LENGTH,
    OneRegKernel,
    OneRegVm,
)
from kvmexit.exits import InternalError, Shutdown
from kvmexit.kernel.protocol import Kernel
from kvmexit.probe.cases import ORIGIN, case
from kvmexit.probe.verdict import Feed, begin

SPIN = {"arm64": "00000014", "riscv64": "6f000000", "powerpc": "00000048"}
"""A branch to itself."""
ABORT = bytes([0, 0, 1]) + bytes(61)
"""``struct kvm_vcpu_events`` of arm64 with ``ext_dabt_pending`` set."""


def foreign_facts(isa: Isa) -> dict[str, Any]:
    """Those of arm64, riscv and powerpc, on /dev/kvm."""
    kernel = OneRegKernel(isa)
    found = {
        "signal while in the guest": _signal(kernel),
        "immediate_exit on a new vCPU": _new(kernel),
        "load 1 with kvm_run.mmio.len = 4": _page(kernel, LENGTH, 4),
        "load 1 with kvm_run.mmio.is_write = 1": _page(kernel, IS_WRITE, 1),
    }
    if isa.name == "arm64":
        found |= {
            f"{name}, an external abort for an answer": _abort(kernel, name)
            for name in ("load 1", "store 1")
        }
        without = OneRegKernel(isa, nisv=False)
        found["load of a pair without KVM_CAP_ARM_NISV_TO_USER"] = _run(without, "load of a pair")
        found["load of a pair, entered again"] = _again(kernel, "load of a pair")
    return found


def _case(isa: Isa, name: str) -> ForeignCase:
    return next(one for one in isa.cases() if one.name == name)


def _stand(kernel: OneRegKernel, name: str) -> OneRegVm:
    vm = begin(kernel, _case(kernel.isa, name))
    assert isinstance(vm, OneRegVm)
    return vm


def _run(kernel: OneRegKernel, name: str) -> dict[str, Any]:
    with _stand(kernel, name) as vm:
        return {"KVM_RUN": repr(vm.vcpu.run()), "counter": vm.vcpu.get_state().rip - ORIGIN}


def _again(kernel: OneRegKernel, name: str) -> dict[str, Any]:
    """An exit that leaves nothing pending: it comes again until userspace moves the counter."""
    with _stand(kernel, name) as vm:
        first, second = vm.vcpu.run(), vm.vcpu.run()
        state = vm.vcpu.get_state()
        vm.vcpu.set_state(state.replace(pc=state.rip + 4))
        moved = vm.vcpu.run()
    return {"first": repr(first), "second": repr(second), "counter moved by 4": repr(moved)}


def _signal(kernel: OneRegKernel) -> dict[str, Any]:
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    isa = kernel.isa
    vm = begin(kernel, isa.case("spin", "b .", SPIN[isa.name]))
    try:
        result = vm.vcpu.run()
        return {"KVM_RUN": repr(result), "exit_reason": vm.vcpu.kvm_run.exit_reason}
    finally:
        vm.close()
        signal.signal(signal.SIGALRM, before)


def _new(kernel: OneRegKernel) -> dict[str, Any]:
    with _stand(kernel, "load 1") as vm:
        vm.vcpu.kvm_run.immediate_exit = 1
        result = vm.vcpu.run()
        return {"KVM_RUN": repr(result), "exit_reason": vm.vcpu.kvm_run.exit_reason}


def _page(kernel: OneRegKernel, place: int, value: int) -> dict[str, Any]:
    """The page is changed under a pending load of one byte: what reaches the register?"""
    with _stand(kernel, "load 1") as vm:
        vcpu, page = vm.vcpu, vm.vcpu.kvm_run.page
        vcpu.run()
        page[DATA : DATA + 4] = bytes.fromhex("5a5b5c5d")
        page[place : place + 1] = bytes([value])
        vcpu.kvm_run.immediate_exit = 1
        result, state = vcpu.run(), vcpu.get_state()
        held = state[kernel.isa.accumulator]
    return {"entry": repr(result), "counter": state.rip - ORIGIN, "accumulator": hex(held)}


def _abort(kernel: OneRegKernel, name: str) -> dict[str, Any]:
    """KVM_SET_VCPU_EVENTS in place of an answer: is the instruction retired before it is taken?"""
    with _stand(kernel, name) as vm:
        vcpu = vm.vcpu
        vcpu.run()
        fcntl.ioctl(vcpu.fd, KVM_SET_VCPU_EVENTS, ABORT)
        vcpu.kvm_run.immediate_exit = 1
        result, state = vcpu.run(), vcpu.get_state()
        elr = vcpu.registers.get_one(getattr(vcpu.registers, "ELR"))  # noqa: B009  # arm64's own
    return {"entry": repr(result), "pc": hex(state.rip), "elr_el1": hex(elr)}


def x86_facts(kernel: Kernel) -> dict[str, Any]:
    """Those of x86, on /dev/kvm."""
    exits = {
        "mmio read": "mov al, [0xd0024]",
        "mmio write": "mov [0xd0024], al",
        "in": "in al, 0x5a",
        "out": "out 0x5a, al",
    }
    found: dict[str, Any] = {
        f"rflags at the exit of {name}": _flags(kernel, text) for name, text in exits.items()
    }
    found["after KVM_EXIT_SHUTDOWN"] = _shutdown(kernel)
    found["after KVM_EXIT_INTERNAL_ERROR"] = _internal_error(kernel)
    return found


def _flags(kernel: Kernel, text: str) -> dict[str, Any]:
    vm, feed = begin(kernel, case("flags", text)), Feed()
    try:
        vm.vcpu.run()
        at = vm.vcpu.get_state()["rflags"]
        feed.serve(vm.vcpu.kvm_run)
        vm.vcpu.kvm_run.immediate_exit = 1
        vm.vcpu.run()
        return {"at the exit": hex(at), "after the entry": hex(vm.vcpu.get_state()["rflags"])}
    finally:
        vm.close()


def _shutdown(kernel: Kernel) -> dict[str, Any]:
    """A division by zero, without a handler."""
    vm = begin(kernel, case("#DE", "div byte [0x3000]", eax=1))
    try:
        first = vm.vcpu.run()
        assert isinstance(first, Shutdown), first
        state = vm.vcpu.get_state()
        return {"rip": hex(state["rip"]), "edx": hex(state["edx"])}
    finally:
        vm.close()


def _internal_error(kernel: Kernel) -> dict[str, Any]:
    """An instruction from an address that no memory has; the guest has no handler for a #UD."""
    vm = begin(kernel, case("fetch from a device", "jmp eax", eax=0xD0000))
    try:
        first = vm.vcpu.run()
        assert isinstance(first, InternalError), first
        state = vm.vcpu.get_state()
        waits = state.events.exception if state.events else None
        entered = repr(vm.vcpu.run())
        return {"rip": hex(state["rip"]), "exception": waits, "entered again": entered}
    finally:
        vm.close()
