"""What the page that KVM shares says of a pause, after the fact."""

import subprocess
import sys
from struct import pack

import pytest
from kvmexit.conform.landing import Access, described, pending_at_pause
from kvmexit.errors import KvmExitError


def page(reason, rest):
    return pack("<8xI20x", reason) + rest.ljust(24, b"\0")


@pytest.mark.parametrize(
    ("seen", "access"),
    [
        (page(2, pack("<BBHIQ", 0, 1, 0x3F8, 1, 4096)), Access(True, 0x3F8)),
        (page(2, pack("<BBHIQ", 1, 1, 0x3F8, 1, 4096)), Access(False, 0x3F8)),
        (page(6, pack("<Q8sIB", 0xD0000FFE, b"", 2, 0)), Access(True, 0xD0000FFE, memory=True)),
        (page(6, pack("<Q8sIB", 0xD0001000, b"", 2, 1)), Access(False, 0xD0001000, memory=True)),
        (page(10, pack("<BBHIQ", 0, 1, 0x3F8, 1, 4096)), None),  # KVM_EXIT_INTR: all stale
    ],
)
def test_the_page_is_read_as_linux_kvm_h_lays_it_out(seen, access):
    assert described(seen) == access


REAL = """
import os, threading, time
from kvmexit.conform.landing import pending_at_pause
from kvmexit.exits import EINTR, PioIn, VcpuState
from kvmexit.kernel import RealKernel

def landed():
    return pending_at_pause([os.getpid()])

def kick_inside():
    while not any(vm.memory[0x1800:0x1804]):
        time.sleep(0.001)
    vm.vcpu.kick()

GUEST = bytes.fromhex("e440 ff0500180000 ebf8")  # in al, 0x40; again: inc dword [0x1800]; jmp again
with RealKernel(limit=300) as kernel, kernel.create_vm(0x2000) as vm:
    vm.memory[0x1000:0x1000 + len(GUEST)] = GUEST
    vm.vcpu.set_state(VcpuState(rip=0x1000))
    assert vm.vcpu.run() == PioIn(0x40, 1, 1)
    at_once = landed()
    vm.vcpu.kvm_run.answer(b"x")
    vm.vcpu.kvm_run.immediate_exit = 1
    assert vm.vcpu.run() is EINTR
    drained = landed()
    vm.vcpu.kvm_run.immediate_exit = 0
    threading.Thread(target=kick_inside).start()
    assert vm.vcpu.run() is EINTR
    kicked = landed()
    assert vm.vcpu.run() is EINTR  # immediate_exit is still set
    print(at_once, drained, kicked, landed())
"""


def test_a_drain_leaves_the_access_on_the_page_and_a_kick_in_the_guest_wipes_it(kvm):
    """What `conform` rests on, asked of this kernel."""
    ran = subprocess.run([sys.executable, "-c", REAL], capture_output=True, text=True)
    access = Access(True, 0x40)
    assert ran.stdout.strip() == f"{access} {access} None None", ran.stderr


def test_a_process_without_a_vcpu_is_told():
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            with pytest.raises(KvmExitError, match="none of the VMM's processes has mapped a vCPU"):
                pending_at_pause([other.pid])
        finally:
            other.kill()
