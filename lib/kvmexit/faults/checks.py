"""What a kernel and a VMM must do, one check a rule. Each was observed on the real kernel.

A check takes the kernel to test and raises AssertionError; on any kernel of this book it
passes. :mod:`kvmexit.faults.faults` breaks the simulated kernel and the VMM on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from kvmexit.exits import EINTR, MmioRead, MmioWrite, PioIn, PioOut, Reason, VcpuExit
from kvmexit.kernel.protocol import Kernel, Vm
from kvmexit.probe.cases import ORIGIN, RAM, Case, case
from kvmexit.probe.verdict import begin

MMIO, PAGE_END = 0xD0024, 0xD1000
EAX = 0x05060708

Check = Callable[[Kernel], None]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Register a check by its name."""
    CHECKS[function.__name__] = function
    return function


def same(what: str, got: Any, want: Any) -> None:
    """Raise AssertionError, in words, if the two differ."""
    if got != want:
        raise AssertionError(f"{what}: {got!r}, expected {want!r}")


def at_exit(kernel: Kernel, source: str, **registers: int) -> tuple[Vm, VcpuExit | Any]:
    """A VM at the first exit of ``source``."""
    vm = begin(kernel, case("check", source, **registers))
    return vm, vm.vcpu.run()


def complete(vm: Vm) -> Any:
    """KVM_RUN with ``immediate_exit``, which is cleared afterwards."""
    vm.vcpu.kvm_run.immediate_exit = 1
    result = vm.vcpu.run()
    vm.vcpu.kvm_run.immediate_exit = 0
    return result


@check
def a_read_waits_for_its_completion(kernel: Kernel) -> None:
    vm, exit = at_exit(kernel, f"mov al, [{MMIO:#x}]", eax=EAX)
    same("exit", exit, MmioRead(MMIO, 1))
    vm.vcpu.kvm_run.answer(b"\x11")
    state = vm.vcpu.get_state()
    same("rip and eax at the exit", (state.rip, state["eax"]), (ORIGIN, EAX))
    same("completion", complete(vm), EINTR)
    state = vm.vcpu.get_state()
    same("rip and eax after it", (state.rip, state["eax"]), (ORIGIN + 5, EAX & ~0xFF | 0x11))


@check
def a_write_retires_before_its_exit(kernel: Kernel) -> None:
    vm, exit = at_exit(kernel, f"mov [{MMIO:#x}], al", eax=EAX)
    same("exit", exit, MmioWrite(MMIO, b"\x08"))
    same("rip", vm.vcpu.get_state().rip, ORIGIN + 5)


@check
def string_output_retires_before_its_exit(kernel: Kernel) -> None:
    vm, exit = at_exit(kernel, "rep outsb", edx=0x5A, esi=0x3000, ecx=3)
    same("exit", exit, PioOut(0x5A, 1, 1, b"\0"))
    state = vm.vcpu.get_state()
    same("ecx, esi, rip", (state["ecx"], state["esi"], state.rip), (2, 0x3001, ORIGIN))


@check
def an_msr_write_waits_for_its_completion(kernel: Kernel) -> None:
    vm, _ = at_exit(kernel, "wrmsr", ecx=0xDEAD0000)
    same("rip at the exit", vm.vcpu.get_state().rip, ORIGIN)
    same("completion", complete(vm), EINTR)
    same("rip after it", vm.vcpu.get_state().rip, ORIGIN + 2)


@check
def completion_comes_before_immediate_exit(kernel: Kernel) -> None:
    vm, _ = at_exit(kernel, f"inc byte [{MMIO:#x}]")
    vm.vcpu.kvm_run.answer(b"\x11")
    same("first entry", complete(vm), MmioWrite(MMIO, b"\x12"))
    same("second entry", complete(vm), EINTR)


@check
def immediate_exit_executes_nothing(kernel: Kernel) -> None:
    vm = begin(kernel, case("check", "inc eax"))
    same("KVM_RUN", complete(vm), EINTR)
    same("rip", vm.vcpu.get_state().rip, ORIGIN)


@check
def immediate_exit_stays_until_cleared(kernel: Kernel) -> None:
    vm, _ = at_exit(kernel, f"mov [{MMIO:#x}], al")
    vm.vcpu.kvm_run.immediate_exit = 1
    same("KVM_RUN", (vm.vcpu.run(), vm.vcpu.run()), (EINTR, EINTR))
    same("immediate_exit", vm.vcpu.kvm_run.immediate_exit, 1)


@check
def exit_reason_is_stale_after_eintr(kernel: Kernel) -> None:
    vm, _ = at_exit(kernel, f"mov [{MMIO:#x}], al")
    complete(vm)
    same("exit_reason", vm.vcpu.kvm_run.exit_reason, Reason.MMIO)


@check
def every_fragment_is_an_exit(kernel: Kernel) -> None:
    vm, first = at_exit(kernel, f"mov [{PAGE_END - 1:#x}], eax", eax=EAX)
    same("first", first, MmioWrite(PAGE_END - 1, b"\x08"))
    same("second", complete(vm), MmioWrite(PAGE_END, b"\x07\x06\x05"))
    same("then", complete(vm), EINTR)


@check
def a_vector_goes_in_pieces_of_eight(kernel: Kernel) -> None:
    vm, first = at_exit(kernel, f"movups xmm1, [{MMIO:#x}]")
    same("first", first, MmioRead(MMIO, 8))
    vm.vcpu.kvm_run.answer(b"\x11" * 8)
    same("second", complete(vm), MmioRead(MMIO + 8, 8))
    vm.vcpu.kvm_run.answer(b"\x22" * 8)
    same("then", complete(vm), EINTR)
    same("xmm1", vm.vcpu.get_state()["xmm1"], int("22" * 8 + "11" * 8, 16))


@check
def the_ram_half_of_an_access_is_no_exit(kernel: Kernel) -> None:
    vm, exit = at_exit(kernel, f"mov [{RAM - 2:#x}], eax", eax=EAX)
    same("exit", exit, MmioWrite(RAM, b"\x06\x05"))
    same("RAM", bytes(vm.memory[RAM - 2 :]), b"\x08\x07")


@check
def an_unanswered_read_gets_what_lies_in_the_page(kernel: Kernel) -> None:
    source = f"mov byte [{MMIO:#x}], 0xee; mov al, [{MMIO:#x}]"
    vm, _ = at_exit(kernel, source)
    vm.vcpu.run()
    complete(vm)
    same("al", vm.vcpu.get_state()["eax"], 0xEE)


@check
def loading_registers_drops_a_pending_answer(kernel: Kernel) -> None:
    vm, _ = at_exit(kernel, f"mov al, [{MMIO:#x}]", eax=EAX)
    vm.vcpu.kvm_run.answer(b"\x11")
    vm.vcpu.set_state(vm.vcpu.get_state())
    same("completion", complete(vm), EINTR)
    state = vm.vcpu.get_state()
    same("rip and eax", (state.rip, state["eax"]), (ORIGIN + 5, EAX))


@check
def loading_registers_does_not_cancel_a_pending_read(kernel: Kernel) -> None:
    vm, _ = at_exit(kernel, f"mov al, [{MMIO:#x}]")
    vm.vcpu.kvm_run.answer(b"\x11")
    vm.vcpu.set_state(replace(vm.vcpu.get_state(), rip=0x1800))
    complete(vm)
    same("rip", vm.vcpu.get_state().rip, ORIGIN + 5)


@check
def reading_registers_changes_nothing(kernel: Kernel) -> None:
    vm, _ = at_exit(kernel, f"mov al, [{MMIO:#x}]")
    vm.vcpu.kvm_run.answer(b"\x11")
    vm.vcpu.get_state()
    complete(vm)
    same("eax", vm.vcpu.get_state()["eax"], 0x11)


@check
def a_repeated_read_takes_a_break_every_1024(kernel: Kernel) -> None:
    report = probe_runs(kernel, Case("check", b"\xf3\xa4\xf4", {**_REP, "ecx": 1027}))
    same("KVM_RUNs of the first drain", report[0], 3)
    same("KVM_RUNs of the next drain", report[3], 1024)


_REP = {"esi": MMIO, "edi": 0x3000}


def probe_runs(kernel: Kernel, one: Case) -> list[int]:
    """How many KVM_RUNs the drain takes at each exit."""
    vm = begin(kernel, one)
    runs: list[int] = []
    since = 0
    exit = vm.vcpu.run()
    while isinstance(exit, MmioRead):
        vm.vcpu.kvm_run.answer(b"\x11")
        since += 1
        exit = complete(vm)
        if exit is EINTR:
            runs += range(since, 0, -1)
            since = 0
            exit = vm.vcpu.run()
    return runs


@check
def port_input_reads_ahead_to_the_end_of_the_page(kernel: Kernel) -> None:
    vm, exit = at_exit(kernel, "rep insb", edx=0x5A, edi=0x2FFC, ecx=3000)
    same("exit", exit, PioIn(0x5A, 1, 4))
    vm.vcpu.kvm_run.answer(b"\x11\x12\x13\x14")
    same("next", vm.vcpu.run(), PioIn(0x5A, 1, 1024))
    same("RAM", bytes(vm.memory[0x2FFC:0x3000]), b"\x11\x12\x13\x14")


@check
def a_repeated_write_stops_at_each_exit(kernel: Kernel) -> None:
    vm, exit = at_exit(kernel, "rep stosb", edi=MMIO, ecx=3, eax=EAX)
    seen = [exit]
    while isinstance(exit, MmioWrite):
        exit = vm.vcpu.run()
        seen.append(exit)
    places = [e.gpa for e in seen if isinstance(e, MmioWrite)]
    same("addresses", places, [MMIO, MMIO + 1, MMIO + 2])


@check
def pusha_sends_its_last_push_alone(kernel: Kernel) -> None:
    vm, exit = at_exit(kernel, "pusha", esp=0xD0100, edi=0x41424344)
    same("exit", exit, MmioWrite(0xD00E0, b"DCBA"))
    same("then", complete(vm), EINTR)


@check
def a_failed_exchange_still_writes(kernel: Kernel) -> None:
    vm, _ = at_exit(kernel, f"cmpxchg [{MMIO:#x}], bl", eax=EAX)
    vm.vcpu.kvm_run.answer(b"\x11")
    same("completion", complete(vm), MmioWrite(MMIO, b"\x11"))


@check
def hlt_has_retired_at_its_exit(kernel: Kernel) -> None:
    vm, _ = at_exit(kernel, "nop")
    same("rip", vm.vcpu.get_state().rip, ORIGIN + 2)


@check
def a_new_vm_repeats_an_unfinished_read(kernel: Kernel) -> None:
    vm, exit = at_exit(kernel, f"mov al, [{MMIO:#x}]")
    vm.vcpu.kvm_run.answer(b"\x11")
    restored = kernel.create_vm(RAM)
    restored.memory[:] = vm.memory[:]
    restored.vcpu.set_state(vm.vcpu.get_state())
    same("first exit", restored.vcpu.run(), exit)


@check
def a_kick_is_not_lost(kernel: Kernel) -> None:
    vm = begin(kernel, case("check", "inc eax"))
    vm.vcpu.kick()
    same("KVM_RUN", vm.vcpu.run(), EINTR)


@check
def the_guest_has_the_memory_that_userspace_has(kernel: Kernel) -> None:
    vm = begin(kernel, case("check", "mov al, [0x3000]"))
    vm.memory[0x3000] = 0x77
    vm.vcpu.run()
    same("al", vm.vcpu.get_state()["eax"], 0x77)
