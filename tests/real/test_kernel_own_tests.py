"""What the kernel's own tests ask of KVM, asked here again, and what none of them asks.

Re-implemented from their descriptions: tools/testing/selftests/kvm (vcpu_run_complete_io and
vcpu_save_state, x86/userspace_io_test, x86/userspace_msr_exit_test) and kvm-unit-tests,
x86/emulator.c (test_crosspage_mmio, test_string_io_mmio). Each test runs on the simulated
kernel too: what is asked of one is asked of the other.
"""

import signal
import threading
from dataclasses import replace

import pytest
from kvmexit.exits import EINTR, Hlt, Kernel, MmioRead, MmioWrite, PioIn, Rdmsr, Wrmsr
from kvmexit.faults import vmm_checks  # noqa: F401 - adds its checks
from kvmexit.faults.checks import CHECKS, complete
from kvmexit.kernel.kick import kick_signal
from kvmexit.probe.cases import ORIGIN, RAM, Case, case
from kvmexit.probe.report import probe
from kvmexit.probe.verdict import Feed, Verdict, begin

MMIO, PAGE_END = 0xD0024, 0xD1000


@pytest.mark.parametrize("name", CHECKS)
def test_the_real_kernel_passes_every_check(kernel: Kernel, name: str) -> None:
    CHECKS[name](kernel)


def test_complete_io(either: Kernel) -> None:
    """One entry with immediate_exit completes a single access and fails with EINTR."""
    vm = begin(either, case("complete_io", "in al, 0x80"))
    assert vm.vcpu.run() == PioIn(0x80, 1, 1)
    vm.vcpu.kvm_run.answer(b"\x5a")
    assert complete(vm) is EINTR
    assert vm.vcpu.get_state()["eax"] == 0x5A


def test_save_state(either: Kernel) -> None:
    """Completed, saved, loaded into a new VM: the registers read back are those saved."""
    vm = begin(either, case("save_state", "in eax, dx; out dx, eax", edx=0x80, xmm3=7))
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(b"\x01\x02\x03\x04")
    complete(vm)
    saved = vm.vcpu.get_state()
    new = either.create_vm(RAM)
    new.memory[:] = bytes(vm.memory)
    new.vcpu.set_state(saved)
    assert new.vcpu.get_state() == saved
    assert new.vcpu.run().data == b"\x01\x02\x03\x04"


@pytest.mark.parametrize("count, changed", [(2, 1), (3, 8192)])
def test_userspace_io_with_another_count(either: Kernel, count: int, changed: int) -> None:
    """Userspace rewrites rcx at the exit of ``rep insb``: nothing overflows, rcx ends at 0."""
    vm = begin(either, Case("userspace_io", b"\xf3\x6c\xf4", {"ecx": count, "edi": 0x3000}))
    exit = vm.vcpu.run()
    assert exit == PioIn(0, 1, count)
    vm.memory[0x3000 : 0x3000 + 0x2800] = b"\xaa" * 0x2800
    state = vm.vcpu.get_state()
    gpr = (state.gpr[0], changed, *state.gpr[2:])
    vm.vcpu.set_state(replace(state, gpr=gpr))
    while isinstance(exit, PioIn):
        vm.vcpu.kvm_run.answer(b"\xaa" * exit.count)
        exit = vm.vcpu.run()
    assert exit == Hlt()
    state = vm.vcpu.get_state()
    assert (state["ecx"], state["edi"]) == (0, 0x3000 + changed)
    assert set(bytes(vm.memory[0x3000 + max(count, changed) : 0x5800])) == {0xAA}


def test_msr_exits(either: Kernel) -> None:
    vm = begin(either, case("msr", "rdmsr; wrmsr", ecx=0xDEAD0001))
    assert vm.vcpu.run() == Rdmsr(0xDEAD0001)
    vm.vcpu.kvm_run.answer(bytes(range(1, 9)))
    assert vm.vcpu.run() == Wrmsr(0xDEAD0001, 0x0807060504030201)
    assert vm.vcpu.run() == Hlt()


def test_crosspage_mmio(either: Kernel) -> None:
    """Two bytes over the end of a page, read and written."""
    place = PAGE_END - 1
    vm = begin(either, case("crosspage", f"mov ax, [{place:#x}]; mov word [{place:#x}], 0x88aa"))
    assert vm.vcpu.run() == MmioRead(place, 1)
    vm.vcpu.kvm_run.answer(b"\x99")
    assert vm.vcpu.run() == MmioRead(PAGE_END, 1)
    vm.vcpu.kvm_run.answer(b"\x77")
    assert vm.vcpu.run() == MmioWrite(place, b"\xaa")
    assert vm.vcpu.get_state()["eax"] == 0x7799
    assert vm.vcpu.run() == MmioWrite(PAGE_END, b"\x88")
    assert vm.vcpu.run() == Hlt()


def test_string_io_mmio(either: Kernel) -> None:
    """1024 bytes from a port into MMIO: all arrive, in order."""
    vm = begin(either, case("string_io", "rep insb", edx=0x80, edi=0xD0000, ecx=1024))
    feed = Feed()
    while (exit := vm.vcpu.run()) != Hlt():
        assert isinstance(exit, PioIn | MmioWrite)
        feed.serve(vm.vcpu.kvm_run)
    sent = b"".join(data for exit, data in feed.log if isinstance(exit, MmioWrite))
    received = b"".join(data for exit, data in feed.log if isinstance(exit, PioIn))
    assert sent == received[:1024]
    assert vm.vcpu.get_state()["ecx"] == 0


# ------------------------------------------------------------- what no test upstream asks


ACCESSES = (
    "mov eax, [0xd0ffe]; mov [0xd0ffe], eax",
    "inc byte [0xd0024]; movups xmm0, [0xd0ff8]",
    "push dword [0xd0024]; pop ebx",
)


@pytest.mark.parametrize("source", ACCESSES)
def test_a_drained_snapshot_at_every_exit(either: Kernel, source: str) -> None:
    report = probe(either, case("every exit", source))
    assert report.rows
    for row in report.rows:
        assert row.save["drain"] is Verdict.FINE, row


@pytest.mark.parametrize(
    "source, runs",
    [("mov al, [0xd0024]", 1), ("inc byte [0xd0024]", 2), ("add dword [0xd0ffe], 1", 4)],
)
def test_how_many_entries_a_drain_takes(either: Kernel, source: str, runs: int) -> None:
    assert probe(either, case("drain", source)).rows[0].drain_runs == runs


@pytest.mark.parametrize("count, runs", [(8, 8), (1025, 1), (1030, 6), (3000, 952)])
def test_a_drained_string_read_runs_to_the_next_multiple_of_1024(
    either: Kernel, count: int, runs: int
) -> None:
    """``rep movsb`` from MMIO: the drain goes on until the low ten bits of ecx are 0."""
    vm = begin(either, case("rep", "rep movsb", esi=MMIO, edi=0x2000, ecx=count))
    feed, taken = Feed(), 1
    vm.vcpu.run()
    feed.serve(vm.vcpu.kvm_run)
    while complete(vm) is not EINTR:
        taken += 1
        feed.serve(vm.vcpu.kvm_run)
    assert taken == runs
    assert vm.vcpu.get_state()["ecx"] == count - runs


def test_set_regs_during_a_pending_read(either: Kernel) -> None:
    """The answer is dropped, the instruction is over all the same."""
    vm = begin(either, case("set_regs", f"mov al, [{MMIO:#x}]", eax=0x42))
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(b"\x11")
    vm.vcpu.set_state(vm.vcpu.get_state())
    assert complete(vm) is EINTR
    state = vm.vcpu.get_state()
    assert (state.rip, state["eax"]) == (ORIGIN + 5, 0x42)


def test_a_signal_before_the_entry_is_lost_and_a_kick_is_not(kernel: Kernel) -> None:
    """A signal handled before KVM_RUN leaves nothing behind; ``immediate_exit`` stays."""
    signalled = begin(kernel, case("signal", "inc eax"))
    signal.pthread_kill(threading.get_ident(), kick_signal())
    assert signalled.vcpu.run() == Hlt()
    kicked = begin(kernel, case("kick", "inc eax"))
    kicked.vcpu.kick()
    assert kicked.vcpu.run() is EINTR
