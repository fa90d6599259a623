"""The contract of KVM_RUN, on the simulated kernel; tests/real holds the real one to the same."""

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    EINTR,
    Hlt,
    InternalError,
    MmioRead,
    MmioWrite,
    PioIn,
    PioOut,
    Rdmsr,
    Reason,
    Shutdown,
    VcpuState,
    Wrmsr,
)
from kvmexit.guest.assembler import assemble
from kvmexit.kernel.retirement import FAST_PIO, MACHINES, POWERPC, Pc
from kvmexit.kernel.simulated import SimulatedKernel

DEVICE = 0xFED40000


def boot(source: str, kernel: SimulatedKernel | None = None, **registers: int):
    """A vCPU at the first instruction of ``source``, its VM, and the assembled program."""
    program = assemble(source + "\n hlt")
    vm = (kernel or SimulatedKernel()).create_vm(0x10000)
    vm.memory[0x1000 : 0x1000 + len(program.code)] = program.code
    names = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
    gpr = tuple(registers.get(name, 0) for name in names)
    vm.vcpu.set_state(VcpuState(gpr, 0x1000))
    return vm.vcpu, vm


def drained(vcpu):
    vcpu.kvm_run.immediate_exit = 1
    result = vcpu.run()
    vcpu.kvm_run.immediate_exit = 0
    return result


def test_immediate_exit_on_a_new_vcpu_executes_nothing():
    vcpu, _ = boot("inc eax")
    vcpu.kvm_run.immediate_exit = 1
    assert vcpu.run() is EINTR
    assert vcpu.get_state()["eax"] == 0
    assert vcpu.run() is EINTR, "immediate_exit is cleared by userspace alone"


def test_a_read_is_not_in_the_register_before_the_next_entry():
    vcpu, _ = boot(f"mov al, [{DEVICE}]")
    assert vcpu.run() == MmioRead(DEVICE, 1)
    before = vcpu.get_state()
    vcpu.kvm_run.answer(b"\x5a")
    assert vcpu.get_state() == before and before.rip == 0x1000 and before["eax"] == 0
    assert drained(vcpu) is EINTR
    assert vcpu.get_state().rip == 0x1005 and vcpu.get_state()["eax"] == 0x5A


def test_exit_reason_is_stale_after_eintr():
    vcpu, _ = boot(f"mov al, [{DEVICE}]")
    vcpu.run()
    assert drained(vcpu) is EINTR
    assert vcpu.kvm_run.exit_reason == Reason.MMIO
    assert vcpu.kvm_run.exit() == MmioRead(DEVICE, 1)


def test_a_kick_in_the_guest_sets_the_reason_to_intr():
    vcpu, _ = boot("l:\n jmp l")
    vcpu.watched = True
    walk = vcpu.walk()
    next(walk)
    vcpu.kick()
    with pytest.raises(StopIteration) as end:
        next(walk)
    assert end.value.value is EINTR
    assert vcpu.kvm_run.exit_reason == Reason.INTR


def test_a_write_retires_before_its_exit():
    vcpu, _ = boot(f"mov byte [{DEVICE}], 7")
    assert vcpu.run() == MmioWrite(DEVICE, b"\x07")
    assert vcpu.get_state().rip == 0x1007
    assert drained(vcpu) is EINTR


def test_a_write_across_a_page_is_two_exits_and_retires_at_the_first():
    vcpu, _ = boot(f"mov dword [{DEVICE + 0xFFE}], 0x44332211")
    assert vcpu.run() == MmioWrite(DEVICE + 0xFFE, b"\x11\x22")
    assert vcpu.get_state().rip == 0x100A
    assert drained(vcpu) == MmioWrite(DEVICE + 0x1000, b"\x33\x44")
    assert drained(vcpu) is EINTR


def test_a_16_byte_read_is_two_exits_of_eight():
    vcpu, _ = boot(f"movups xmm1, [{DEVICE}]")
    assert vcpu.run() == MmioRead(DEVICE, 8)
    vcpu.kvm_run.answer(bytes(range(8)))
    assert drained(vcpu) == MmioRead(DEVICE + 8, 8)
    assert vcpu.get_state()["xmm1"] == 0
    vcpu.kvm_run.answer(bytes(range(8, 16)))
    assert drained(vcpu) is EINTR
    assert vcpu.get_state()["xmm1"] == int.from_bytes(bytes(range(16)), "little")


def test_an_access_half_in_ram_asks_only_for_the_other_half():
    vcpu, vm = boot("mov eax, [0xfffe]")
    vm.memory[0xFFFE:0x10000] = b"\xaa\xbb"
    assert vcpu.run() == MmioRead(0x10000, 2)
    vcpu.kvm_run.answer(b"\xcc\xdd")
    drained(vcpu)
    assert vcpu.get_state()["eax"] == 0xDDCCBBAA


def test_read_modify_write_is_a_read_exit_and_then_a_write_exit():
    vcpu, _ = boot(f"or byte [{DEVICE}], 1")
    assert vcpu.run() == MmioRead(DEVICE, 1)
    vcpu.kvm_run.answer(b"\x40")
    assert drained(vcpu) == MmioWrite(DEVICE, b"\x41")
    assert vcpu.get_state().rip == 0x1007
    assert drained(vcpu) is EINTR


def test_rep_insb_is_one_exit_and_stays_on_its_instruction():
    vcpu, vm = boot("rep insb", ecx=5, edx=0x10, edi=0x2000)
    assert vcpu.run() == PioIn(0x10, 1, 5)
    assert vcpu.get_state()["ecx"] == 5
    vcpu.kvm_run.answer(b"abcde")
    assert drained(vcpu) is EINTR
    state = vcpu.get_state()
    assert (state["ecx"], state["edi"], state.rip) == (0, 0x2005, 0x1000)
    assert vm.memory[0x2000:0x2005] == b"abcde"
    assert vcpu.run() == Hlt()


@pytest.mark.parametrize("count, runs", [(8, 8), (1030, 6), (1024, 1024), (1025, 1), (3000, 952)])
def test_draining_rep_movsb_goes_on_to_the_next_multiple_of_1024(count, runs):
    vcpu, _ = boot("rep movsb", ecx=count, esi=DEVICE, edi=0x2000)
    vcpu.run()
    entries = 0
    while True:
        vcpu.kvm_run.answer(b"\x11")
        entries += 1
        if drained(vcpu) is EINTR:
            break
    assert entries == runs


def test_old_bytes_of_the_page_reach_a_guest_that_nobody_answers():
    vcpu, _ = boot(f"mov byte [{DEVICE}], 0xee\n mov al, [{DEVICE}]")
    vcpu.run()
    vcpu.run()
    drained(vcpu)
    assert vcpu.get_state()["eax"] == 0xEE


def test_writing_the_registers_back_drops_a_pending_answer():
    vcpu, _ = boot(f"mov al, [{DEVICE}]", eax=0x77)
    vcpu.run()
    vcpu.kvm_run.answer(b"\x5a")
    vcpu.set_state(vcpu.get_state())
    drained(vcpu)
    assert vcpu.get_state()["eax"] == 0x77
    assert vcpu.get_state().rip == 0x1005


@pytest.mark.parametrize(
    "source, registers",
    [
        (f"movups xmm0, [{DEVICE}]", {}),
        ("movsb", {"esi": DEVICE, "edi": 0x2000}),
        ("insb", {"edx": 5, "edi": 0x2000}),
        ("rdmsr", {"ecx": 0xDEAD0000}),
        (f"push dword [{DEVICE}]", {"esp": 0x8000}),
    ],
)
def test_writing_the_registers_back_leaves_other_destinations_alone(source, registers):
    def end(write_back: bool):
        vcpu, vm = boot(source, **registers)
        exit = vcpu.run()
        while exit is not EINTR:
            vcpu.kvm_run.answer(b"\x11\x12\x13\x14\x15\x16\x17\x18")
            if write_back:
                vcpu.set_state(vcpu.get_state())
            exit = drained(vcpu)
        return vcpu.get_state(), bytes(vm.memory)

    assert end(True) == end(False)


def test_a_restore_into_a_vcpu_with_something_pending_skips_an_instruction():
    vcpu, _ = boot(f"inc ebx\n mov al, [{DEVICE}]\n inc ebx")
    clean = vcpu.get_state()
    vcpu.run()
    vcpu.kvm_run.answer(b"\x5a")
    vcpu.set_state(clean)
    vcpu.run()
    assert vcpu.get_state()["ebx"] == 1, "the first inc of the restored state never ran"


def test_msr_exits_retire_at_completion():
    vcpu, _ = boot("rdmsr\n wrmsr", ecx=0xDEAD0000)
    assert vcpu.run() == Rdmsr(0xDEAD0000)
    vcpu.kvm_run.answer((0x1122334455667788).to_bytes(8, "little"))
    assert vcpu.run() == Wrmsr(0xDEAD0000, 0x1122334455667788)
    assert vcpu.get_state().rip == 0x1002
    drained(vcpu)
    assert vcpu.get_state().rip == 0x1004


def test_out_is_retired_at_the_exit_by_the_emulator_and_not_by_the_fast_path():
    vcpu, _ = boot("out 0x10, al")
    assert vcpu.run() == PioOut(0x10, 1, 1, b"\x00") and vcpu.get_state().rip == 0x1002
    vcpu, _ = boot("out 0x10, al", SimulatedKernel(FAST_PIO))
    vcpu.run()
    assert vcpu.get_state().rip == 0x1000
    drained(vcpu)
    assert vcpu.get_state().rip == 0x1002


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_the_retirement_row_decides_where_the_program_counter_is(machine):
    for source, rule in (
        (f"mov al, [{DEVICE}]", machine.mmio_read),
        (f"mov [{DEVICE}], al", machine.mmio_write),
        ("out 0x10, al", machine.pio_out),
    ):
        vcpu, _ = boot(source, SimulatedKernel(machine))
        vcpu.run()
        assert (vcpu.get_state().rip == 0x1000) is (rule is Pc.AT), source
        drained(vcpu)
        assert vcpu.get_state().rip > 0x1000


KEEPERS = [row for row in MACHINES.values() if row.keeps_answer]


@pytest.mark.parametrize("row", MACHINES.values(), ids=MACHINES)
def test_the_row_decides_what_becomes_of_an_answer_when_registers_are_written(row):
    vcpu, _ = boot(f"mov al, [{DEVICE}]", SimulatedKernel(row), eax=0x77)
    vcpu.run()
    vcpu.kvm_run.answer(b"\x5a")
    vcpu.set_state(vcpu.get_state())
    drained(vcpu)
    state = vcpu.get_state()
    assert state["eax"] == (0x5A if row in KEEPERS else 0x77)
    assert state.rip == 0x1005


@pytest.mark.parametrize("row", KEEPERS, ids=lambda row: row.name)
@pytest.mark.parametrize("source", [f"mov al, [{DEVICE}]", f"mov [{DEVICE}], al"])
def test_a_counter_that_was_moved_goes_on_from_where_it_was_put(row, source):
    vcpu, _ = boot(source, SimulatedKernel(row))
    vcpu.run()
    vcpu.set_state(vcpu.get_state().replace(rip=0x1800))
    drained(vcpu)
    late = row.mmio_read is Pc.AT
    assert vcpu.get_state().rip == 0x1800 + 5 * late


@pytest.mark.parametrize("row", MACHINES.values(), ids=MACHINES)
def test_some_machines_complete_only_what_the_page_still_names(row):
    vcpu, _ = boot(f"mov al, [{DEVICE}]", SimulatedKernel(row))
    first = vcpu.run()
    vcpu.kvm_run.answer(b"\x5a")
    vcpu.kvm_run.exit_reason = 0
    assert drained(vcpu) is EINTR
    assert (vcpu.get_state()["eax"] == 0) is row.asks_page
    assert vcpu.run() == (first if row.asks_page else Hlt())


@pytest.mark.parametrize("row", MACHINES.values(), ids=MACHINES)
def test_a_shutdown_leaves_the_vcpu_or_resets_it(row):
    vcpu, _ = boot("mov eax, 1\n div byte [0x3000]", SimulatedKernel(row))
    assert vcpu.run() == Shutdown()
    state = vcpu.get_state()
    assert (state.rip == 0xFFF0 and state["edx"] == 0x600) is row.shutdown_resets
    # From the reset vector this guest cannot go on; a state that is loaded, it can.
    assert vcpu.run() == (InternalError(1) if row.shutdown_resets else Shutdown())
    vcpu.set_state(VcpuState(rip=0x1000))
    assert vcpu.run() == Shutdown()


def test_powerpc_loses_the_value_of_a_read_that_is_not_completed():
    vcpu, _ = boot(f"mov al, [{DEVICE}]", SimulatedKernel(POWERPC), eax=0x77)
    vcpu.run()
    vcpu.kvm_run.answer(b"\x5a")
    other, vm = boot("nop", SimulatedKernel(POWERPC))
    vm.memory[0x1000:0x1006] = bytes.fromhex("a00000d4fef4")
    other.set_state(vcpu.get_state())
    assert other.run() == Hlt()
    assert other.get_state()["eax"] == 0x77


def test_fetching_from_a_device_is_an_internal_error():
    vcpu, _ = boot("jmp l\nl:\n push 0\n ret", esp=0x8000)
    vcpu.set_state(VcpuState(rip=DEVICE))
    assert vcpu.run() == InternalError(1)


def test_what_is_not_in_the_subset_is_named():
    vcpu, vm = boot("nop")
    vm.memory[0x1000:0x1003] = b"\x0f\xa2\x90"
    with pytest.raises(KvmExitError, match="0x1000: bytes 0f a2 90"):
        vcpu.run()
