"""What the kernel's own tests ask of KVM, asked here again, and what none of them asks.

Re-implemented from their descriptions: tools/testing/selftests/kvm (vcpu_run_complete_io and
vcpu_save_state; x86/userspace_io_test, userspace_msr_exit_test, sync_regs_test,
exit_on_emulation_failure_test, mmio_warning_test) and kvm-unit-tests, x86/emulator.c
(test_crosspage_mmio, test_string_io_mmio). Single instructions are in
test_kernel_own_instructions.py, flags in test_kernel_own_flags.py. Unless a test says why not,
it runs on both kernels.

What those suites ask and this library cannot express:

- an MSR that userspace refuses (``msr.error = 1``): the answer to an Rdmsr is eight bytes, and
  nothing says "inject #GP"; so too MSR filters and ``msr.reason``;
- KVM_SYNC_REGS itself: registers are read and written by ioctl, never through the shared page;
- coalesced MMIO: each store to a device is an exit here, there is no ring;
- memory that moves, goes or is read-only: a VM has one region for its whole life;
- the dirty log: which pages were written is seen by comparing memory;
- KVM_GET_VCPU_EVENTS: a state holds no exception that waits for its injection;
- XSAVE beyond x87 and SSE: a guest here has no more than those;
- ``cmps``, ``scas``, ``bt``, ``bsf``, ``imul``, ``div``, ``shld``, ``smsw`` and their like on the
  simulated kernel: they are outside the subset that it executes;
- A64 code (arm64/mmio_sign_ext_test proper): the machine under the tests is x86.
"""

import signal
import threading
from dataclasses import replace

import pytest
from kvmexit.exits import (
    DATA_EXITS,
    EINTR,
    DataExit,
    Hlt,
    InternalError,
    MmioRead,
    MmioWrite,
    PioIn,
    Rdmsr,
    Shutdown,
    Wrmsr,
)
from kvmexit.faults import vmm_checks  # noqa: F401  # adds its checks
from kvmexit.faults.checks import CHECKS, complete
from kvmexit.kernel.kick import kick_signal
from kvmexit.kernel.protocol import Kernel, Vm
from kvmexit.probe.cases import ORIGIN, RAM, Case, case
from kvmexit.probe.report import probe
from kvmexit.probe.verdict import Feed, Verdict, begin

MMIO, PAGE_END = 0xD0024, 0xD1000


def drive(vm: Vm) -> tuple[list[DataExit], Feed]:
    """Serve a guest until it halts: its exits, and the world that served them."""
    exits, feed = [], Feed()
    while isinstance(exit := vm.vcpu.run(), DATA_EXITS):
        feed.serve(vm.vcpu.kvm_run)
        exits.append(exit)
    assert exit == Hlt()
    return exits, feed


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


def test_userspace_io_untouched(either: Kernel) -> None:
    """8192 bytes from a port with no hand on rcx: eight exits of 1024, all bytes arrive."""
    vm = begin(either, Case("userspace_io", b"\xf3\x6c\xf4", {"ecx": 8192, "edi": 0x3000}))
    counts = []
    while isinstance(exit := vm.vcpu.run(), PioIn):
        counts.append(exit.count)
        vm.vcpu.kvm_run.answer(b"\xaa" * exit.count)
    assert (exit, counts) == (Hlt(), [1024] * 8)
    assert bytes(vm.memory[0x2FFF:0x5001]) == b"\0" + b"\xaa" * 8192 + b"\0"
    assert vm.vcpu.get_state()["ecx"] == 0


def test_msr_exits(either: Kernel) -> None:
    vm = begin(either, case("msr", "rdmsr; wrmsr", ecx=0xDEAD0001))
    assert vm.vcpu.run() == Rdmsr(0xDEAD0001)
    vm.vcpu.kvm_run.answer(bytes(range(1, 9)))
    assert vm.vcpu.run() == Wrmsr(0xDEAD0001, 0x0807060504030201)
    assert vm.vcpu.run() == Hlt()


def test_an_msr_that_userspace_keeps(either: Kernel) -> None:
    """userspace_msr_exit_test: what was written to an index of nobody's is read back."""
    source = "wrmsr; mov eax, 0; mov edx, 0; rdmsr"
    vm = begin(either, case("msr kept", source, ecx=0x474F4F00, eax=0x89ABCDEF, edx=0x1234567))
    written = vm.vcpu.run()
    assert written == Wrmsr(0x474F4F00, 0x0123456789ABCDEF)
    assert vm.vcpu.run() == Rdmsr(0x474F4F00)
    vm.vcpu.kvm_run.answer(written.value.to_bytes(8, "little"))
    assert vm.vcpu.run() == Hlt()
    state = vm.vcpu.get_state()
    assert (state["edx"], state["eax"]) == (0x1234567, 0x89ABCDEF)


def test_an_msr_value_that_the_kernel_refuses(kernel: Kernel) -> None:
    """userspace_msr_exit_test: reason INVAL. Real only: it is the kernel that knows the MSR."""
    apic_base = 0x1B
    source = "wrmsr; mov eax, 1"
    vm = begin(kernel, case("inval", source, ecx=apic_base, eax=0xFFFFFFFF, edx=0xFFFFFFFF))
    assert vm.vcpu.run() == Wrmsr(apic_base, 2**64 - 1)
    assert vm.vcpu.run() == Hlt()
    assert vm.vcpu.get_state()["eax"] == 1


def test_a_register_set_at_an_exit(either: Kernel) -> None:
    """sync_regs_test's guest counts in ebx, round by round; userspace sets it in between."""
    vm = begin(either, case("sync_regs", "l: ; in eax, dx; inc ebx; jmp l", edx=0x80))
    assert vm.vcpu.run() == vm.vcpu.run() == PioIn(0x80, 4, 1)
    state = vm.vcpu.get_state()
    assert state["ebx"] == 1
    gpr = (*state.gpr[:3], 0xBAD1DEA, *state.gpr[4:])
    vm.vcpu.set_state(replace(state, gpr=gpr))
    assert vm.vcpu.run() == PioIn(0x80, 4, 1)
    assert vm.vcpu.get_state()["ebx"] == 0xBAD1DEB


def test_an_instruction_that_userspace_skips(kernel: Kernel) -> None:
    """exit_on_emulation_failure_test: ``fld`` from MMIO. Real only: outside the subset."""
    flds = b"\xd9\x05" + MMIO.to_bytes(4, "little")
    vm = begin(kernel, Case("emulation failure", flds + b"\xf4"))
    assert vm.vcpu.run() == InternalError(1)
    state = vm.vcpu.get_state()
    assert state.rip == ORIGIN
    vm.vcpu.set_state(replace(state, rip=ORIGIN + len(flds)))
    assert vm.vcpu.run() == Hlt()


def test_entering_again_after_a_shutdown(kernel: Kernel) -> None:
    """mmio_warning_test: nothing worse comes of it than the next exit.

    Real only: ``ud2`` is outside the subset. The second exit's reason is left open, because
    on SVM a vCPU is reset at a shutdown and runs on from its reset vector.
    """
    vm = begin(kernel, Case("shutdown", b"\x0f\x0b"))
    assert vm.vcpu.run() == Shutdown()
    for _ in range(3):
        assert isinstance(vm.vcpu.run(), Shutdown | InternalError)


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


@pytest.mark.parametrize(
    "offset, reads",
    [(0, [1024]), (4032, [64, 960])],
    ids=["in a page", "across pages"],
)
def test_string_io_mmio(either: Kernel, offset: int, reads: list[int]) -> None:
    """1024 bytes from a port into MMIO: all arrive, in order, eight at a time."""
    place = 0xD0000 + offset
    vm = begin(either, case("string_io", "rep insb", edx=0x80, edi=place, ecx=1024))
    exits, feed = drive(vm)
    assert [exit.count for exit in exits if isinstance(exit, PioIn)] == reads
    writes = [exit for exit in exits if isinstance(exit, MmioWrite)]
    assert [exit.gpa for exit in writes] == list(range(place, place + 1024, 8))
    received = b"".join(data for exit, data in feed.log if isinstance(exit, PioIn))
    assert b"".join(exit.data for exit in writes) == received
    assert vm.vcpu.get_state()["ecx"] == 0


# ------------------------------------------------------------- what no test upstream asks


def test_a_string_from_a_port_down_into_a_device(either: Kernel) -> None:
    """``std; rep insb`` reads ahead, stores one element, and leaves: the rest is dropped.

    Six bytes are taken from the port, three arrive, and nobody has suspended anything.
    """
    vm = begin(either, case("down", "std; rep insb", ecx=3, edx=0x10, edi=0xD0100))
    exits, _ = drive(vm)
    assert exits == [
        PioIn(0x10, 1, 3),
        MmioWrite(0xD0100, b"\x11"),
        PioIn(0x10, 1, 2),
        MmioWrite(0xD00FF, b"\x14"),
        PioIn(0x10, 1, 1),
        MmioWrite(0xD00FE, b"\x16"),
    ]


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
