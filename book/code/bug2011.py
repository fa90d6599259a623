"""The bug of 2011 on /dev/kvm: a FIFO, a guest that reads it, a bad save.

    python3 bug2011.py

Linux on x86-64 with KVM. It imports Python's own library and nothing else, so
that it can be read whole.
"""

import ctypes
import mmap
import os
import signal
import struct
from fcntl import ioctl

# include/uapi/linux/kvm.h: direction and size of the argument, 0xAE, a number
KVM_CREATE_VM, KVM_GET_VCPU_MMAP_SIZE = 0xAE01, 0xAE04
KVM_CREATE_VCPU, KVM_RUN = 0xAE41, 0xAE80
KVM_SET_USER_MEMORY_REGION, KVM_SET_TSS_ADDR = 0x4020AE46, 0xAE47
KVM_GET_REGS, KVM_SET_REGS, REGS = 0x8090AE81, 0x4090AE82, 144
KVM_GET_SREGS, KVM_SET_SREGS, SREGS = 0x8138AE83, 0x4138AE84, 312
KVM_EXIT_HLT, KVM_EXIT_MMIO = 5, 6

# struct kvm_run, the page that both sides see
IMMEDIATE_EXIT, EXIT_REASON, MMIO_ADDRESS, MMIO_DATA = 1, 8, 32, 40

RAM, START, BUFFER, FIFO = 0x10000, 0x1000, 0x2000, 0xD0024
PACKET = bytes.fromhex("8001 00000010 00000000 a1a2 a3a4 a5a6")
CODE = bytes.fromhex(
    "b9 10 00"  #       mov cx, 16        real mode; ds begins at 0xd0000
    "bf 00 20"  #       mov di, BUFFER
    "a0 24 00"  # next: mov al, [FIFO]    the read that takes two runs
    "aa      "  #       stosb             buf[size++] = al
    "e2 fa   "  #       loop next
    "f4      "  #       hlt
)


class Machine:
    """A VM with 64 KiB of RAM and one vCPU; all above the RAM is the device.

    Nothing is closed: the kernel does that when this process ends.
    """

    def __init__(self, kvm):
        self.vm = ioctl(kvm, KVM_CREATE_VM, 0)
        ioctl(self.vm, KVM_SET_TSS_ADDR, 0x7FFFD000)  # three pages, for Intel
        self.ram = mmap.mmap(-1, RAM, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.ram))
        # slot, flags, guest address, size, host address
        region = struct.pack("=IIQQQ", 0, 0, 0, RAM, address)
        ioctl(self.vm, KVM_SET_USER_MEMORY_REGION, region)
        self.vcpu = ioctl(self.vm, KVM_CREATE_VCPU, 0)
        size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0)
        self.page = mmap.mmap(self.vcpu, size)

    def load_program(self):
        self.ram[START : START + len(CODE)] = CODE
        _, sregs, _ = self.save()
        # base, limit, selector of cs and of ds
        struct.pack_into("<QIH", sregs, 0, 0, 0xFFFF, 0)
        struct.pack_into("<QIH", sregs, 24, 0xD0000, 0xFFFF, 0xD000)
        regs = bytes(16 * 8) + struct.pack("<QQ", START, 2)  # rip, rflags
        self.restore((regs, sregs, self.ram[:]))

    def enter(self):
        """KVM_RUN: an exit reason, or "EINTR"."""
        try:
            ioctl(self.vcpu, KVM_RUN, 0)
        except InterruptedError:
            return "EINTR"
        return struct.unpack_from("<I", self.page, EXIT_REASON)[0]

    def serve(self, fifo):
        """Answer the MMIO read that the vCPU has left with."""
        (address,) = struct.unpack_from("<Q", self.page, MMIO_ADDRESS)
        assert address == FIFO, hex(address)
        self.page[MMIO_DATA] = next(fifo, 0)  # the pop cannot be taken back

    def drain(self, fifo):
        """Enter and serve until KVM_RUN fails with EINTR: nothing is pending."""
        self.page[IMMEDIATE_EXIT] = 1
        while self.enter() != "EINTR":
            self.serve(fifo)
        self.page[IMMEDIATE_EXIT] = 0

    def save(self):
        """Registers and memory: all that this guest uses."""
        regs, sregs = bytearray(REGS), bytearray(SREGS)
        ioctl(self.vcpu, KVM_GET_REGS, regs, True)
        ioctl(self.vcpu, KVM_GET_SREGS, sregs, True)
        return regs, sregs, self.ram[:]

    def restore(self, state):
        regs, sregs, self.ram[:] = state
        ioctl(self.vcpu, KVM_SET_SREGS, bytes(sregs))
        ioctl(self.vcpu, KVM_SET_REGS, bytes(regs))


def read_packet(kvm, suspend_at, drain):
    """The guest's buffer after one suspend, at its ``suspend_at``-th read."""
    machine, fifo, reads = Machine(kvm), iter(PACKET), 0
    machine.load_program()
    while machine.enter() == KVM_EXIT_MMIO:
        machine.serve(fifo)
        reads += 1
        if reads == suspend_at:
            if drain:
                machine.drain(fifo)
            state = machine.save()
            machine = Machine(kvm)  # the old one is never entered again
            machine.restore(state)
    return machine.ram[BUFFER : BUFFER + len(PACKET)]


if __name__ == "__main__":
    signal.alarm(10)  # a guest that never leaves ends with this process
    kvm = os.open("/dev/kvm", os.O_RDWR)
    print("in the device  ", PACKET.hex(" "))
    print("never suspended", read_packet(kvm, 0, drain=False).hex(" "))
    print("saved at once  ", read_packet(kvm, 13, drain=False).hex(" "))
    print("drained, saved ", read_packet(kvm, 13, drain=True).hex(" "))
    for name, drain in (("at once", False), ("drained", True)):
        reads = range(1, len(PACKET) + 1)
        right = sum(read_packet(kvm, n, drain) == PACKET for n in reads)
        print(f"{name}: right at {right} of {len(PACKET)} reads")
