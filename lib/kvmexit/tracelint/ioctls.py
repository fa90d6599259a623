"""KVM ioctls by name and by number: which read or write state that a save is made of.

A number is read by its direction, its number and, where two ioctls share both, its size
(include/uapi/linux/kvm.h). QEMU passes the request as a signed int, so that tracefs shows it
sign-extended: only 32 bits count. Most architectures have two bits of direction above 14 of size
(include/uapi/asm-generic/ioctl.h); powerpc and mips have three above 13, with other values
(arch/powerpc/include/uapi/asm/ioctl.h). A number that is known in one of the two is read so.
"""

from __future__ import annotations

import re
from enum import Enum


class Role(Enum):
    """What an ioctl means to the rule."""

    RUN = "run"
    GET = "get"
    SET = "set"
    VM_GET = "vm get"
    CREATE_VM = "create vm"
    CREATE_VCPU = "create vcpu"
    SYSTEM = "asked of /dev/kvm only"


_R, _W, _WR, _NONE = 2, 1, 3, 0

# role, name, direction, number
_TABLE = (
    (Role.RUN, "KVM_RUN", _NONE, 0x80),
    (Role.CREATE_VM, "KVM_CREATE_VM", _NONE, 0x01),
    (Role.CREATE_VCPU, "KVM_CREATE_VCPU", _NONE, 0x41),
    (Role.GET, "KVM_GET_REGS", _R, 0x81),
    (Role.SET, "KVM_SET_REGS", _W, 0x82),
    (Role.GET, "KVM_GET_SREGS", _R, 0x83),
    (Role.SET, "KVM_SET_SREGS", _W, 0x84),
    (Role.GET, "KVM_GET_MSRS", _WR, 0x88),
    (Role.SET, "KVM_SET_MSRS", _W, 0x89),
    (Role.GET, "KVM_GET_FPU", _R, 0x8C),
    (Role.SET, "KVM_SET_FPU", _W, 0x8D),
    (Role.GET, "KVM_GET_LAPIC", _R, 0x8E),
    (Role.SET, "KVM_SET_LAPIC", _W, 0x8F),
    (Role.GET, "KVM_GET_MP_STATE", _R, 0x98),
    (Role.SET, "KVM_SET_MP_STATE", _W, 0x99),
    (Role.GET, "KVM_GET_VCPU_EVENTS", _R, 0x9F),
    (Role.SET, "KVM_SET_VCPU_EVENTS", _W, 0xA0),
    (Role.GET, "KVM_GET_DEBUGREGS", _R, 0xA1),
    (Role.SET, "KVM_SET_DEBUGREGS", _W, 0xA2),
    (Role.GET, "KVM_GET_XSAVE", _R, 0xA4),
    (Role.SET, "KVM_SET_XSAVE", _W, 0xA5),
    (Role.GET, "KVM_GET_XCRS", _R, 0xA6),
    (Role.SET, "KVM_SET_XCRS", _W, 0xA7),
    (Role.GET, "KVM_GET_ONE_REG", _W, 0xAB),
    (Role.SET, "KVM_SET_ONE_REG", _W, 0xAC),
    (Role.GET, "KVM_GET_NESTED_STATE", _WR, 0xBE),
    (Role.SET, "KVM_SET_NESTED_STATE", _W, 0xBF),
    (Role.GET, "KVM_GET_SREGS2", _R, 0xCC),
    (Role.SET, "KVM_SET_SREGS2", _W, 0xCD),
    (Role.GET, "KVM_GET_XSAVE2", _R, 0xCF),
    (Role.GET, "KVM_S390_STORE_STATUS", _W, 0x95),
    (Role.SET, "KVM_S390_SET_INITIAL_PSW", _W, 0x96),
    (Role.SET, "KVM_S390_INITIAL_RESET", _NONE, 0x97),
    (Role.SET, "KVM_S390_NORMAL_RESET", _NONE, 0xC3),
    (Role.SET, "KVM_S390_CLEAR_RESET", _NONE, 0xC4),
    (Role.GET, "KVM_S390_GET_IRQ_STATE", _W, 0xB6),
    (Role.SET, "KVM_S390_SET_IRQ_STATE", _W, 0xB5),
    (Role.GET, "KVM_XEN_VCPU_GET_ATTR", _WR, 0xCA),
    (Role.SET, "KVM_XEN_VCPU_SET_ATTR", _W, 0xCB),
    (Role.VM_GET, "KVM_GET_IRQCHIP", _WR, 0x62),
    (Role.VM_GET, "KVM_GET_PIT", _WR, 0x65),
    (Role.SYSTEM, "KVM_GET_API_VERSION", _NONE, 0x00),
    (Role.SYSTEM, "KVM_GET_MSR_INDEX_LIST", _WR, 0x02),
    (Role.SYSTEM, "KVM_GET_VCPU_MMAP_SIZE", _NONE, 0x04),
    (Role.SYSTEM, "KVM_GET_SUPPORTED_CPUID", _WR, 0x05),
    (Role.SYSTEM, "KVM_GET_EMULATED_CPUID", _WR, 0x09),
    (Role.SYSTEM, "KVM_GET_MSR_FEATURE_INDEX_LIST", _WR, 0x0A),
)

KVMIO = 0xAE
KVM_RUN = "KVM_RUN"
OF_BOTH = "KVM_GET_MSRS"
"""The one state ioctl that /dev/kvm takes too: there it reads what the host has."""
ARM_ONLY = frozenset({"KVM_ARM_VCPU_INIT", "KVM_ARM_VCPU_FINALIZE", "KVM_ARM_PREFERRED_TARGET"})
"""Ioctls that only arm64 has."""

ROLES: dict[str, Role] = {name: role for role, name, _, _ in _TABLE} | {"KVM_GET_PIT2": Role.VM_GET}
STATE = frozenset({Role.GET, Role.SET})
_ARM = {(_W, 0xAE): "KVM_ARM_VCPU_INIT", (_R, 0xAF): "KVM_ARM_PREFERRED_TARGET"}
_BY_NUMBER = {(direction, number): name for _, name, direction, number in _TABLE} | _ARM
_BY_REQUEST = {0x8070AE9F: "KVM_GET_PIT2", 0x4070AEA0: "KVM_SET_PIT2"}
_OTHER_DIRECTIONS = {1: _NONE, 2: _R, 4: _W, 6: _WR}  # powerpc, mips: three bits at 29
_ALTERNATIVES = re.compile(r" or |\s*/\*\s*|\s*\*/")


def name_of(request: int) -> str:
    """The name of ioctl ``request`` if the rule knows it; ``""`` for a foreign one.

    KVM ioctls that the rule does not care about are named by their number.
    """
    request &= 0xFFFFFFFF
    if (request >> 8) & 0xFF != KVMIO:
        return ""
    if request in _BY_REQUEST:
        return _BY_REQUEST[request]
    number, other = request & 0xFF, _OTHER_DIRECTIONS.get(request >> 29)
    known = _BY_NUMBER.get((request >> 30, number))
    if known is None and other is not None:
        known = _BY_NUMBER.get((other, number))
    return known or f"KVM ioctl {request:#x}"


def one_of(names: str) -> str:
    """Of the names that strace prints for a number that several ioctls share, the one that the
    rule cares about: ``A or B``. On a vCPU it can be no other."""
    known = [name for name in _ALTERNATIVES.split(names) if name in ROLES]
    return known[0] if known else names.partition(" ")[0]


def integer(text: bytes) -> int:
    """A number as logs print it: hexadecimal after ``0x``, else decimal, zeros in front or not."""
    return int(text, 16) if text[:2] == b"0x" else int(text)
