"""Where the simulated kernel once differed from the real one: each asked of both."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    Hlt,
    InternalError,
    MmioRead,
    MmioWrite,
    PioIn,
    PioOut,
    Rdmsr,
    Shutdown,
    VcpuState,
    Wrmsr,
)
from kvmexit.guest.assembler import assemble
from kvmexit.guest.cpu import RF, TF, VM
from kvmexit.kernel import abi, msrs
from kvmexit.kernel.host import host
from kvmexit.kernel.msrs import Reply
from kvmexit.kernel.protocol import Kernel, Vm
from kvmexit.kernel.real import RealKernel
from kvmexit.kernel.simulated import SimulatedKernel
from patience import PATIENCE
from small_guests import START

RAM = 0x10000
NO = (0,) * 8
Start = Callable[..., Vm]


@pytest.fixture
def start(either: Kernel) -> Iterator[Start]:
    """Makes VMs of either kernel with machine code at ``at``, and closes them."""
    vms: list[Vm] = []

    def start(code: str, at: int = START, **state: Any) -> Vm:
        vm = either.create_vm(RAM)
        vms.append(vm)
        data = bytes.fromhex(code)
        vm.memory[at : at + len(data)] = data
        vm.vcpu.set_state(VcpuState(**{"rip": at} | state))
        return vm

    yield start
    for vm in vms:
        vm.close()


def seen(vm: Vm, runs: int, answer: bytes = b"\x5a" * 8) -> list[tuple[Any, int, int]]:
    """Each KVM_RUN: what came back, rip, rflags."""
    found = []
    for _ in range(runs):
        exit = vm.vcpu.run()
        state = vm.vcpu.get_state()
        found.append((exit, state.rip, state.rflags))
        if isinstance(exit, MmioRead | PioIn | Rdmsr):
            vm.vcpu.kvm_run.answer(answer)
    return found


# -- the end of RAM -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    ["b8 11", "66", "0f", "f3", "a0 24 00", "c7 05 00 20 00 00 01", "eb", "80", "8b 04"],
)
def test_an_instruction_cut_off_by_the_end_of_ram(start: Start, code: str) -> None:
    at = RAM - len(bytes.fromhex(code))
    vm = start(code, at)
    assert seen(vm, 2) == [(InternalError(1), at, 2)] * 2


def test_an_instruction_may_end_with_ram(start: Start) -> None:
    assert seen(start("40 f4", RAM - 2), 2) == [(Hlt(), RAM, 2), (InternalError(1), RAM, 2)]


def test_running_on_after_hlt_ends_where_ram_does(start: Start) -> None:
    """Zeros are `add [eax], al`: the last of them needs a byte that is not there."""
    (first, _, _), (then, rip, _) = seen(start("f4"), 2)
    assert (first, then, rip) == (Hlt(), InternalError(1), RAM - 1)


def test_an_instruction_of_16_bytes_is_a_fault(start: Start) -> None:
    assert seen(start("66" * 14 + "40 f4"), 1) == [(Hlt(), START + 16, 2)]
    assert seen(start("66" * 15 + "40 f4"), 2) == [(Shutdown(), START, 2 | RF)] * 2


# -- flags and registers --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loaded", "read"),
    [
        ({"rflags": 0}, {"rflags": 2}),
        ({"rflags": VM}, {"rflags": 2}),
        ({"rflags": TF}, {"rflags": TF | 2}),
        ({"rflags": (1 << 32) + 0x4000}, {"rflags": 0x4002}),
        ({"rip": (1 << 32) + START}, {"rip": START}),
        ({"rip": -1}, {"rip": 0xFFFFFFFF}),
        ({"gpr": ((1 << 32) + 5, -1, 1 << 70, *NO[3:])}, {"gpr": (5, 0xFFFFFFFF, *NO[2:])}),
    ],
)
def test_registers_take_what_they_hold(start: Start, loaded: Any, read: Any) -> None:
    before = VcpuState(rip=START)
    vm = start("f4", **loaded)
    assert vm.vcpu.get_state() == replace(before, **read)


def test_a_wide_register_is_used_as_it_reads(start: Start) -> None:
    vm = start("01 c8 f4", gpr=((1 << 32) + 5, 1, *NO[2:]))  # add eax, ecx
    assert vm.vcpu.run() == Hlt()
    assert vm.vcpu.get_state()["eax"] == 6


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (VcpuState(gpr=(0,) * 3), "gpr is .*eight integers: eax"),
        (VcpuState(gpr=(0,) * 9), "gpr is .*eight integers: eax"),
        (VcpuState(gpr=("x", *NO[1:])), "gpr is .*eight integers"),
        (VcpuState(gpr=None), "gpr is None: give eight"),
        (VcpuState(rip=1.5), "rip, rflags is .*two integers"),
        (VcpuState(rflags=None), "rip, rflags is .*two integers"),
        (VcpuState(xmm=(1,)), "xmm is .*eight integers of 128 bits"),
        (VcpuState(xmm=(0, 1 << 128, *NO[2:])), "xmm1 cannot hold 0x1000"),
        (VcpuState(xmm=(-1, *NO[1:])), "xmm0 cannot hold -0x1"),
        (None, "set_state takes a VcpuState, not None"),
    ],
)
def test_what_is_no_state_is_refused_and_loses_nothing(start: Start, state: Any, said: str) -> None:
    vm = start("f4", gpr=tuple(range(8)))
    before = vm.vcpu.get_state()
    with pytest.raises(KvmExitError, match=said) as error:
        vm.vcpu.set_state(state)
    assert "\n" not in str(error.value)
    assert vm.vcpu.get_state() == before


STEPS = {
    "inc": ("40 40 f4", 0, [(Shutdown(), 1, TF), (Shutdown(), 2, TF), (Hlt(), 3, TF)]),
    "read": ("a0 2400d4fe f4", 0, [(MmioRead(0xFED40024, 1), 0, TF), (Shutdown(), 5, TF)]),
    "write": ("a2 2400d4fe 90", 0, [(MmioWrite(0xFED40024, b"\0"), 5, TF), (Shutdown(), 6, TF)]),
    "in": ("e4 10 f4", 0, [(PioIn(0x10, 1), 0, TF), (Shutdown(), 2, TF)]),
    "out": ("e6 10 90", 0, [(PioOut(0x10, 1, 1, b"\0"), 2, TF), (Shutdown(), 3, TF)]),
    "hlt": ("f4 90", 0, [(Hlt(), 1, TF), (Shutdown(), 1, TF), (Shutdown(), 2, TF)]),
    "rep in RAM": ("f3 aa f4", 3, [(Shutdown(), 0, TF | RF), (Shutdown(), 2, TF)]),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_single_step_is_a_shutdown_and_a_write_is_not_stepped(start: Start, name: str) -> None:
    code, ecx, expected = STEPS[name]
    vm = start(code, gpr=(0, ecx, *NO[2:7], 0x2000), rflags=TF)
    assert seen(vm, len(expected)) == [
        (exit, START + at, flags | 2) for exit, at, flags in expected
    ]


def test_loading_registers_takes_a_trap_away(start: Start) -> None:
    vm = start("a0 2400d4fe 40 f4", rflags=TF)
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(b"\x5a")
    vm.vcpu.kvm_run.immediate_exit = 1
    vm.vcpu.run()
    vm.vcpu.kvm_run.immediate_exit = 0
    vm.vcpu.set_state(replace(vm.vcpu.get_state(), rflags=2, events=None))
    assert seen(vm, 1) == [(Hlt(), START + 7, 2)]


def test_rf_goes_with_an_instruction_and_stays_in_a_repeated_one(start: Start) -> None:
    assert seen(start("40 f4", rflags=2 | RF), 1) == [(Hlt(), START + 2, 2)]
    vm = start("f3 aa f4", gpr=(0, 2, *NO[2:7], 0xD0000))
    rflags = [flags for _, _, flags in seen(vm, 3)]
    assert rflags == [2 | RF, 2 | RF, 2]


def test_a_state_that_32_bits_do_not_hold_is_refused(kernel: RealKernel) -> None:
    wide = [{"rax": 0x1122334455667788}, {"r8": 7}, {"r15": 1}, {"rip": 1 << 32}]
    with kernel.create_vm(RAM) as vm:
        for registers in wide:
            vm.vcpu._ask("KVM_SET_REGS", abi.KVM_SET_REGS, abi.Regs(rflags=2, **registers))
            with pytest.raises(KvmExitError, match="64-bit registers"):
                vm.vcpu.get_state()
        vm.vcpu.set_state(VcpuState(rip=START))
        assert vm.vcpu.get_state() == VcpuState(rip=START)


# -- MSRs -----------------------------------------------------------------------------------

MEASURED = host().module == "kvm_pvm" and host().release.startswith("6.18")
ROWS = (*msrs.COMMON, *(msrs.OTHERS + msrs.CLOCKS if MEASURED else ()))
"""What every KVM decides alike; all, on the kernel that was asked for the rest."""


def msr(vm: Vm, code: str, index: int, value: int = 0) -> Any:
    """The exit of one access; None if the kernel kept it. The instruction retires either way."""
    data = bytes.fromhex(code + "f4")
    end = START + len(data)
    vm.memory[START:end] = data
    low, high = value & 0xFFFFFFFF, value >> 32
    vm.vcpu.set_state(VcpuState(gpr=(low, index, high, *NO[3:]), rip=START))
    exit = vm.vcpu.run()
    if exit != Hlt():
        assert vm.vcpu.get_state().rip == START
        assert vm.vcpu.run() == Hlt()
    assert vm.vcpu.get_state().rip == end
    return None if exit == Hlt() else exit


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.first:#x}")
def test_an_msr_exits_or_stays_in_the_kernel(either: Kernel, row: msrs.Msr) -> None:
    values = {0, 1, 2, 6, 0x800, 0xFFFFFFFF, msrs.ANY, 0x0606060606060606, 0x0202020202020202}
    with either.create_vm(RAM) as vm:
        for index in range(row.first, row.last + 1):
            kept = row.read is Reply.KEPT
            assert msr(vm, "0f32", index) == (None if kept else Rdmsr(index))
            for value in values if row not in msrs.CLOCKS else {0}:
                kept = row.accepts is not None and row.accepts(index, value)
                assert msr(vm, "0f30", index, value) == (None if kept else Wrmsr(index, value))


@pytest.mark.parametrize("index", [0x2, 0x10A, 0x1FFF, 0x40000000, 0xC0001000, 0xDEAD0000])
def test_an_msr_that_nobody_knows_exits(either: Kernel, index: int) -> None:
    with either.create_vm(RAM) as vm:
        assert msr(vm, "0f32", index) == Rdmsr(index)
        assert msr(vm, "0f30", index, 1) == Wrmsr(index, 1)


@pytest.mark.skipif(not MEASURED, reason="what MSRs hold is this kernel's, or its processor's")
def test_what_an_msr_that_is_kept_holds(either: Kernel) -> None:
    """In a new vCPU, and after each write that is taken; but the TSC counts."""
    values = {1 << 8, 1 << 18, 1 << 56, 1 << 57, 0x0606060606060606, 0xFEE00800, msrs.ANY}
    for row in ROWS:
        for index in {row.first, row.last} - {0x10}:
            if row.read is Reply.KEPT:
                with either.create_vm(RAM) as vm:
                    assert msr(vm, "0f32", index) is None
                    assert halves(vm) == msrs.reset(index), hex(index)
            taken = values if row.accepts and row not in msrs.CLOCKS else set()
            for value in (v for v in taken if row.read is Reply.KEPT and row.accepts(index, v)):
                with either.create_vm(RAM) as vm:
                    assert msr(vm, "0f30 31c0 31d2 0f32", index, value) is None  # and read again
                    assert halves(vm) == msrs.after(index, value), (hex(index), hex(value))


def halves(vm: Vm) -> int:
    """edx:eax."""
    state = vm.vcpu.get_state()
    return state["edx"] << 32 | state["eax"]


def test_what_lies_in_the_page_tells_a_refusal_from_an_unknown_msr(start: Start) -> None:
    """An MMIO read that nobody answers gets ``msr.reason``, which shares its place."""
    for index, reason in ((0x1B, 1), (0xDEAD0000, 2)):
        vm = start("0f30 a0 240000f0 f4", gpr=(0xFFFFFFFF, index, *NO[2:]))
        assert vm.vcpu.run() == Wrmsr(index, 0xFFFFFFFF)
        assert vm.vcpu.run() == MmioRead(0xF0000024, 1)
        assert vm.vcpu.run() == Hlt()
        assert vm.vcpu.get_state()["eax"] & 0xFF == reason


@pytest.mark.parametrize("at, flags", [(RAM - 2, 1), (0xD0000, 0)], ids=["cut", "no byte"])
def test_what_an_internal_error_leaves_in_the_page(start: Start, at: int, flags: int) -> None:
    """An MMIO read that nobody answers gets ``emulation_failure.flags``: are there bytes of it?"""
    vm = start("c605 00000d00 77 f4")
    assert vm.vcpu.run() == MmioWrite(0xD0000, b"\x77")
    assert vm.vcpu.run() == Hlt()
    vm.memory[RAM - 2 :] = b"\xb8\x11"
    vm.vcpu.set_state(VcpuState(rip=at))
    assert vm.vcpu.run() == InternalError(1)
    vm.load(0x2000, bytes.fromhex("a1 00000d00 f4"))
    vm.vcpu.set_state(VcpuState(rip=0x2000))
    assert (vm.vcpu.run(), vm.vcpu.run()) == (MmioRead(0xD0000, 4), Hlt())
    assert vm.vcpu.get_state()["eax"] == flags


# -- threads --------------------------------------------------------------------------------


def test_two_threads_in_one_vcpu_wait_for_each_other(either: Kernel) -> None:
    """Each `in` has its `out`, whoever enters: nothing is done twice or skipped.

    Whose exit lies in the real page when a thread comes to look at it, nobody can say: the
    other may be in again. The guest's own count tells.
    """
    code = assemble("again:\nin al, 0x10\nout 0x10, al\ninc ebx\njmp again", START).code
    counts: Counter[type] = Counter()
    problems: list[BaseException] = []
    rounds = 300

    def enter(vm: Vm) -> None:
        try:
            for _ in range(rounds):
                kind = type(vm.vcpu.run())
                with lock:
                    counts[kind] += 1
        except BaseException as problem:
            problems.append(problem)

    lock, interval = threading.Lock(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with either.create_vm(RAM) as vm:
            vm.memory[START : START + len(code)] = code
            vm.vcpu.set_state(VcpuState(rip=START))
            threads = [threading.Thread(target=enter, args=(vm,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            ebx = vm.vcpu.get_state()["ebx"]
    finally:
        sys.setswitchinterval(interval)
    assert not problems
    assert counts.total() == 2 * rounds
    if either.name == "simulated":
        assert counts == {PioIn: rounds, PioOut: rounds}
    assert ebx in (rounds - 1, rounds)  # the last `out` may not have gone on


def walking() -> tuple[Any, Vm]:
    """A walk that stands before its first instruction."""
    vm = SimulatedKernel().create_vm(RAM)
    vm.memory[START : START + 2] = b"\x40\xf4"
    vm.vcpu.set_state(VcpuState(rip=START))
    vm.vcpu.watched = True
    walk = vm.vcpu.walk()
    next(walk)
    return walk, vm


@pytest.mark.parametrize(
    "enter",
    [
        lambda vcpu: vcpu.run(),
        lambda vcpu: next(vcpu.walk()),
        lambda vcpu: vcpu.set_state(VcpuState(rip=0x2000)),
    ],
    ids=["run", "walk", "set_state"],
)
def test_a_walk_is_in_kvm_run_until_it_ends(enter: Any) -> None:
    walk, vm = walking()
    with pytest.raises(KvmExitError, match="in KVM_RUN: let its walk"):
        enter(vm.vcpu)
    assert vm.vcpu.get_state() == VcpuState(rip=START)
    assert len(list(walk)) == 1
    assert vm.vcpu.get_state().rip == START + 2
    vm.vcpu.set_state(VcpuState(rip=START))
    assert vm.vcpu.run() == Hlt()


def test_a_walk_that_is_given_up_leaves_kvm_run() -> None:
    walk, vm = walking()
    walk.close()
    assert vm.vcpu.run() == Hlt()
    assert vm.vcpu.get_state()["eax"] == 1
