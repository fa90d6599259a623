"""What book/reference/kernel-note.rst says of the kernel, sentence by sentence, on real KVM."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fcntl import ioctl

import pytest
from kvmexit.kernel import abi
from kvmexit.kernel.real import RealKernel
from raw import (
    CODE,
    DEVICE,
    EXIT_DEBUG,
    EXIT_HLT,
    EXIT_SHUTDOWN,
    INIT_RECEIVED,
    INIT_TO_ALL,
    RUNNABLE,
    SET_GUEST_DEBUG,
    SIGNAL_MSI,
    SINGLE_STEP,
    UNINITIALIZED,
    Exit,
    GuestDebug,
    RawVm,
    Vcpu,
    read,
)

LOAD = bytes.fromhex("a0 24000d00 f4")  # mov al, [0xd0024]; hlt
PAST = CODE + len(LOAD) - 1
DIVIDE = bytes.fromhex("f635 24000d00 f4")  # div byte [0xd0024]: 0xffff by 0x5a does not fit
DEVICE_SAYS, LEFT_OVER = 0x5A, 0x77
Make = Callable[..., RawVm]


@pytest.fixture
def make(kernel: RealKernel) -> Iterator[Make]:
    """Makes VMs, and closes them; skipped where there is no KVM (``kernel``)."""
    made: list[RawVm] = []

    def one(**how: int | bool) -> RawVm:
        made.append(RawVm(**how))
        return made[-1]

    yield one
    for vm in made:
        vm.close()


def pending(vm: RawVm, number: int = 0) -> Vcpu:
    """A vCPU whose read of one byte has been answered, and not yet completed."""
    vcpu = vm.begin(LOAD, number)
    assert vcpu.run() == read()
    vcpu.answer(DEVICE_SAYS)
    return vcpu


def faulted(vm: RawVm) -> Vcpu:
    """A vCPU whose division was completed, with EINTR, and does not fit."""
    vcpu = vm.begin(DIVIDE, rax=0xFFFF)
    assert vcpu.run() == read()
    vcpu.answer(DEVICE_SAYS)
    assert vcpu.complete() == "EINTR"
    return vcpu


def test_the_page_is_the_answer(make: Make) -> None:
    vcpu = make().begin(LOAD)
    vcpu.kvm_run.exit.mmio.data[0] = LEFT_OVER
    assert vcpu.run() == read()
    assert vcpu.complete() == "EINTR"
    assert vcpu.regs.rax == LEFT_OVER


@pytest.mark.parametrize(
    ("code", "regs", "exits"),
    [
        ("a1 fe0f0d00 f4", {}, [read(0xD0FFE, 2), read(0xD1000, 2)]),  # mov eax, across a page
        ("fe05 24000d00 f4", {}, [read(), Exit(6, DEVICE, 1, True)]),  # inc byte
        (
            "f3a4 f4",  # rep movsb, out of the device into RAM
            {"rcx": 3, "rsi": DEVICE, "rdi": 0x2000},
            [read(DEVICE + n) for n in range(3)],
        ),
    ],
    ids=["two pages", "a read and a write", "a repeated string"],
)
def test_one_entry_need_not_be_enough(
    make: Make, code: str, regs: dict[str, int], exits: list[Exit]
) -> None:
    vcpu = make().begin(bytes.fromhex(code), **regs)
    found = [vcpu.run()]
    while isinstance(found[-1], Exit) and len(found) <= len(exits):
        vcpu.answer(DEVICE_SAYS)
        found.append(vcpu.complete())
    assert found == [*exits, "EINTR"]


def test_a_single_step_comes_out(make: Make) -> None:
    vcpu = make().begin(LOAD)
    vcpu.set(SET_GUEST_DEBUG, GuestDebug(control=SINGLE_STEP))
    assert vcpu.run() == read()
    vcpu.answer(DEVICE_SAYS)
    assert vcpu.complete() == Exit(EXIT_DEBUG)
    assert (vcpu.regs.rip, vcpu.regs.rax) == (PAST, DEVICE_SAYS)
    assert vcpu.complete() == "EINTR"


def test_after_an_error_it_is_pending(make: Make) -> None:
    vcpu = pending(make())
    vcpu.sync.dirty = 1 << 63  # no such set of registers
    assert vcpu.complete() == "EINVAL"
    assert vcpu.regs.rip == CODE
    vcpu.sync.dirty = 0
    assert vcpu.complete() == "EINTR"
    assert (vcpu.regs.rip, vcpu.regs.rax) == (PAST, DEVICE_SAYS)


def test_waiting_for_init_completes_nothing(make: Make) -> None:
    vcpu = pending(make(irqchip=True))
    vcpu.set_mp_state(UNINITIALIZED)
    assert vcpu.complete() == "EINTR"
    assert (vcpu.regs.rip, vcpu.regs.rax) == (CODE, 0)
    vcpu.set_mp_state(RUNNABLE)
    assert vcpu.complete() == "EINTR"
    assert (vcpu.regs.rip, vcpu.regs.rax) == (PAST, DEVICE_SAYS)


def test_an_exception_is_in_the_events_only(make: Make) -> None:
    vcpu = faulted(make(payload=True))
    assert vcpu.regs.rip == CODE
    assert (vcpu.events.exception_pending, vcpu.events.exception_nr) == (1, 0)
    assert vcpu.run() == Exit(EXIT_SHUTDOWN)  # delivered; there is no handler


@pytest.mark.parametrize(
    ("order", "payload", "next_exit"),
    [
        ("R", True, read()),
        ("R", False, read()),
        ("RE", True, Exit(EXIT_SHUTDOWN)),
        ("ER", True, read()),
        ("RE", False, Exit(EXIT_SHUTDOWN)),
        ("ER", False, Exit(EXIT_SHUTDOWN)),
    ],
)
def test_events_are_set_after_the_registers(
    make: Make, order: str, payload: bool, next_exit: Exit
) -> None:
    """R: the registers are set, E: the events. Without KVM_CAP_EXCEPTION_PAYLOAD what is pending
    is loaded as injected, which KVM_SET_REGS leaves alone."""
    old, new = faulted(make(payload=payload)), make(payload=payload)
    copies = {
        "R": (abi.KVM_SET_REGS, old.regs),
        "E": (abi.KVM_SET_VCPU_EVENTS, old.events),
    }
    vcpu = new.begin(DIVIDE)
    for part in order:
        vcpu.set(*copies[part])
    assert vcpu.run() == next_exit


@pytest.mark.parametrize("payload", [False, True])
def test_set_regs_drops_the_exception(make: Make, payload: bool) -> None:
    vcpu = faulted(make(payload=payload))
    vcpu.set(abi.KVM_SET_REGS, vcpu.regs)
    assert vcpu.events.exception_pending == 0
    assert vcpu.run() == read()


def test_get_mp_state_moves_the_registers(make: Make) -> None:
    vm = make(vcpus=2, irqchip=True)
    vm.vcpus[1].set_mp_state(RUNNABLE)
    vcpu = pending(vm, 1)
    assert vcpu.complete() == "EINTR"
    ioctl(vm.fd, SIGNAL_MSI, INIT_TO_ALL, True)
    assert vcpu.regs.rip == PAST
    assert vcpu.mp_state == INIT_RECEIVED
    assert vcpu.regs.rip == 0xFFF0
    assert vcpu.get(abi.KVM_GET_SREGS, abi.Sregs).cs.selector == 0xF000


def test_get_mp_state_loses_the_answer(make: Make) -> None:
    vm = make(vcpus=2, irqchip=True)
    vm.vcpus[1].set_mp_state(RUNNABLE)
    vcpu = pending(vm, 1)
    ioctl(vm.fd, SIGNAL_MSI, INIT_TO_ALL, True)
    assert vcpu.mp_state == INIT_RECEIVED
    assert vcpu.complete() == "EINTR"
    assert (vcpu.regs.rip, vcpu.regs.rax) == (0xFFF0, 0)


def put_back(vcpu: Vcpu) -> None:
    vcpu.set(abi.KVM_SET_REGS, vcpu.regs)


def mark_dirty(vcpu: Vcpu) -> None:
    vcpu.sync.regs = vcpu.regs
    vcpu.sync.dirty = 1


@pytest.mark.parametrize("write", [put_back, mark_dirty])
def test_written_registers_drop_the_answer(make: Make, write: Callable[[Vcpu], None]) -> None:
    vcpu = pending(make())
    write(vcpu)
    assert vcpu.complete() == "EINTR"
    assert (vcpu.regs.rip, vcpu.regs.rax) == (PAST, 0)
    assert vcpu.run() == Exit(EXIT_HLT)


def test_the_completion_writes_to_memory(make: Make) -> None:
    vm = make()
    vcpu = vm.begin(bytes.fromhex("a4 f4"), rsi=DEVICE, rdi=0x2000)  # movsb
    assert vcpu.run() == read()
    vcpu.answer(DEVICE_SAYS)
    assert vm.memory[0x2000] == 0
    assert vcpu.complete() == "EINTR"
    assert vm.memory[0x2000] == DEVICE_SAYS
