"""What an exit is on real KVM: before completion, after it, and what stays in the page.

The guests are bytes with their assembly beside them, so that nothing here rests on our own
assembler. Where x86 machines differ (`out`), nothing is asserted.
"""

from __future__ import annotations

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    EINTR,
    Hlt,
    InternalError,
    MmioRead,
    MmioWrite,
    OtherExit,
    PioIn,
    PioOut,
    Rdmsr,
    Reason,
    Shutdown,
    VcpuState,
    Wrmsr,
)
from small_guests import START, Boot, finish, without_rf

FIFO = 0xFED40024
READ = "a0 2400d4fe"  # mov al, [FIFO]


def state(rip: int = START, **registers: int) -> VcpuState:
    names = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
    return VcpuState(gpr=tuple(registers.get(name, 0) for name in names), rip=rip)


def test_a_new_vcpu_has_all_registers_zero(boot: Boot) -> None:
    vm = boot("f4")
    found = vm.vcpu.get_state()
    assert found == VcpuState(rip=START)


def test_immediate_exit_on_a_new_vcpu_executes_nothing(boot: Boot) -> None:
    vm = boot("f4")  # hlt
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.kvm_run.exit_reason == 0
    assert vm.vcpu.get_state().rip == START
    assert vm.vcpu.run() == Hlt()
    assert vm.vcpu.get_state().rip == START + 1


def test_a_read_is_finished_by_the_next_entry(boot: Boot) -> None:
    vm = boot(READ + "f4")
    assert vm.vcpu.run() == MmioRead(FIFO, 1)
    vm.vcpu.kvm_run.answer(b"\x5a")
    assert without_rf(vm.vcpu.get_state()) == VcpuState(rip=START)  # nothing to be seen of it
    assert finish(vm.vcpu) is EINTR
    after = vm.vcpu.get_state()
    assert after == VcpuState(gpr=(0x5A, *after.gpr[1:]), rip=START + 5)


def test_after_eintr_the_page_still_describes_the_old_exit(boot: Boot) -> None:
    vm = boot(READ + "f4")
    vm.vcpu.run()
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.kvm_run.exit_reason == Reason.MMIO
    assert vm.vcpu.kvm_run.exit() == MmioRead(FIFO, 1)


def test_immediate_exit_is_not_cleared_by_the_kernel(boot: Boot) -> None:
    vm = boot("f4")
    vm.vcpu.kvm_run.immediate_exit = 1
    assert [vm.vcpu.run() for _ in range(3)] == [EINTR] * 3
    assert vm.vcpu.kvm_run.immediate_exit == 1


def test_an_unanswered_read_gives_the_guest_old_bytes(boot: Boot) -> None:
    # mov byte [FIFO], 0xee; mov al, [FIFO]; hlt
    vm = boot("c605 2400d4fe ee" + READ + "f4")
    assert vm.vcpu.run() == MmioWrite(FIFO, b"\xee")
    assert vm.vcpu.run() == MmioRead(FIFO, 1)
    assert vm.vcpu.run() == Hlt()
    assert vm.vcpu.get_state()["eax"] == 0xEE


def test_a_write_has_retired_at_its_exit(boot: Boot) -> None:
    vm = boot("a2 2400d4fe f4", state(eax=0x77))  # mov [FIFO], al; hlt
    assert vm.vcpu.run() == MmioWrite(FIFO, b"\x77")
    assert vm.vcpu.get_state().rip == START + 5
    assert finish(vm.vcpu) is EINTR


def test_a_read_modify_write_exits_twice(boot: Boot) -> None:
    vm = boot("800d 2400d4fe 01 f4")  # or byte [FIFO], 1; hlt
    assert vm.vcpu.run() == MmioRead(FIFO, 1)
    vm.vcpu.kvm_run.answer(b"\x40")
    assert finish(vm.vcpu) == MmioWrite(FIFO, b"\x41")
    assert finish(vm.vcpu) is EINTR


def test_a_read_across_a_page_comes_in_two_fragments(boot: Boot) -> None:
    vm = boot("a1 fe0fd4fe f4")  # mov eax, [0xfed40ffe]
    assert vm.vcpu.run() == MmioRead(0xFED40FFE, 2)
    vm.vcpu.kvm_run.answer(b"\x11\x22")
    assert finish(vm.vcpu) == MmioRead(0xFED41000, 2)
    assert vm.vcpu.get_state().rip == START
    vm.vcpu.kvm_run.answer(b"\x33\x44")
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.get_state()["eax"] == 0x44332211


def test_a_write_across_a_page_comes_in_two_fragments(boot: Boot) -> None:
    vm = boot("a3 fe0fd4fe f4", state(eax=0x44332211))  # mov [0xfed40ffe], eax
    assert vm.vcpu.run() == MmioWrite(0xFED40FFE, b"\x11\x22")
    assert vm.vcpu.get_state().rip == START + 5
    assert finish(vm.vcpu) == MmioWrite(0xFED41000, b"\x33\x44")
    assert finish(vm.vcpu) is EINTR


def test_movups_reads_sixteen_bytes_in_two_exits(boot: Boot) -> None:
    vm = boot("0f1005 4000d4fe f4")  # movups xmm0, [0xfed40040]
    data = bytes(range(1, 17))
    assert vm.vcpu.run() == MmioRead(0xFED40040, 8)
    vm.vcpu.kvm_run.answer(data[:8])
    assert finish(vm.vcpu) == MmioRead(0xFED40048, 8)
    vm.vcpu.kvm_run.answer(data[8:])
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.get_state()["xmm0"] == int.from_bytes(data, "little")


def test_in_is_finished_by_the_next_entry(boot: Boot) -> None:
    vm = boot("e45a f4", state(eax=0xAABBCCDD))  # in al, 0x5a
    assert vm.vcpu.run() == PioIn(0x5A, 1)
    vm.vcpu.kvm_run.answer(b"\x42")
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.get_state()["eax"] == 0xAABBCC42


def test_out_carries_its_data(boot: Boot) -> None:
    vm = boot("e75a f4", state(eax=0xAABBCCDD))  # out 0x5a, eax
    assert vm.vcpu.run() == PioOut(0x5A, 4, 1, b"\xdd\xcc\xbb\xaa")
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.get_state().rip == START + 2
    assert vm.vcpu.run() == Hlt()


def test_two_outs_with_other_data_are_two_exits(boot: Boot) -> None:
    vm = boot("e65a fec0 e65a f4", state(eax=1))  # out 0x5a, al; inc al; out 0x5a, al
    assert vm.vcpu.run() == PioOut(0x5A, 1, 1, b"\x01")
    assert vm.vcpu.run() == PioOut(0x5A, 1, 1, b"\x02")


def test_rep_insb_is_one_exit(boot: Boot) -> None:
    vm = boot("f36c f4", state(ecx=5, edx=0x5A, edi=0x3000))  # rep insb
    assert vm.vcpu.run() == PioIn(0x5A, 1, 5)
    vm.vcpu.kvm_run.answer(b"bytes")
    assert vm.vcpu.get_state()["ecx"] == 5
    assert vm.memory[0x3000:0x3005] == bytes(5)
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.get_state()["ecx"] == 0
    assert vm.memory[0x3000:0x3005] == b"bytes"


def test_the_drain_of_rep_movsb_takes_every_element(boot: Boot) -> None:
    vm = boot("f3a4 f4", state(ecx=4, esi=FIFO, edi=0x3000))  # rep movsb
    assert vm.vcpu.run() == MmioRead(FIFO, 1)
    vm.vcpu.kvm_run.answer(b"\x10")
    for i in range(1, 4):
        assert finish(vm.vcpu) == MmioRead(FIFO + i, 1)
        vm.vcpu.kvm_run.answer(bytes([0x10 + i]))
    assert finish(vm.vcpu) is EINTR
    assert vm.memory[0x3000:0x3004] == b"\x10\x11\x12\x13"


def test_an_unknown_msr_goes_to_userspace(boot: Boot) -> None:
    vm = boot("0f32 0f30 f4", state(ecx=0x12345678))  # rdmsr; wrmsr
    assert vm.vcpu.run() == Rdmsr(0x12345678)
    vm.vcpu.kvm_run.answer((0x1122334455667788).to_bytes(8, "little"))
    assert vm.vcpu.run() == Wrmsr(0x12345678, 0x1122334455667788)
    assert vm.vcpu.get_state().rip == START + 2  # not retired, unlike a write to memory
    assert finish(vm.vcpu) is EINTR
    assert vm.vcpu.get_state().rip == START + 4


def test_an_exception_without_a_handler_is_a_shutdown(boot: Boot) -> None:
    assert boot("0f0b").vcpu.run() == Shutdown()  # ud2


def test_fetching_from_a_device_is_an_internal_error(boot: Boot) -> None:
    vm = boot("e9 fbeeffff", memory_size=0x2000)  # jmp 0x100 pages on: no RAM there
    vm.vcpu.set_state(state(rip=0x9000))
    assert vm.vcpu.run() == InternalError(1)


def test_an_answer_needs_a_read(boot: Boot) -> None:
    vm = boot("a2 2400d4fe f4")
    with pytest.raises(KvmExitError, match="nothing to answer"):
        vm.vcpu.kvm_run.answer(b"\x01")
    vm.vcpu.run()
    with pytest.raises(KvmExitError, match="nothing to answer.*MmioWrite"):
        vm.vcpu.kvm_run.answer(b"\x01")


def test_a_page_that_was_never_filled_describes_nothing(boot: Boot) -> None:
    assert boot("f4").vcpu.kvm_run.exit() == OtherExit(0)


def test_walk_shows_nothing_and_returns_what_run_would(boot: Boot) -> None:
    walk = boot(READ).vcpu.walk()
    with pytest.raises(StopIteration) as end:
        next(walk)
    assert end.value.value == MmioRead(FIFO, 1)
