"""Which model-specific registers KVM keeps to itself, and which it leaves to userspace.

With KVM_CAP_X86_USER_SPACE_MSR an access that the kernel refuses becomes an exit, and
``msr.reason`` says why: the index means nothing to it (UNKNOWN), or this access is not allowed
(INVALID: a bit that is reserved, a feature that the guest's CPUID lacks). The two look alike to
a guest and to :class:`kvmexit.exits.Rdmsr`; only the page shows the difference.

Source: ``kvm_get_msr_common``, ``kvm_set_msr_common`` and ``kvm_msr_reason``,
arch/x86/kvm/x86.c; arch/x86/kvm/mtrr.c. Ran: every index from 0 to 0x1fff, and of the ranges at
0x40000000, 0x4b564d00, 0xc0000000 and 0xc0010000, on Linux 6.18 with kvm_pvm and no CPUID set.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, TypeAlias

ANY = (1 << 64) - 1
SYSENTER, CANONICAL = (0x175, 0x176), (1 << 57) - 1
MTRR_TYPES = frozenset((0, 1, 4, 5, 6))
"""Memory types that a range register takes: UC, WC, WT, WP, WB (Intel SDM volume 3, 13.11.2.1)."""


class Reply(IntEnum):
    """What becomes of an access; but for KEPT the value is that of ``msr.reason``."""

    KEPT = 0
    INVALID = 1  # KVM_MSR_EXIT_REASON_INVAL
    UNKNOWN = 2  # KVM_MSR_EXIT_REASON_UNKNOWN


Accepts: TypeAlias = Callable[[int, int], bool]
"""Does the register of this index take this value?"""


def bits(mask: int) -> Accepts:
    """Any value without a bit outside ``mask``."""
    return lambda index, value: not value & ~mask


def _canonical(index: int, value: int) -> bool:
    """An address as five-level paging has it: bits 56 to 63 are alike."""
    return value >> 56 in (0, 0xFF)


def _range(index: int, value: int) -> bool:
    """A variable memory range: base with a type, or mask; addresses of 36 bits without CPUID."""
    if index & 1:
        return not value & ~0xFFFFFF800
    return not value & ~0xFFFFFF0FF and value & 0xFF in MTRR_TYPES


def _fixed(index: int, value: int) -> bool:
    """Eight memory types."""
    return MTRR_TYPES.issuperset(value.to_bytes(8, "little"))


def _default_type(index: int, value: int) -> bool:
    return not value & ~0xCFF and value & 0xFF in MTRR_TYPES


def _bank(index: int, value: int) -> bool:
    """A machine check bank: control takes all or nothing, status only 0."""
    match index & 3:
        case 0:
            return value == 0 or value | 0x401 == ANY
        case 1:
            return value == 0
    return True


class Msr(NamedTuple):
    """Registers ``first`` to ``last``: what becomes of a read; what a write must satisfy (None:
    it is unknown); what they hold in a new vCPU, and which bits of a write stay in them."""

    first: int
    last: int
    read: Reply
    accepts: Accepts | None
    reset: int = 0
    keeps: int = ANY


def _anything(index: int, value: int) -> bool:
    return True


def _nothing(index: int, value: int) -> bool:
    return False


def _kept(
    first: int,
    last: int | None = None,
    accepts: Accepts | None = _anything,
    reset: int = 0,
    keeps: int = ANY,
) -> Msr:
    return Msr(first, last or first, Reply.KEPT, accepts, reset, keeps)


def _dropped(first: int, last: int | None = None, reset: int = 0) -> Msr:
    """A write is taken, and changes nothing."""
    return _kept(first, last, reset=reset, keeps=0)


def _read_only(first: int, last: int | None = None, reset: int = 0) -> Msr:
    return Msr(first, last or first, Reply.KEPT, None, reset)


def _refused(first: int, last: int | None = None, accepts: Accepts = _nothing) -> Msr:
    return Msr(first, last or first, Reply.INVALID, accepts)


def _write_only(first: int, accepts: Accepts = _anything) -> Msr:
    return Msr(first, first, Reply.UNKNOWN, accepts)


COMMON = (
    _dropped(0x10),  # TSC, which counts: here it is 0
    _read_only(0x17),  # platform id
    _kept(0x1B, accepts=bits(0xFFFFFF900), reset=0xFEE00900),  # APIC_BASE
    _read_only(0x2A),  # EBL_CR_POWERON
    _kept(0x34, accepts=_nothing),  # SMI count
    _dropped(0x8B),  # microcode revision
    _refused(0x9E),  # SMBASE
    _dropped(0xC1, 0xC2),  # performance counters
    _read_only(0xCD, reset=3),  # FSB frequency
    _read_only(0xFE, reset=0x508),  # MTRRcap
    _dropped(0x11E, reset=0xBE702111),  # BBL_CR_CTL3
    _kept(0x17A),  # MCG_STATUS
    _read_only(0x179, reset=0x20),  # MCG_CAP
    _refused(0x17B),  # MCG_CTL
    _dropped(0x186, 0x187),  # performance event selectors
    _kept(0x1A0, reset=1),  # MISC_ENABLE
    _kept(0x200, 0x20F, _range),
    _refused(0x210, 0x24F),
    _kept(0x250, accepts=_fixed),
    _refused(0x251, 0x257),
    _kept(0x258, 0x259, _fixed),
    _refused(0x25A, 0x267),
    _kept(0x268, 0x26F, _fixed),
    _refused(0x280, 0x29F),  # MCi_CTL2
    _kept(0x2FF, accepts=_default_type),
    _kept(0x400, 0x47F, _bank),
    _refused(0x800, 0x8FF),  # x2APIC, which this guest has not
    _kept(0x4B564D05, accepts=bits(1), reset=1),  # poll control
    _kept(0xC0010015, accepts=bits(0x1040148), keeps=0x1040000),  # HWCR
)
"""What arch/x86/kvm decides by itself, whatever the processor."""

CLOCKS = (
    _kept(0x11, 0x12),
    _kept(0x4B564D00, 0x4B564D01),
    _kept(0x4B564D02, accepts=bits(0)),  # asynchronous page faults: not without a local APIC
    _kept(0x4B564D03, accepts=bits(ANY & ~0x3E)),  # steal time
    _kept(0x4B564D04, accepts=bits(ANY & ~2)),  # end of interrupt; the address must be in RAM
    _kept(0x4B564D06, accepts=_nothing),
    _dropped(0x4B564D07),
)
"""KVM's own (Documentation/virt/kvm/x86/msr.rst). A write to some makes KVM write into guest
RAM: its clock, stolen time. The simulated kernel takes the write and has no such clock."""

OTHERS = (
    _read_only(0x0, 0x1),
    _read_only(0x2C, reset=0x1000000),
    _dropped(0x3B),  # TSC_ADJUST
    _dropped(0x48),  # SPEC_CTRL
    _write_only(0x49),  # PRED_CMD
    _write_only(0x79),  # microcode update
    _kept(0xCE, accepts=_nothing, reset=0x80000000),  # PLATFORM_INFO
    _write_only(0x10B),  # FLUSH_CMD
    _dropped(0x122),  # TSX_CTRL
    _kept(0x140),
    _kept(0x174, 0x176),  # SYSENTER
    _read_only(0x198, reset=0x400000003E8),
    _read_only(0x199),
    _refused(0x1C4, 0x1C5),  # XFD
    _dropped(0x1D9),  # DEBUGCTL
    _read_only(0x1DB, 0x1DE),  # last branch
    _kept(0x1FC),
    _kept(0x277, reset=0x0007040600070406),  # PAT
    *(_read_only(index) for index in (0x606, 0x611, 0x619, 0x639, 0x641)),  # RAPL
    _dropped(0x6E0),  # TSC deadline
    Msr(0xDA0, 0xDA0, Reply.INVALID, None),  # XSS
    _kept(0xC0000080, accepts=bits(1)),  # EFER: SCE
    _kept(0xC0000081),
    _kept(0xC0000082, 0xC0000083, _canonical),
    _kept(0xC0000084),
    _kept(0xC0000100, 0xC0000102, _canonical),  # FS, GS, kernel GS base
    _refused(0xC0000103, 0xC0000104),
    _dropped(0xC0010000, 0xC0010007),
    _read_only(0xC0010010),
    _dropped(0xC001001B, reset=0x20000000),
    _dropped(0xC001001F),
    _write_only(0xC0010020),
    _read_only(0xC0010055),
    _kept(0xC0010058, accepts=bits(0)),
    _read_only(0xC0010112, 0xC0010113),
    _dropped(0xC0010117),
    _dropped(0xC001011F),
    _refused(0xC0010140, 0xC0010141),
    _dropped(0xC0011022, 0xC0011023),
    _dropped(0xC001102A),
    _dropped(0xC001102C),
)
"""Where the vendor's module has its say (VMX, SVM, here kvm_pvm), or the host's processor: as
measured. kvm_pvm's own, at 0x4b564d10 to 0x4b564dff, are left out: no other kernel has them."""

_ROWS = {
    index: row for row in (*COMMON, *CLOCKS, *OTHERS) for index in range(row.first, row.last + 1)
}


def read(index: int) -> Reply:
    """What becomes of ``rdmsr``."""
    row = _ROWS.get(index)
    return Reply.UNKNOWN if row is None else row.read


def write(index: int, value: int) -> Reply:
    """What becomes of ``wrmsr`` with a 64-bit ``value``."""
    row = _ROWS.get(index)
    if row is None or row.accepts is None:
        return Reply.UNKNOWN
    return Reply.KEPT if row.accepts(index, value) else Reply.INVALID


def reset(index: int) -> int:
    """What a register that is kept holds in a new vCPU."""
    return _ROWS[index].reset


def after(index: int, value: int) -> int:
    """What a register that is kept holds when ``value`` has been written to it."""
    if index in SYSENTER:  # an address: cut to 57 bits, and made canonical
        return (value & CANONICAL ^ 1 << 56) - (1 << 56) & ANY
    row = _ROWS[index]
    return value & row.keeps if row.keeps else row.reset
