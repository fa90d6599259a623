"""Saving and restoring on real KVM: what survives, and what a pending read does to it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from fcntl import ioctl

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR, Hlt, MmioRead, VcpuState
from kvmexit.kernel import abi
from kvmexit.kernel.real import RealKernel
from raw import (
    EXIT_DEBUG,
    EXIT_IOAPIC_EOI,
    GET_LAPIC,
    SET_GSI_ROUTING,
    SET_GUEST_DEBUG,
    SET_LAPIC,
    SINGLE_STEP,
    Exit,
    GuestDebug,
    Lapic,
    MsiRoute,
    RawVm,
    Vcpu,
    read,
)
from small_guests import START, Boot, finish

FIFO = 0xFED40024
READ = "a0 2400d4fe"  # mov al, [FIFO]


def test_a_state_survives_a_new_vm(boot: Boot) -> None:
    state = VcpuState(
        gpr=tuple(0x11111111 * i for i in range(8)),
        rip=START,
        rflags=0x8D7,  # OF SF ZF PF CF AF
        xmm=tuple(0x0123456789ABCDEF_0011223344556677 * (i + 1) % 2**128 for i in range(8)),
    )
    vm = boot("f4", state)
    assert vm.vcpu.get_state() == state
    again = boot("f4", vm.vcpu.get_state())
    assert again.vcpu.get_state() == state
    assert again.vcpu.run() == Hlt()
    assert again.vcpu.get_state() == replace(state, rip=START + 1)


def test_xmm_survives_in_the_guest(boot: Boot) -> None:
    # movups [0x3000], xmm7; hlt: what was loaded is what the guest sees, every time
    for i in range(20):
        xmm = (0,) * 7 + (0x1122334455667788_99AABBCCDDEEFF00 + i,)
        vm = boot("0f113d 00300000 f4", VcpuState(rip=START, xmm=xmm))
        assert vm.vcpu.run() == Hlt()
        assert int.from_bytes(vm.memory[0x3000:0x3010], "little") == xmm[7]
        vm.close()


def test_equal_states_are_equal_to_the_byte(kernel: RealKernel) -> None:
    """``rest`` too, although what XSAVE says of itself differs from one run to the next."""
    rests = set()
    for _ in range(1000):
        with kernel.create_vm(0x2000) as vm:
            vm.memory[START : START + 5] = bytes.fromhex(READ)
            vm.vcpu.set_state(VcpuState(rip=START))
            vm.vcpu.run()
            rests.add(vm.vcpu.get_state().rest)
    assert len(rests) == 1


def test_two_forms_of_one_xsave_area_are_one_state(boot: Boot) -> None:
    """A bit of XSTATE_BV clear or set over initial registers, MXCSR_MASK there or not."""
    vm = boot("f4")
    rest = vm.vcpu.get_state().rest
    area = abi.Xsave.from_buffer_copy(rest.xsave)
    for mask in (0, 0xFFFF):
        for components in (0, 1, 2, 3):
            area.mxcsr_mask, area.xstate_bv = mask, components
            ioctl(vm.vcpu._fd, abi.KVM_SET_XSAVE, area)
            assert vm.vcpu.get_state().rest == rest


def test_a_new_vm_repeats_a_read_that_was_not_completed(boot: Boot) -> None:
    vm = boot(READ + "f4")
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(b"\x01")
    copy = boot(READ + "f4", vm.vcpu.get_state())
    assert copy.vcpu.run() == MmioRead(FIFO, 1)
    copy.vcpu.kvm_run.answer(b"\x02")
    assert copy.vcpu.run() == Hlt()
    assert copy.vcpu.get_state()["eax"] == 2


def test_a_new_vm_does_not_repeat_a_completed_read(boot: Boot) -> None:
    vm = boot(READ + "f4")
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(b"\x01")
    assert finish(vm.vcpu) is EINTR
    copy = boot(READ + "f4", vm.vcpu.get_state())
    assert copy.vcpu.run() == Hlt()
    assert copy.vcpu.get_state()["eax"] == 1


def test_writing_back_the_same_state_drops_a_pending_answer(boot: Boot) -> None:
    vm = boot(READ + "f4", VcpuState(gpr=(0x33, *[0] * 7), rip=START))
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(b"\x5a")
    vm.vcpu.set_state(vm.vcpu.get_state())
    assert finish(vm.vcpu) is EINTR
    after = vm.vcpu.get_state()
    assert (after.rip, after["eax"]) == (START + 5, 0x33)


def test_reading_the_state_changes_nothing(boot: Boot) -> None:
    vm = boot(READ + "f4")
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(b"\x5a")
    for _ in range(5):
        vm.vcpu.get_state()
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.get_state()["eax"] == 0x5A


def test_an_earlier_state_in_the_same_vcpu_is_overrun_by_what_is_pending(boot: Boot) -> None:
    vm = boot("40" + READ + "f4")  # inc eax; mov al, [FIFO]; hlt
    clean = vm.vcpu.get_state()
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(b"\x5a")
    vm.vcpu.set_state(clean)
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.get_state().rip == START + 6  # after the old instruction: inc is skipped


def test_memory_is_the_guests_own(boot: Boot) -> None:
    vm = boot("a2 00300000 f4", VcpuState(gpr=(0x99, *[0] * 7), rip=START))  # mov [0x3000], al
    assert vm.vcpu.run() == Hlt()
    assert vm.memory[0x3000] == 0x99
    assert len(vm.memory) == 0x10000


@pytest.mark.parametrize("size", [0, -4096, 100, 1 << 40])
def test_impossible_memory_is_refused(kernel: RealKernel, size: int) -> None:
    with pytest.raises(KvmExitError, match="memory of"):
        kernel.create_vm(size)


def test_closing_twice_is_allowed_and_running_afterwards_is_not(kernel: RealKernel) -> None:
    with kernel.create_vm(0x1000) as vm:
        vm.close()
    vm.close()
    with pytest.raises(KvmExitError, match="closed"):
        vm.vcpu.run()


def test_no_descriptor_is_left_open(kernel: RealKernel) -> None:
    import os

    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        kernel.create_vm(0x1000).close()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_errors_name_the_act_the_errno_and_what_to_do() -> None:
    with pytest.raises(KvmExitError, match=r"opening /dev/no-kvm failed: ENOENT.*doctor"):
        RealKernel(device="/dev/no-kvm")
    with pytest.raises(KvmExitError, match="version failed: ENOTTY"):
        RealKernel(device="/dev/null")


VECTOR = 0x31
SPIV, ISR, TMR = 0xF0 // 4, (0x100 + VECTOR // 32 * 16) // 4, (0x180 + VECTOR // 32 * 16) // 4
EOI_AND_READ = bytes.fromhex("a3 b000e0fe a0 24000d00 f4")  # mov [EOI], eax; mov al, [device]


def split_vm() -> RawVm:
    """Local APICs in the kernel, and an IOAPIC in userspace that has one level-triggered line."""
    vm = RawVm(ioapic=24)
    route = MsiRoute(nr=1, gsi=4, type=2, address_lo=0xFEE00000, data=3 << 14 | VECTOR)
    ioctl(vm.fd, SET_GSI_ROUTING, route)
    return vm


@pytest.fixture
def ended(kernel: RealKernel) -> Iterator[Vcpu]:
    """A vCPU that has just ended a level-triggered interrupt, its IOAPIC being in userspace.

    A debugger's step has brought it out right behind the instruction, so that no exit is pending.
    """
    vm = split_vm()
    vcpu = vm.begin(EOI_AND_READ)
    apic = vcpu.get(GET_LAPIC, Lapic)
    apic.words[SPIV], apic.words[ISR], apic.words[TMR] = 0x1FF, *[1 << VECTOR % 32] * 2
    vcpu.set(SET_LAPIC, apic)
    vcpu.set(SET_GUEST_DEBUG, GuestDebug(control=SINGLE_STEP))
    try:
        if (exit := vcpu.run()) == Exit(EXIT_IOAPIC_EOI):
            pytest.skip("this processor tells an EOI by a trap, which comes before the step's")
        assert exit == Exit(EXIT_DEBUG)
        vcpu.set(SET_GUEST_DEBUG, GuestDebug())
        yield vcpu
    finally:
        vm.close()


def test_eintr_can_come_before_an_eoi_is_told(ended: Vcpu) -> None:
    """Nothing of an exit is pending, and the state has the interrupt ended; its IOAPIC has not."""
    assert [ended.complete() for _ in range(3)] == ["EINTR"] * 3
    apic, regs = ended.get(GET_LAPIC, Lapic), ended.regs
    assert apic.words[ISR] == 0
    assert ended.run() == Exit(EXIT_IOAPIC_EOI)
    assert ended.run() == read()
    with closing(split_vm()) as other:
        copy = other.begin(EOI_AND_READ)
        copy.set(SET_LAPIC, apic)
        copy.set(abi.KVM_SET_REGS, regs)
        assert copy.run() == read(), "the copy never tells"


def test_an_entry_with_a_signal_waiting_tells_the_eoi(ended: Vcpu) -> None:
    """It looks at what the vCPU has noted, and then at signals; the guest executes nothing."""
    assert ended.complete() == "EINTR"
    where = ended.regs.rip
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        signal.raise_signal(signal.SIGUSR1)
        ended.set(abi.KVM_SET_SIGNAL_MASK, abi.SignalMaskOf64(8))
        assert [ended.run() for _ in range(2)] == [Exit(EXIT_IOAPIC_EOI), "EINTR"]
        assert ended.regs.rip == where
    finally:
        signal.sigwait({signal.SIGUSR1})
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
