"""Which pages does KVM's dirty log name, and when? A read whose completion writes to RAM.

    .venv/bin/python book/code/dirty_log.py

On /dev/kvm. The guest copies eight bytes from the device into RAM with rep movsb: each byte is an
exit, and it is the completion, on the next entry, that writes it.
"""

import ctypes
from fcntl import ioctl

from kvmexit.exits import EINTR, VcpuState
from kvmexit.guest import assemble
from kvmexit.kernel import RealKernel, abi

LOG_DIRTY_PAGES = 1  # a flag of the memory slot


class DirtyLog(ctypes.Structure):
    """``struct kvm_dirty_log``: slot, padding, and where the bitmap goes."""

    _fields_ = (("slot", ctypes.c_uint32), ("_pad", ctypes.c_uint32), ("bitmap", ctypes.c_void_p))


KVM_GET_DIRTY_LOG = abi._IOW(0x42, DirtyLog)
PAGES = 16
CODE = assemble("mov esi, 0xd0000\n mov edi, 0x2000\n mov ecx, 8\n rep movsb\n hlt")


def dirty(vm):
    """The numbers of the pages written to since the last call."""
    bitmap = (ctypes.c_uint64 * 1)()
    ioctl(vm.fd, KVM_GET_DIRTY_LOG, DirtyLog(0, 0, ctypes.addressof(bitmap)))
    return [page for page in range(PAGES) if bitmap[0] >> page & 1]


def log_writes(vm, memory):
    """Set the flag on slot 0."""
    region = abi.UserspaceMemoryRegion(0, LOG_DIRTY_PAGES, 0, len(memory), ctypes.addressof(memory))
    ioctl(vm.fd, abi.KVM_SET_USER_MEMORY_REGION, region)


def main():
    with RealKernel().create_vm(PAGES * 4096) as vm:
        vcpu = vm.vcpu
        vm.load(CODE.origin, CODE)
        vcpu.set_state(VcpuState(rip=CODE.origin))
        log_writes(vm, (ctypes.c_char * len(vm.memory)).from_buffer(vm.memory))
        print("KVM_RUN", vcpu.run())
        print("at the exit          ", dirty(vm))
        vcpu.kvm_run.answer(b"\x11")
        print("served               ", dirty(vm))
        copy = bytes(vm.memory)
        entries = 0
        vcpu.kvm_run.immediate_exit = 1
        while vcpu.run() is not EINTR:
            entries += 1
            vcpu.kvm_run.answer(b"\x12")
        vcpu.kvm_run.immediate_exit = 0
        print("drained              ", dirty(vm), f"after {entries + 1} entries")
        missing = sum(a != b for a, b in zip(copy, bytes(vm.memory)))
        print("copied before the drain:", missing, "bytes of RAM are missing")


if __name__ == "__main__":
    main()
