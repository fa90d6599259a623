"""What a completion raises: an exception waits between two runs, in the events and nowhere else.

Every fact is asked of both kernels.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import replace
from fcntl import ioctl
from fractions import Fraction

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    EINTR,
    READS,
    Debug,
    Events,
    Hlt,
    InternalError,
    MmioRead,
    MmioWrite,
    PioOut,
    Rdmsr,
    Shutdown,
    VcpuState,
    Wrmsr,
    answer_size,
)
from kvmexit.kernel.protocol import Kernel, Vcpu, Vm
from kvmexit.kernel.recorded import RecordedKernel
from kvmexit.kernel.recorder import Recorder
from kvmexit.probe.cases import Case, case
from kvmexit.probe.report import probe
from kvmexit.probe.verdict import REFUSED, Feed, Verdict, begin
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.devices import Tis
from kvmexit.vmm.machine import RESTORES, drain, serve_once
from small_guests import finish

DEVICE, ORIGIN = 0xD0024, 0x1000
DE, DB, DF, GP = 0, 1, 8, 13
DIV = case("div by a device's byte", "div dword [0xd0024]", edx=0xFFFFFFFF, eax=1)
MSR = REFUSED[0]

RAISING = {
    "div": (DIV, Events(DE)),
    "div by 0": (case("div by 0", "div byte [0xd0024]", eax=0xFFFF), Events(DE)),
    "idiv": (case("idiv", "idiv word [0xd0024]", eax=0, edx=0x8000), Events(DE)),
    "mov ds": (case("mov ds", "mov ds, [0xd0024]"), Events(GP, 0x1210)),
    "mov ss": (case("mov ss", "mov ss, [0xd0024]"), Events(GP, 0x1210, shadow=1)),
    "retf": (case("retf", "retf", esp=DEVICE), Events(GP, 0x1614)),
    "rdmsr": (case("rdmsr", "rdmsr", ecx=MSR), Events(GP, 0)),
    "wrmsr": (case("wrmsr", "wrmsr", ecx=MSR), Events(GP, 0)),
}
"""Instructions that fail with what the feed answers (0x11, 0x12, ...), and what they raise."""


def at_rest(kernel: Kernel, what: Case) -> Vm:
    """``what`` at its first exit, drained."""
    vm, feed = begin(kernel, what), Feed()
    vm.vcpu.run()
    feed.serve(vm.vcpu.kvm_run)
    while finish(vm.vcpu) is not EINTR:
        feed.serve(vm.vcpu.kvm_run)
    return vm


@pytest.mark.parametrize("name", RAISING)
def test_a_drain_leaves_the_exception_in_the_events(either: Kernel, name: str) -> None:
    what, events = RAISING[name]
    vm = begin(either, what)
    vm.vcpu.run()
    assert vm.vcpu.get_state().events == Events(), "at the exit itself there is nothing"
    vm = at_rest(either, what)
    state = vm.vcpu.get_state()
    assert (state.rip, state.events) == (ORIGIN, events)
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.get_state() == state, "another drain changes nothing"
    assert vm.vcpu.run() == Shutdown(), "there is no handler"
    assert vm.vcpu.get_state().events == Events()


@pytest.mark.parametrize("restore", RESTORES)
@pytest.mark.parametrize("name", RAISING)
def test_what_a_save_after_the_drain_does(either: Kernel, name: str, restore: str) -> None:
    what, _ = RAISING[name]
    for saved, verdict in (("whole", Verdict.FINE), ("registers", Verdict.REPEATED)):
        report = probe(either, what, restore, saved)
        assert report.end == "shutdown"
        assert {row.save["drain"] for row in report.rows} == {verdict}, saved
    assert probe(either, what, restore, events_first).rows[-1].save["drain"] is Verdict.REPEATED


def events_first(vcpu: Vcpu, state: VcpuState) -> None:
    """The wrong order: KVM_SET_REGS drops what KVM_SET_VCPU_EVENTS has set."""
    vcpu.set_state(state)
    vcpu.set_state(replace(state, events=None))


def test_the_order_of_the_ioctls(kernel: Kernel) -> None:
    """The same with the two ioctls alone, as a VMM in C would make them."""
    from kvmexit.kernel import abi

    vm = at_rest(kernel, DIV)
    fd = vm.vcpu.fd
    regs, events, after = abi.Regs(), abi.VcpuEvents(), abi.VcpuEvents()
    ioctl(fd, abi.KVM_GET_REGS, regs, True)
    ioctl(fd, abi.KVM_GET_VCPU_EVENTS, events, True)
    assert events.exception_pending
    for last, kept in (("events", True), ("registers", False)):
        if last == "registers":
            ioctl(fd, abi.KVM_SET_VCPU_EVENTS, events, True)
        ioctl(fd, abi.KVM_SET_REGS, regs, True)
        if last == "events":
            ioctl(fd, abi.KVM_SET_VCPU_EVENTS, events, True)
        ioctl(fd, abi.KVM_GET_VCPU_EVENTS, after, True)
        assert bool(after.exception_pending) is kept, last


@pytest.mark.parametrize(
    "events",
    [
        Events(DE),
        Events(GP, 5),
        Events(GP, 5, injected=True),
        Events(DB),
        Events(DF, 0, shadow=2),
        Events(14, 2),
        Events(6, injected=True, shadow=1),
        Events(shadow=1),
    ],
    ids=repr,
)
def test_events_are_kept_and_go_with_the_registers_unless_injected(
    either: Kernel, events: Events
) -> None:
    state = VcpuState(rip=ORIGIN, events=events)
    vm = begin(either, DIV)
    vcpu = vm.vcpu
    vcpu.set_state(state)
    assert vcpu.get_state() == state
    vcpu.set_state(replace(state, events=None))
    left = events if events.injected else Events(shadow=events.shadow)
    assert vcpu.get_state().events == left
    vcpu.set_state(state)
    result = vcpu.run()
    assert result == (MmioRead(DEVICE, 4) if events.exception is None else Shutdown())
    traps_and_aborts = (DB, DF)
    faulted = events.exception not in (None, *traps_and_aborts) and not events.injected
    assert bool(vcpu.get_state().rflags & 0x10000) is faulted, "RF"


@pytest.mark.parametrize(
    "first, both",
    [
        (Events(GP, 5), Events(DF, 0)),
        (Events(14, 2), Events(DF, 0)),
        (Events(6), Events(DE)),
        (Events(DF, 0), Events(DF, 0)),
    ],
    ids=repr,
)
def test_a_second_exception(either: Kernel, first: Events, both: Events) -> None:
    vm = begin(either, case("div", "div dword [0xd0024]"))
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(bytes(4))
    vm.vcpu.set_state(replace(vm.vcpu.get_state(), events=first))
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.get_state().events == both
    assert vm.vcpu.run() == Shutdown()
    # A triple fault is no exception: the one that waited, waits on.
    waits = first == Events(DF, 0)
    assert vm.vcpu.get_state().events == (first if waits else Events())
    assert vm.vcpu.run() == (Shutdown() if waits else MmioRead(DEVICE, 4))


@pytest.mark.parametrize(
    "events, sentence",
    [
        (Events(2), "give 0 to 31, but not 2"),
        (Events(32), "give 0 to 31, but not 2"),
        (Events(True), "no exception has the vector"),
        (Events(None, 5), "goes with no exception"),
        (Events(GP, 1 << 32), "an error code has 32 bits"),
        (Events(shadow=4), "a shadow is 0, 1"),
        ("#DE", "give an Events"),
    ],
    ids=repr,
)
def test_impossible_events_are_refused_in_a_sentence(either, events, sentence: str) -> None:
    vm = begin(either, DIV)
    vcpu = vm.vcpu
    before = vcpu.get_state()
    with pytest.raises(KvmExitError, match=sentence):
        vcpu.set_state(VcpuState(events=events))
    assert vcpu.get_state() == before


def test_the_registers_are_those_that_were_last_read(either: Kernel) -> None:
    """KVM_GET_REGS in the middle of an instruction writes back what the emulator has done so
    far: a fault then does not take it back."""
    for looks, esp in ((False, DEVICE), (True, DEVICE + 4)):
        vm, feed = begin(either, RAISING["retf"][0]), Feed()
        assert vm.vcpu.run() == MmioRead(DEVICE, 4)
        feed.serve(vm.vcpu.kvm_run)
        assert finish(vm.vcpu) == MmioRead(DEVICE + 4, 4)
        if looks:
            vm.vcpu.get_state()
        feed.serve(vm.vcpu.kvm_run)
        assert finish(vm.vcpu) is EINTR
        assert vm.vcpu.get_state()["esp"] == esp


# ------------------------------------------------------------------------ interrupt shadows


def test_a_shadow_ends_with_the_next_instruction(either: Kernel) -> None:
    what = case("sti", "sti; mov al, [0xd0024]; mov bl, [0xd0024]")
    vm = begin(either, what)
    assert vm.vcpu.run() == MmioRead(DEVICE, 1)
    state = vm.vcpu.get_state()
    assert (state.rflags & 0x200, state.events) == (0x200, Events(shadow=2))
    vm.vcpu.set_state(replace(state, events=None))
    assert vm.vcpu.get_state().events.shadow == 2, "KVM_SET_REGS keeps it"
    vm.vcpu.kvm_run.answer(b"\x01")
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.get_state().events.shadow == 0
    assert shadow_at_first_exit(either, "sti; sti; mov al, [0xd0024]") == 0
    assert shadow_at_first_exit(either, "sti; mov [0xd0024], al") == 0


def shadow_at_first_exit(kernel: Kernel, source: str) -> int:
    vm = begin(kernel, case("shadow", source))
    vm.vcpu.run()
    return vm.vcpu.get_state().events.shadow


# ---------------------------------------------------------------------------- instructions


def idiv(dividend: int, divisor: int, size: int) -> tuple[int, int] | None:
    """Quotient and remainder as the manual defines them, or None for #DE."""
    if divisor == 0:
        return None
    quotient = math.trunc(Fraction(dividend, divisor))
    if not -(1 << 8 * size - 1) <= quotient < 1 << 8 * size - 1:
        return None
    return quotient, dividend - quotient * divisor


EDGES = (0, 1, 2, 3, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@pytest.mark.parametrize("name", ["div", "idiv"])
@pytest.mark.parametrize("register, size", [("cl", 1), ("cx", 2), ("ecx", 4)])
def test_division(either: Kernel, name: str, register: str, size: int) -> None:
    bits, flags = 8 * size, 0x8D7
    mask = (1 << bits) - 1
    for high, low, divisor in ((h, w, d) for h in EDGES for w in EDGES[::3] for d in EDGES):
        given = {"ecx": divisor, "edx": high & mask, "eax": low & mask, "rflags": flags}
        if size == 1:
            given["eax"] |= (high & mask) << 8
        dividend, by = (high & mask) << bits | low & mask, divisor & mask
        if name == "idiv":
            dividend, by = signed(dividend, 2 * size), signed(by, size)
            expected = idiv(dividend, by, size)
        else:
            quotient = dividend // by if by else mask + 1
            expected = None if quotient > mask else (quotient, dividend % by)
        vm = begin(either, case(name, f"{name} {register}", **given))
        result, state = vm.vcpu.run(), vm.vcpu.get_state()
        vm.close()
        if expected is None:
            assert result == Shutdown(), (high, low, divisor)
            continue
        quotient, remainder = (value & mask for value in expected)
        assert result == Hlt()
        assert state["eax"] & mask == quotient
        assert (state["eax"] >> 8 if size == 1 else state["edx"]) & mask == remainder
        assert state.rflags == flags


def signed(value: int, size: int) -> int:
    half = 1 << 8 * size - 1
    return (value ^ half) - half


@pytest.mark.parametrize("source", ["iret", "enter 16, 1", "enter 0, 31"])
def test_what_the_emulator_does_not_know_is_an_internal_error(either: Kernel, source: str) -> None:
    vm = begin(either, case("unknown", source))
    before = vm.vcpu.get_state()
    for _ in range(2):
        assert vm.vcpu.run() == InternalError(1)
        assert vm.vcpu.get_state() == before
        assert finish(vm.vcpu) is EINTR


def test_enter(either: Kernel) -> None:
    vm = begin(either, case("enter", "enter 16, 32", ebp=0x11223344, esp=0xD1002))
    assert vm.vcpu.run() == MmioWrite(0xD0FFE, b"\x44\x33")
    state = vm.vcpu.get_state()
    assert (state["ebp"], state["esp"], state.rip) == (0xD0FFE, 0xD0FEE, ORIGIN + 4)
    assert finish(vm.vcpu) == MmioWrite(0xD1000, b"\x22\x11")
    assert finish(vm.vcpu) is EINTR


def test_segments_can_be_read(either: Kernel) -> None:
    what = "mov [0xd0024], ds; mov ax, cs; mov ebx, ss; mov [0xd0024], eax"
    vm = begin(either, case("segments", what, eax=0xFFFFFFFF, ebx=0xFFFFFFFF))
    assert vm.vcpu.run() == MmioWrite(DEVICE, b"\x10\x00"), "two bytes"
    assert vm.vcpu.run() == MmioWrite(DEVICE, b"\x08\x00\xff\xff")
    assert vm.vcpu.get_state()["ebx"] == 0x10, "a register of four bytes is filled up"


@pytest.mark.parametrize("segment", ["ds", "es", "fs", "gs"])
def test_a_null_selector_is_loaded_and_travels(either: Kernel, segment: str) -> None:
    vm = begin(either, case("null", f"mov {segment}, [0xd0024]; mov eax, {segment}; hlt"))
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(b"\x03\x00")
    assert finish(vm.vcpu) is EINTR
    state = vm.vcpu.get_state()
    assert (state.rip, state.events) == (ORIGIN + 6, Events())
    other = begin(either, case("null", f"mov {segment}, [0xd0024]; mov eax, {segment}"))
    other.vcpu.set_state(state)
    assert other.vcpu.run() == Hlt()
    assert other.vcpu.get_state()["eax"] == 3


@pytest.mark.parametrize("name", ["lgdt", "lidt"])
def test_a_descriptor_table_from_a_device_is_never_loaded(either: Kernel, name: str) -> None:
    vm = begin(either, case(name, f"{name} [0xd0024]"))
    for _ in range(20):
        assert vm.vcpu.run() == MmioRead(DEVICE, 4)
        vm.vcpu.kvm_run.answer(b"\x00" * 4)
        assert finish(vm.vcpu) is EINTR
        assert vm.vcpu.get_state().rip == ORIGIN


@pytest.mark.parametrize(
    "source, exits, left",
    [
        ("repne cmpsb", [1, 2, 3, 4, 4, 4], 7),
        ("repe cmpsb", [1, 1, 2, 2, 5, 6], 7),
        ("repne scasb", [1, 2, 3, 0x77], 6),
        ("repe scasb", [0x77, 0x77, 3], 7),
        ("cmpsw", [0x1211, 0x1211], 10),
    ],
)
def test_strings_that_are_compared(either: Kernel, source: str, exits, left: int) -> None:
    """The exits end where the condition says; the flags are those of the last comparison."""
    both = {"esi": 0xD0040, "edi": DEVICE, "ecx": 10, "eax": 0x77, "rflags": 0x8D7}
    vm = begin(either, case("compare", source, **both))
    result, answers = vm.vcpu.run(), list(exits)
    while isinstance(result, READS):
        assert vm.vcpu.get_state().rflags == 0x8D7, "not before the end"
        vm.vcpu.kvm_run.answer(answers.pop(0).to_bytes(answer_size(result), "little"))
        result = finish(vm.vcpu)
    state = vm.vcpu.get_state()
    first = 0x77 if "scas" in source else exits[-2]
    assert not answers
    assert bool(state.rflags & 0x40) == (exits[-1] == first)
    assert state["ecx"] == left


# --------------------------------------------------------------------------------- MSRs


def test_an_msr_access_that_is_not_refused_goes_on(either: Kernel) -> None:
    vm = begin(either, case("rdmsr", "rdmsr", ecx=MSR))
    assert vm.vcpu.run() == Rdmsr(MSR)
    vm.vcpu.kvm_run.answer(b"\x01" * 8)
    assert vm.vcpu.run() == Hlt()
    assert vm.vcpu.get_state()["eax"] == 0x01010101


def test_a_refusal_is_of_one_access(either: Kernel) -> None:
    """A new vCPU state over the exception: the instruction begins again, and may succeed."""
    vm = at_rest(either, case("rdmsr", "rdmsr", ecx=MSR))
    vm.vcpu.set_state(replace(vm.vcpu.get_state(), events=None))
    assert vm.vcpu.run() == Rdmsr(MSR)
    vm.vcpu.kvm_run.answer(b"\x02" * 8)
    assert vm.vcpu.run() == Hlt()
    assert vm.vcpu.get_state()["edx"] == 0x02020202


def test_only_an_msr_can_be_refused(either: Kernel) -> None:
    vm = begin(either, DIV)
    vm.vcpu.run()
    with pytest.raises(KvmExitError, match="nothing to refuse: the last exit was MmioRead"):
        vm.vcpu.kvm_run.refuse()


def test_the_bus_refuses_what_it_is_told_to(either: Kernel) -> None:
    bus = Bus(Tis(b"\x01"), refused={MSR})
    for name, exit in (("rdmsr", Rdmsr(MSR)), ("wrmsr", Wrmsr(MSR, 0))):
        vm = begin(either, case(name, name, ecx=MSR))
        assert vm.vcpu.run() == exit
        bus.serve(vm.vcpu.kvm_run)
        drain(vm.vcpu, bus)
        assert vm.vcpu.get_state().events == Events(GP, 0)
        assert bus.log[-1] == (exit, b"")


def test_a_recording_remembers_a_refusal(either: Kernel, tmp_path) -> None:
    recorder = Recorder(either)
    story = case("rdmsr", "rdmsr", ecx=MSR)
    recorded = at_rest(recorder, story).vcpu.get_state()
    recorder.save(tmp_path / "refused.json", "an MSR refused")
    replayed = RecordedKernel(tmp_path / "refused.json")
    assert at_rest(replayed, story).vcpu.get_state().events == recorded.events == Events(GP, 0)
    vm = begin(replayed, story)
    vm.vcpu.run()
    with pytest.raises(KvmExitError, match="nothing to refuse"):
        begin(replayed, story).vcpu.kvm_run.refuse()
    with pytest.raises(KvmExitError, match="no such run"):
        vm.vcpu.run()


# ------------------------------------------------------------ exits that are no data exits


def single_step(vm: Vm) -> None:
    KVM_SET_GUEST_DEBUG, ENABLE, SINGLESTEP = 0x4048AE9B, 1, 2
    ioctl(vm.vcpu.fd, KVM_SET_GUEST_DEBUG, struct.pack("<II8Q", ENABLE | SINGLESTEP, 0, *[0] * 8))


@pytest.fixture
def stepping(kernel: Kernel) -> Vm:
    """``mov al, [device]`` at its exit, single-stepped by userspace from there."""
    vm = begin(kernel, case("read", "mov al, [0xd0024]"))
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(b"\x5a")
    single_step(vm)
    return vm


def test_a_drain_can_return_a_debug_exit(stepping: Vm) -> None:
    result = finish(stepping.vcpu)
    assert isinstance(result, Debug)
    assert (result.exception, result.pc, result.dr6 & 0x4000) == (DB, ORIGIN + 5, 0x4000)
    assert finish(stepping.vcpu) is EINTR
    assert stepping.vcpu.get_state()["eax"] == 0x5A


@pytest.mark.parametrize("source", ["mov [0xd0024], al", "inc byte [0xd0024]", "stosb"])
def test_the_step_over_a_write_is_lost(kernel: Kernel, source: str) -> None:
    """KVM leaves its emulator for a write, and does not come back to it for the step."""
    vm = begin(kernel, case("write", source, edi=0xD0024))
    single_step(vm)
    exit = vm.vcpu.run()
    while not isinstance(exit, MmioWrite):
        vm.vcpu.kvm_run.answer(b"\x5a")
        exit = finish(vm.vcpu)
    assert finish(vm.vcpu) is EINTR


@pytest.mark.parametrize("policy", [drain, serve_once])
def test_no_policy_swallows_it(stepping: Vm, policy) -> None:
    with pytest.raises(KvmExitError, match=r"Debug\(.*nobody has handled it; the vCPU is being"):
        policy(stepping.vcpu, Bus(Tis(b"\x01")))
    assert stepping.vcpu.get_state()["eax"] == 0x5A, "what was completed is completed"


@pytest.mark.parametrize(
    "source, exit", [("hlt", Hlt()), ("div ecx", Shutdown()), ("iret", InternalError(1))]
)
def test_the_bus_and_the_feed_serve_data_only(either: Kernel, source: str, exit) -> None:
    vm = begin(either, case("end", source))
    assert vm.vcpu.run() == exit
    for world in (Bus(Tis(b"\x01")), Feed()):
        with pytest.raises(KvmExitError, match=re.escape(f"returned {exit!r}")):
            world.serve(vm.vcpu.kvm_run)
        assert not world.log


def test_a_port_that_nobody_reads_is_served(either: Kernel) -> None:
    bus = Bus(Tis(b"\x01"))
    vm = begin(either, case("out", "out 0x5a, al", eax=7))
    assert vm.vcpu.run() == PioOut(0x5A, 1, 1, b"\x07")
    bus.serve(vm.vcpu.kvm_run)
    assert bus.log == [(PioOut(0x5A, 1, 1, b"\x07"), b"")]
