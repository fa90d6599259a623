"""VMs as the kernel gives them: several vCPUs, an interrupt controller, the ioctls that the library
has no use for. For the claims about the kernel itself."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from ctypes import Structure, c_uint8, c_uint32, c_uint64
from dataclasses import dataclass
from fcntl import ioctl
from typing import TypeVar

from kvmexit.kernel import abi

DEVICE, CODE, SIZE = 0xD0024, 0x1000, 0x10000
EXIT_DEBUG, EXIT_HLT, EXIT_MMIO, EXIT_SHUTDOWN, EXIT_IOAPIC_EOI = 4, 5, 6, 8, 26
RUNNABLE, UNINITIALIZED, INIT_RECEIVED = 0, 1, 2


class Msi(Structure):
    """``struct kvm_msi``: ``__u32 address_lo, address_hi, data, flags; __u32 devid; pad``."""

    _fields_ = (
        ("address_lo", c_uint32),
        ("address_hi", c_uint32),
        ("data", c_uint32),
        ("flags", c_uint32),
        ("_pad", c_uint8 * 16),
    )


class MsiRoute(Structure):
    """``struct kvm_irq_routing`` with one entry: where an interrupt of an IOAPIC goes."""

    _fields_ = (
        ("nr", c_uint32),
        ("flags", c_uint32),
        ("gsi", c_uint32),
        ("type", c_uint32),
        ("entry_flags", c_uint32),
        ("_pad", c_uint32),
        ("address_lo", c_uint32),
        ("address_hi", c_uint32),
        ("data", c_uint32),
        ("_rest", c_uint32 * 5),
    )


class Lapic(Structure):
    """``struct kvm_lapic_state``: the registers of a local APIC, sixteen bytes apart."""

    _fields_ = (("words", c_uint32 * 0x100),)


class GuestDebug(Structure):
    """``struct kvm_guest_debug``: ``__u32 control, pad; __u64 debugreg[8];``"""

    _fields_ = (("control", c_uint32), ("_pad", c_uint32), ("debugreg", c_uint64 * 8))


class SyncRegs(Structure):
    """What lies behind the union in ``struct kvm_run``: which registers are valid, which are to be
    written, and the general ones."""

    _fields_ = (("valid", c_uint64), ("dirty", c_uint64), ("regs", abi.Regs))


CREATE_IRQCHIP = abi._IO(0x60)
SET_GUEST_DEBUG = abi._IOW(0x9B, GuestDebug)
SIGNAL_MSI = abi._IOW(0xA5, Msi)
SET_GSI_ROUTING = abi._IOW(0x6A, c_uint64)  # named by the size of its head alone
GET_LAPIC, SET_LAPIC = abi._IOR(0x8E, Lapic), abi._IOW(0x8F, Lapic)
CAP_SPLIT_IRQCHIP = 121
SINGLE_STEP = 1 | 2
INIT_TO_ALL = Msi(0xFEEFF000, 0, 0x4500)
"""Broadcast, delivery mode INIT, level asserted."""
SYNC = abi.EXIT + ctypes.sizeof(abi.RunExit)
Filled = TypeVar("Filled", bound=Structure)


@dataclass(frozen=True)
class Exit:
    """KVM_RUN returned 0."""

    reason: int
    address: int = 0
    size: int = 0
    is_write: bool = False


def read(address: int = DEVICE, size: int = 1) -> Exit:
    """The exit of a read from the device."""
    return Exit(EXIT_MMIO, address, size)


class Vcpu:
    """A vCPU and its page."""

    def __init__(self, vm: int, number: int, page_size: int) -> None:
        self.fd = ioctl(vm, abi.KVM_CREATE_VCPU, number)
        self.page = mmap.mmap(self.fd, page_size)
        self.kvm_run = abi.Run.from_buffer(self.page)
        self.sync = SyncRegs.from_buffer(self.page, SYNC)

    def get(self, request: int, into: type[Filled]) -> Filled:
        """What the ioctl fills."""
        filled = into()
        ioctl(self.fd, request, filled, True)
        return filled

    def set(self, request: int, value: Structure) -> None:
        ioctl(self.fd, request, value, True)

    @property
    def regs(self) -> abi.Regs:
        return self.get(abi.KVM_GET_REGS, abi.Regs)

    @property
    def events(self) -> abi.VcpuEvents:
        return self.get(abi.KVM_GET_VCPU_EVENTS, abi.VcpuEvents)

    @property
    def mp_state(self) -> int:
        """Not a pure read: see test_get_mp_state_moves_the_registers."""
        return self.get(abi.KVM_GET_MP_STATE, abi.MpState).mp_state

    def set_mp_state(self, state: int) -> None:
        self.set(abi.KVM_SET_MP_STATE, abi.MpState(state))

    def run(self) -> Exit | str:
        """The exit, or the name of the error."""
        try:
            ioctl(self.fd, abi.KVM_RUN)
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        if self.kvm_run.exit_reason != EXIT_MMIO:
            return Exit(self.kvm_run.exit_reason)
        mmio = self.kvm_run.exit.mmio
        return Exit(EXIT_MMIO, mmio.phys_addr, mmio.len, bool(mmio.is_write))

    def complete(self) -> Exit | str:
        """One KVM_RUN with ``immediate_exit`` set."""
        self.kvm_run.immediate_exit = 1
        try:
            return self.run()
        finally:
            self.kvm_run.immediate_exit = 0

    def answer(self, byte: int) -> None:
        """What the device says, in every byte of what was asked."""
        mmio = self.kvm_run.exit.mmio
        mmio.data[: mmio.len] = [byte] * mmio.len


class RawVm:
    """RAM, and vCPUs in flat 32-bit mode. There is no table for exceptions: one is a shutdown."""

    def __init__(
        self, vcpus: int = 1, irqchip: bool = False, payload: bool = False, ioapic: int = 0
    ) -> None:
        """``ioapic``: local APICs in the kernel, and an IOAPIC of so many pins in userspace."""
        kvm = os.open("/dev/kvm", os.O_RDWR)
        page_size = ioctl(kvm, abi.KVM_GET_VCPU_MMAP_SIZE, 0)
        self.fd = ioctl(kvm, abi.KVM_CREATE_VM, 0)
        os.close(kvm)
        self.memory = mmap.mmap(-1, SIZE)
        self._lent = (ctypes.c_char * SIZE).from_buffer(self.memory)
        slot = abi.UserspaceMemoryRegion(0, 0, 0, SIZE, ctypes.addressof(self._lent))
        ioctl(self.fd, abi.KVM_SET_USER_MEMORY_REGION, slot)
        ioctl(self.fd, abi.KVM_SET_TSS_ADDR, 0x7FFFD000)
        for cap, value in ((abi.KVM_CAP_EXCEPTION_PAYLOAD, payload), (CAP_SPLIT_IRQCHIP, ioapic)):
            if value:
                enabled = abi.EnableCap(cap=cap)
                enabled.args[0] = value
                ioctl(self.fd, abi.KVM_ENABLE_CAP, enabled)
        if irqchip:
            ioctl(self.fd, CREATE_IRQCHIP, 0)
        self.vcpus = [Vcpu(self.fd, number, page_size) for number in range(vcpus)]
        for vcpu in self.vcpus:
            vcpu.set(abi.KVM_SET_SREGS, _flat(vcpu))

    def begin(self, code: bytes, number: int = 0, **regs: int) -> Vcpu:
        """The vCPU is about to execute ``code``."""
        self.memory[CODE : CODE + len(code)] = code
        vcpu = self.vcpus[number]
        vcpu.set(abi.KVM_SET_REGS, abi.Regs(rip=CODE, rflags=2, rsp=0x8000, **regs))
        return vcpu

    def close(self) -> None:
        for vcpu in self.vcpus:
            os.close(vcpu.fd)
        os.close(self.fd)


def _flat(vcpu: Vcpu) -> abi.Sregs:
    sregs = vcpu.get(abi.KVM_GET_SREGS, abi.Sregs)
    flat = {"base": 0, "limit": 0xFFFFFFFF, "present": 1, "db": 1, "s": 1, "g": 1}
    sregs.cs = abi.Segment(selector=8, type=11, **flat)
    for name in ("ds", "es", "fs", "gs", "ss"):
        setattr(sregs, name, abi.Segment(selector=16, type=3, **flat))
    sregs.cr0 = 0x31
    sregs.gdt = sregs.idt = abi.Dtable(base=0, limit=0)
    return sregs
