"""The part of linux/kvm.h that this binding speaks: ioctl numbers, structs, ``kvm_run``.

An ioctl number is a direction, the size of its argument, the letter of the subsystem and a
number: so each is derived here from the struct that it carries, and then asserted against
the value that strace prints. Layouts are those of x86-64; they are the kernel's promise and
do not change. Source: include/uapi/linux/kvm.h and arch/x86/include/uapi/asm/kvm.h.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    Structure,
    Union,
    c_uint8 as u8,
    c_uint16 as u16,
    c_uint32 as u32,
    c_uint64 as u64,
    sizeof,
)

KVMIO = 0xAE


def _ioc(direction: int, number: int, size: int) -> int:
    """``_IOC`` of asm-generic/ioctl.h: two bits of direction, 14 of size, type, number."""
    return direction << 30 | size << 16 | KVMIO << 8 | number


def _IO(number: int) -> int:
    """No argument behind a pointer."""
    return _ioc(0, number, 0)


def _IOW(number: int, argument: type[Structure]) -> int:
    """Userspace writes the argument: the kernel reads it."""
    return _ioc(1, number, sizeof(argument))


def _IOR(number: int, argument: type[Structure]) -> int:
    """Userspace reads the argument: the kernel fills it."""
    return _ioc(2, number, sizeof(argument))


class UserspaceMemoryRegion(Structure):
    """``struct kvm_userspace_memory_region``::

    __u32 slot; __u32 flags;
    __u64 guest_phys_addr; __u64 memory_size /* bytes */; __u64 userspace_addr;
    """

    _fields_ = (
        ("slot", u32),
        ("flags", u32),
        ("guest_phys_addr", u64),
        ("memory_size", u64),
        ("userspace_addr", u64),
    )


class EnableCap(Structure):
    """``struct kvm_enable_cap``::

    __u32 cap; __u32 flags; __u64 args[4]; __u8 pad[64];
    """

    _fields_ = (("cap", u32), ("flags", u32), ("args", u64 * 4), ("pad", u8 * 64))


class Regs(Structure):
    """``struct kvm_regs``::

    __u64 rax, rbx, rcx, rdx; __u64 rsi, rdi, rsp, rbp;
    __u64 r8,  r9,  r10, r11; __u64 r12, r13, r14, r15;
    __u64 rip, rflags;
    """

    _fields_ = tuple(
        (name, u64)
        for name in (
            *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
            *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
            *("rip", "rflags"),
        )
    )


class Segment(Structure):
    """``struct kvm_segment``::

    __u64 base; __u32 limit; __u16 selector;
    __u8 type; __u8 present, dpl, db, s, l, g, avl; __u8 unusable; __u8 padding;
    """

    _fields_ = (
        ("base", u64),
        ("limit", u32),
        ("selector", u16),
        *((name, u8) for name in ("type", "present", "dpl", "db", "s", "l", "g", "avl")),
        ("unusable", u8),
        ("padding", u8),
    )


class Dtable(Structure):
    """``struct kvm_dtable``::

    __u64 base; __u16 limit; __u16 padding[3];
    """

    _fields_ = (("base", u64), ("limit", u16), ("padding", u16 * 3))


class Sregs(Structure):
    """``struct kvm_sregs``::

        struct kvm_segment cs, ds, es, fs, gs, ss; struct kvm_segment tr, ldt;
        struct kvm_dtable gdt, idt;
        __u64 cr0, cr2, cr3, cr4, cr8; __u64 efer; __u64 apic_base;
        __u64 interrupt_bitmap[(KVM_NR_INTERRUPTS + 63) / 64];

    Segments, tables and control registers.
    """

    _fields_ = (
        *((name, Segment) for name in ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt")),
        *((name, Dtable) for name in ("gdt", "idt")),
        *((name, u64) for name in ("cr0", "cr2", "cr3", "cr4", "cr8", "efer", "apic_base")),
        ("interrupt_bitmap", u64 * 4),
    )


class Xsave(Structure):
    """``struct kvm_xsave``: ``__u32 region[1024];``, named as FXSAVE and XSAVE lay it out.

    Source: Intel SDM volume 1, section 10.5.1 (legacy area) and 13.4.2 (XSAVE header).
    """

    _fields_ = (
        ("fcw", u16),
        ("_x87_control", u8 * 22),
        ("mxcsr", u32),
        ("mxcsr_mask", u32),
        ("_x87_registers", u8 * 128),
        ("xmm", u8 * 256),
        ("_unused", u8 * 96),
        ("xstate_bv", u64),
        ("_more", u8 * (4096 - 520)),
    )


class VcpuEvents(Structure):
    """``struct kvm_vcpu_events``: what waits to be delivered to the guest::

        struct { __u8 injected, nr, has_error_code, pending; __u32 error_code; } exception;
        struct { __u8 injected, nr, soft, shadow; } interrupt;
        struct { __u8 injected, pending, masked, pad; } nmi;
        __u32 sipi_vector; __u32 flags;
        struct { __u8 smm, pending, smm_inside_nmi, latched_init; } smi;
        struct { __u8 pending; } triple_fault;
        __u8 reserved[26];
        __u8 exception_has_payload; __u64 exception_payload;

    ``exception.pending`` is told from ``injected`` only with KVM_CAP_EXCEPTION_PAYLOAD.
    """

    _pack_ = 1
    _fields_ = (
        *((f"exception_{name}", u8) for name in ("injected", "nr", "has_error_code", "pending")),
        ("error_code", u32),
        *((f"interrupt_{name}", u8) for name in ("injected", "nr", "soft", "shadow")),
        *((f"nmi_{name}", u8) for name in ("injected", "pending", "masked", "pad")),
        ("sipi_vector", u32),
        ("flags", u32),
        *((f"smi_{name}", u8) for name in ("smm", "pending", "inside_nmi", "latched_init")),
        ("triple_fault_pending", u8),
        ("_reserved", u8 * 26),
        ("exception_has_payload", u8),
        ("exception_payload", u64),
    )


class MpState(Structure):
    """``struct kvm_mp_state``: ``__u32 mp_state;`` 0 is RUNNABLE."""

    _fields_ = (("mp_state", u32),)


class SignalMask(Structure):
    """``struct kvm_signal_mask``: ``__u32 len; __u8 sigset[0];``."""

    _fields_ = (("len", u32),)


class SignalMaskOf64(Structure):
    """The same with its ``sigset``: one bit for each of 64 signals."""

    _fields_ = (("len", u32), ("sigset", u8 * 8))


class RunIo(Structure):
    """``kvm_run.io``::

    __u8 direction; __u8 size /* bytes */; __u16 port; __u32 count;
    __u64 data_offset /* relative to kvm_run start */;
    """

    _fields_ = (
        ("direction", u8),
        ("size", u8),
        ("port", u16),
        ("count", u32),
        ("data_offset", u64),
    )


class RunMmio(Structure):
    """``kvm_run.mmio``::

    __u64 phys_addr; __u8 data[8]; __u32 len; __u8 is_write;
    """

    _fields_ = (("phys_addr", u64), ("data", u8 * 8), ("len", u32), ("is_write", u8))


class RunMsr(Structure):
    """``kvm_run.msr``::

    __u8 error; __u8 pad[7]; __u32 reason; __u32 index; __u64 data;
    """

    _fields_ = (
        ("error", u8),
        ("pad", u8 * 7),
        ("reason", u32),
        ("index", u32),
        ("data", u64),
    )


class RunInternal(Structure):
    """``kvm_run.internal``::

    __u32 suberror; __u32 ndata; __u64 data[16];
    """

    _fields_ = (("suberror", u32), ("ndata", u32), ("data", u64 * 16))


class RunExit(Union):
    """The union in ``struct kvm_run``: which member holds is said by ``exit_reason``."""

    _fields_ = (
        ("io", RunIo),
        ("mmio", RunMmio),
        ("msr", RunMsr),
        ("internal", RunInternal),
        ("padding", u8 * 256),
    )


class Run(Structure):
    """``struct kvm_run``, as far as this book reads it::

    __u8 request_interrupt_window; __u8 immediate_exit; __u8 padding1[6];
    __u32 exit_reason; __u8 ready_for_interrupt_injection; __u8 if_flag; __u16 flags;
    __u64 cr8; __u64 apic_base; union { ... };
    """

    _fields_ = (
        ("request_interrupt_window", u8),
        ("immediate_exit", u8),
        ("padding1", u8 * 6),
        ("exit_reason", u32),
        ("ready_for_interrupt_injection", u8),
        ("if_flag", u8),
        ("flags", u16),
        ("cr8", u64),
        ("apic_base", u64),
        ("exit", RunExit),
    )


# Asked of /dev/kvm.
KVM_GET_API_VERSION = _IO(0x00)
KVM_CREATE_VM = _IO(0x01)
KVM_CHECK_EXTENSION = _IO(0x03)
KVM_GET_VCPU_MMAP_SIZE = _IO(0x04)
# Asked of a VM.
KVM_CREATE_VCPU = _IO(0x41)
KVM_SET_USER_MEMORY_REGION = _IOW(0x46, UserspaceMemoryRegion)
KVM_SET_TSS_ADDR = _IO(0x47)
KVM_ENABLE_CAP = _IOW(0xA3, EnableCap)
# Asked of a vCPU.
KVM_RUN = _IO(0x80)
KVM_GET_REGS = _IOR(0x81, Regs)
KVM_SET_REGS = _IOW(0x82, Regs)
KVM_GET_SREGS = _IOR(0x83, Sregs)
KVM_SET_SREGS = _IOW(0x84, Sregs)
KVM_SET_SIGNAL_MASK = _IOW(0x8B, SignalMask)
KVM_GET_XSAVE = _IOR(0xA4, Xsave)
KVM_SET_XSAVE = _IOW(0xA5, Xsave)
KVM_GET_MP_STATE = _IOR(0x98, MpState)
KVM_SET_MP_STATE = _IOW(0x99, MpState)
KVM_GET_VCPU_EVENTS = _IOR(0x9F, VcpuEvents)
KVM_SET_VCPU_EVENTS = _IOW(0xA0, VcpuEvents)

assert (KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_CHECK_EXTENSION) == (
    0xAE00,
    0xAE01,
    0xAE03,
)
assert (KVM_GET_VCPU_MMAP_SIZE, KVM_CREATE_VCPU, KVM_SET_TSS_ADDR) == (
    0xAE04,
    0xAE41,
    0xAE47,
)
assert (KVM_SET_USER_MEMORY_REGION, KVM_ENABLE_CAP) == (0x4020AE46, 0x4068AEA3)
assert (KVM_RUN, KVM_GET_REGS, KVM_SET_REGS) == (0xAE80, 0x8090AE81, 0x4090AE82)
assert (KVM_GET_SREGS, KVM_SET_SREGS) == (0x8138AE83, 0x4138AE84)
assert KVM_SET_SIGNAL_MASK == 0x4004AE8B and sizeof(SignalMaskOf64) == 12
assert (KVM_GET_XSAVE, KVM_SET_XSAVE) == (0x9000AEA4, 0x5000AEA5)
assert (KVM_GET_MP_STATE, KVM_SET_MP_STATE) == (0x8004AE98, 0x4004AE99)
assert (KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS) == (0x8040AE9F, 0x4040AEA0)

API_VERSION = 12
"""What KVM_GET_API_VERSION has answered since Linux 2.6.22."""
KVM_CAP_IMMEDIATE_EXIT = 136
KVM_CAP_EXCEPTION_PAYLOAD = 164
KVM_VCPUEVENT_VALID_SHADOW = 4
KVM_CAP_X86_USER_SPACE_MSR = 188
KVM_MSR_EXIT_REASON_INVAL = 1 << 0
KVM_MSR_EXIT_REASON_UNKNOWN = 1 << 1
KVM_EXIT_IO_IN, KVM_EXIT_IO_OUT = 0, 1

# Where things lie in the shared page, in bytes from its start.
IMMEDIATE_EXIT = Run.immediate_exit.offset
EXIT_REASON = Run.exit_reason.offset
EXIT = Run.exit.offset
MMIO_DATA = EXIT + RunMmio.data.offset
MMIO_LEN = EXIT + RunMmio.len.offset
MSR_DATA = EXIT + RunMsr.data.offset
MSR_ERROR = EXIT + RunMsr.error.offset

assert (IMMEDIATE_EXIT, EXIT_REASON, EXIT) == (1, 8, 32)
assert (MMIO_DATA, MMIO_LEN, MSR_DATA) == (40, 48, 48)
assert ctypes.sizeof(Xsave) == 4096 and Xsave.xmm.offset == 160 and Xsave.xstate_bv.offset == 512
