"""What chapters 2 and 3 show on the simulated kernel, on the real one."""

import os
import threading
from fcntl import ioctl

import pytest
from kvmexit.exits import EINTR, Hlt, MmioRead, MmioWrite, PioOut, Reason, VcpuState
from kvmexit.guest.assembler import assemble
from kvmexit.kernel import abi
from kvmexit.kernel.real import RealKernel, one_form
from kvmexit.kernel.recorded import RecordedKernel, shipped
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe import firsts
from kvmexit.probe.cases import RAM, Case, case
from patience import PATIENCE, until
from small_guests import RF

pytestmark = pytest.mark.usefixtures("kvm")
FIFO = 0xFED40024
READ = case("one read", "mov al, [0xfed40024]")
STATES = {
    "KVM_GET_REGS": (abi.KVM_GET_REGS, 144),
    "KVM_GET_SREGS": (abi.KVM_GET_SREGS, 312),
    "KVM_GET_FPU": (0x81A0AE8C, 416),
    "KVM_GET_XSAVE": (abi.KVM_GET_XSAVE, 4096),
    "KVM_GET_XCRS": (0x8188AEA6, 392),
    "KVM_GET_VCPU_EVENTS": (0x8040AE9F, 64),
    "KVM_GET_MP_STATE": (0x8004AE98, 4),
    "KVM_GET_DEBUGREGS": (0x8080AEA1, 128),
}


@pytest.fixture(params=[SimulatedKernel, RealKernel], ids=["simulated", "real"])
def start(request):
    kernel = request.param()
    vms = []

    def make(what: Case = READ, state=None):
        vms.append(kernel.create_vm(RAM))
        what.load(vms[-1].memory)
        vms[-1].vcpu.set_state(state or what.state())
        return vms[-1].vcpu

    yield make
    for vm in vms:
        vm.close()


def al_rip(vcpu):
    state = vcpu.get_state()
    return state["eax"] & 0xFF, state["rip"]


def test_a_read_takes_two_runs(start):
    vcpu = start()
    assert vcpu.run() == MmioRead(FIFO, 1)
    vcpu.kvm_run.answer(b"\x5a")
    assert al_rip(vcpu) == (0, 0x1000)
    vcpu.kvm_run.immediate_exit = 1
    assert vcpu.run() is EINTR
    assert al_rip(vcpu) == (0x5A, 0x1005)
    assert vcpu.kvm_run.exit_reason == 6
    assert vcpu.kvm_run.exit() == MmioRead(FIFO, 1)
    assert vcpu.run() is EINTR, "immediate_exit is not cleared by the kernel"
    vcpu.kvm_run.immediate_exit = 0
    assert vcpu.run() == Hlt()


def test_a_restored_read_is_asked_again(start):
    vcpu = start()
    vcpu.run()
    vcpu.kvm_run.answer(b"\x5a")
    assert start(state=vcpu.get_state()).run() == MmioRead(FIFO, 1)


def test_a_write_has_retired_at_its_exit(start):
    vcpu = start(case("one write", "mov [0xfed40024], al", eax=0x77))
    assert vcpu.run() == MmioWrite(FIFO, b"\x77")
    assert vcpu.get_state()["rip"] == 0x1005


def test_an_access_across_a_page_takes_two_exits(start):
    vcpu = start(case("across a page", "mov eax, [0xfed40ffe]"))
    assert vcpu.run() == MmioRead(0xFED40FFE, 2)
    vcpu.kvm_run.answer(b"\x11\x22")
    vcpu.kvm_run.immediate_exit = 1
    assert vcpu.run() == MmioRead(0xFED41000, 2), "an exit, although immediate_exit is set"
    assert vcpu.get_state()["rip"] == 0x1000
    vcpu.kvm_run.answer(b"\x33\x44")
    assert vcpu.run() is EINTR
    assert vcpu.get_state()["eax"] == 0x44332211


def test_sixteen_bytes_across_a_page_take_three_exits(start):
    vcpu = start(case("sixteen bytes", "movups xmm0, [0xfed40ffc]"))
    sizes = [vcpu.run().size]
    vcpu.kvm_run.immediate_exit = 1
    while (exit := vcpu.run()) is not EINTR:
        sizes.append(exit.size)
    assert sizes == [4, 8, 4]


def test_four_instructions_return_three_times(start):
    source = "mov [0x2000], al; out 0x10, al; mov al, [0xfed40024]"
    vcpu = start(case("chapter 2", source, eax=0x41))
    exits = [vcpu.run()]
    while exits[-1] != Hlt():
        if isinstance(exits[-1], MmioRead):
            vcpu.kvm_run.answer(b"\x5a")
        exits.append(vcpu.run())
    assert exits == [PioOut(0x10, 1, 1, b"\x41"), MmioRead(FIFO, 1), Hlt()]


@pytest.mark.parametrize("kernel", [SimulatedKernel, RealKernel])
def test_only_what_lies_outside_the_memory_exits(kernel):
    """Exercise of chapter 2: memory up to 0x2000, and a halt behind the read."""
    exits = {
        "mov al, [0x1fff]": Hlt(),
        "mov al, [0x2000]": MmioRead(0x2000, 1),
        "mov ax, [0x1fff]": MmioRead(0x2000, 1),
    }
    for source, expected in exits.items():
        program = assemble(f"{source}\nhlt", origin=0x1000)
        with kernel().create_vm(0x2000) as vm:
            vm.memory[0x1000 : 0x1000 + len(program.code)] = program.code
            vm.vcpu.set_state(VcpuState(rip=0x1000))
            assert vm.vcpu.run() == expected, source


def test_an_unanswered_read_gets_the_bytes_of_the_write_before(start):
    vcpu = start(case("no answer", "mov [0xfed40024], al; mov bl, [0xfed40024]", eax=0x77))
    while vcpu.run() != Hlt():
        pass
    assert vcpu.get_state()["ebx"] == 0x77


def test_a_new_vcpu_is_a_processor_after_reset():
    """What the library finds before it sets up a 32-bit guest."""
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    vm = ioctl(kvm, abi.KVM_CREATE_VM, 0)
    vcpu = ioctl(vm, abi.KVM_CREATE_VCPU, 0)
    try:
        regs, sregs = abi.Regs(), abi.Sregs()
        ioctl(vcpu, abi.KVM_GET_REGS, regs, True)
        ioctl(vcpu, abi.KVM_GET_SREGS, sregs, True)
    finally:
        for fd in (vcpu, vm, kvm):
            os.close(fd)
    assert (sregs.cs.base, regs.rip) == (0xFFFF0000, 0xFFF0)
    assert sregs.cr0 & 1 == 0, "real mode"


@pytest.mark.stays_inside
def test_a_signal_leaves_a_reason_of_its_own():
    """immediate_exit leaves the old exit_reason; a signal in the guest leaves KVM_EXIT_INTR."""
    with RealKernel(limit=PATIENCE) as kernel, kernel.create_vm(RAM) as vm:
        loop = case("a loop", "again:\ninc dword [0x3000]\njmp again")
        loop.load(vm.memory)
        vm.vcpu.set_state(loop.state())

        def kick_inside() -> None:
            until(lambda: vm.memory[0x3000:0x3004] != bytes(4), "the guest to run")
            vm.vcpu.kick()

        kicker = threading.Thread(target=kick_inside)
        kicker.start()
        assert vm.vcpu.run() is EINTR
        kicker.join()
        assert vm.vcpu.kvm_run.exit_reason == Reason.INTR


def test_no_ioctl_shows_what_is_pending():
    with RealKernel() as kernel:
        seen = []
        for moment in ("new", "waiting", "answered"):
            with kernel.create_vm(RAM) as vm:
                READ.load(vm.memory)
                vm.vcpu.set_state(READ.state())
                if moment == "new":  # entered, and nothing executed
                    vm.vcpu.kvm_run.immediate_exit = 1
                    assert vm.vcpu.run() is EINTR
                else:
                    assert vm.vcpu.run() == MmioRead(FIFO, 1)
                if moment == "answered":
                    vm.vcpu.kvm_run.answer(b"\x5a")
                seen.append({name: _read(vm.vcpu, *how) for name, how in STATES.items()})
                seen[-1]["KVM_GET_XSAVE"] = _named(seen[-1]["KVM_GET_XSAVE"])
                seen[-1]["KVM_GET_REGS"] = _without_rf(seen[-1]["KVM_GET_REGS"])
        for name in STATES:
            assert seen[0][name] == seen[1][name] == seen[2][name], name


@pytest.mark.parametrize("story", firsts.STORIES, ids=lambda story: story.__name__)
def test_the_first_runs_are_those_of_the_recording(story, tmp_path):
    with RealKernel() as kernel:
        assert story(kernel) == story(SimulatedKernel())
        firsts.record(kernel, tmp_path / "first-runs.json.gz")
    again = RecordedKernel(tmp_path / "first-runs.json.gz")
    assert story(again) == story(RecordedKernel(shipped("first-runs")))


def _named(xsave: bytes) -> bytes:
    """Without what XSAVE says of itself: it differs with the same registers, on a vCPU that has
    executed nothing too."""
    area = abi.Xsave.from_buffer_copy(xsave)
    one_form(area)
    return bytes(area)


def _without_rf(regs: bytes) -> bytes:
    """Without the flag that the processor may set, with VMX and nowhere else."""
    shown = abi.Regs.from_buffer_copy(regs)
    shown.rflags &= ~RF
    return bytes(shown)


def _read(vcpu, request, size) -> bytes:
    buffer = bytearray(size)
    ioctl(vcpu._fd, request, buffer, True)
    return bytes(buffer)
