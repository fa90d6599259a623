"""The rule, stated once.

1.  An exit that needs completion is half an instruction. It is *pending* until KVM_RUN is
    called again.
2.  KVM_RUN completes it first. Only if that call fails with EINTR has the vCPU come to rest;
    if it returns 0, it brought another exit, which may need completion in turn: the next
    fragment of the access, the write of a read-modify-write, the next element of a string.
3.  Whoever reads or writes the vCPU's state while an exit is pending has half an instruction
    in hands. That is a *finding*.
4.  State written before the first KVM_RUN is set-up. State touched after EINTR, or after an
    exit that needs no completion, is *fine*.
5.  Where the log does not show what KVM_RUN returned, or why, the answer is *cannot tell*.

Source: Documentation/virt/kvm/api.rst, the NOTE after KVM_EXIT_MMIO in section 5; the order
of rule 2 is that of ``kvm_arch_vcpu_ioctl_run`` in arch/x86/kvm/x86.c. The effects are those
observed for x86 in this project's atlas of exits.
"""

from __future__ import annotations

from enum import Enum

from kvmexit.tracelint.events import Access
from kvmexit.tracelint.ioctls import ROLES, Role

EINTR = -4
_NEVER_RAN = (-9, -19, -22, -25)  # EBADF, ENODEV, EINVAL, ENOTTY: KVM_RUN did not happen
_EAGAIN = -11  # a vCPU that waits for INIT: it has not run


class Gap(Enum):
    """What lies between two KVM_RUNs of a vCPU."""

    FRESH = "never run"
    DONE = "complete"
    PENDING = "pending"
    HIDDEN = "KVM_RUN returned 0; the log does not say why"
    SILENT = "KVM_RUN was called and no exit came of it"
    UNKNOWN = "the last KVM_RUN of this vCPU, or its result, is not in the log"


class Ruling(Enum):
    """What a state ioctl in a gap means."""

    SETUP = "set-up"
    FINE = "fine"
    FINDING = "finding"
    CANNOT_TELL = "cannot tell"


RULING: dict[Gap, Ruling] = {
    Gap.FRESH: Ruling.SETUP,
    Gap.DONE: Ruling.FINE,
    Gap.PENDING: Ruling.FINDING,
    Gap.HIDDEN: Ruling.CANNOT_TELL,
    Gap.SILENT: Ruling.CANNOT_TELL,
    Gap.UNKNOWN: Ruling.CANNOT_TELL,
}

DOUBT: dict[Gap, str] = {
    Gap.HIDDEN: "state touched after KVM_RUN returned 0 for a reason that the log does not give"
    " (HLT needs no completion, MMIO does): record with `strace -e kvm=vcpu`",
    Gap.SILENT: "state touched after a KVM_RUN of which no exit came. That is the good pattern,"
    " but this log does not show that the kernel completed anything: record strace or tracefs",
    Gap.UNKNOWN: "state touched, and the last KVM_RUN of that vCPU, or its result, is not in the"
    " log: record from the start",
}
"""Why :data:`RULING` says *cannot tell*, and what to do about it."""

YES, NO, DEPENDS = True, False, None

# number: (name, does it need KVM_RUN to complete?)   [linux/kvm.h, api.rst section 5]
EXITS: dict[int, tuple[str, bool | None]] = {
    0: ("KVM_EXIT_UNKNOWN", NO),
    1: ("KVM_EXIT_EXCEPTION", NO),
    2: ("KVM_EXIT_IO", YES),
    3: ("KVM_EXIT_HYPERCALL", YES),
    4: ("KVM_EXIT_DEBUG", NO),
    5: ("KVM_EXIT_HLT", NO),
    6: ("KVM_EXIT_MMIO", YES),
    7: ("KVM_EXIT_IRQ_WINDOW_OPEN", NO),
    8: ("KVM_EXIT_SHUTDOWN", NO),
    9: ("KVM_EXIT_FAIL_ENTRY", NO),
    10: ("KVM_EXIT_INTR", NO),
    11: ("KVM_EXIT_SET_TPR", NO),
    12: ("KVM_EXIT_TPR_ACCESS", NO),
    13: ("KVM_EXIT_S390_SIEIC", NO),
    14: ("KVM_EXIT_S390_RESET", NO),
    15: ("KVM_EXIT_DCR", YES),
    16: ("KVM_EXIT_NMI", NO),
    17: ("KVM_EXIT_INTERNAL_ERROR", NO),
    18: ("KVM_EXIT_OSI", YES),
    19: ("KVM_EXIT_PAPR_HCALL", YES),
    20: ("KVM_EXIT_S390_UCONTROL", NO),
    21: ("KVM_EXIT_WATCHDOG", NO),
    22: ("KVM_EXIT_S390_TSCH", NO),
    23: ("KVM_EXIT_EPR", YES),
    24: ("KVM_EXIT_SYSTEM_EVENT", NO),
    25: ("KVM_EXIT_S390_STSI", NO),
    26: ("KVM_EXIT_IOAPIC_EOI", NO),
    27: ("KVM_EXIT_HYPERV", DEPENDS),
    28: ("KVM_EXIT_ARM_NISV", NO),
    29: ("KVM_EXIT_X86_RDMSR", YES),
    30: ("KVM_EXIT_X86_WRMSR", YES),
    31: ("KVM_EXIT_DIRTY_RING_FULL", NO),
    32: ("KVM_EXIT_AP_RESET_HOLD", NO),
    33: ("KVM_EXIT_X86_BUS_LOCK", DEPENDS),
    34: ("KVM_EXIT_XEN", YES),
    35: ("KVM_EXIT_RISCV_SBI", YES),
    36: ("KVM_EXIT_RISCV_CSR", YES),
    37: ("KVM_EXIT_NOTIFY", NO),
    38: ("KVM_EXIT_LOONGARCH_IOCSR", YES),
    39: ("KVM_EXIT_MEMORY_FAULT", NO),
    40: ("KVM_EXIT_TDX", YES),
    41: ("KVM_EXIT_ARM_SEA", NO),
    42: ("KVM_EXIT_ARM_LDST64B", NO),
    43: ("KVM_EXIT_SNP_REQ_CERTS", YES),
}
EXIT_NUMBERS = {name: number for number, (name, _) in EXITS.items()}


def after_run(result: int | None, reason: int | None, before: Gap) -> Gap:
    """What lies behind a KVM_RUN that returned ``result`` for ``reason``.

    ``None`` stands for what the log does not show; ``before`` is the gap it came from.
    """
    if result is None:
        return Gap.UNKNOWN
    if result == EINTR:
        return Gap.DONE
    if result < 0:
        idle = result == _EAGAIN and before in (Gap.FRESH, Gap.DONE)
        return before if idle or result in _NEVER_RAN else Gap.UNKNOWN
    if reason is None:
        return Gap.HIDDEN
    completes = EXITS.get(reason, ("", DEPENDS))[1]
    return {YES: Gap.PENDING, NO: Gap.DONE, DEPENDS: Gap.HIDDEN}[completes]


def exit_name(reason: int | None) -> str:
    """``KVM_EXIT_MMIO`` for 6; a number that has no name keeps its number."""
    if reason is None:
        return "an exit the log does not name"
    return EXITS[reason][0] if reason in EXITS else f"exit reason {reason}"


_REPEATED = (
    "read repeated: this state, restored, runs the instruction again and reads the device a"
    " second time; a FIFO pops twice and the guest misses a byte"
)
_DROPPED = (
    "answer dropped: KVM_SET_REGS on this vCPU while the read is pending makes the completion"
    " lose the device's answer; the register keeps a stale value and no read is repeated"
)
_REST_LOST = (
    "second half lost: the rest of this write is only in the kernel; this state, restored,"
    " never writes it"
)
_HALF = (
    "second half at stake: this write ends a read-modify-write; if the device had not served"
    " it before the save, this state, restored, never writes it: the device saw the read only"
)
_WRITE = (
    "write at stake: on x86 a plain write retires before its exit, so this save is harmless if"
    " the device had served the write and loses it if not; if the write has another piece, that"
    " piece is lost; arm64 and riscv repeat the write; KVM promises none of this"
)
ABANDONED = "(the completion never came)"
ENDS_PENDING = (
    "the log ends while an exit is pending, as that of a bad migration's source does, and it does"
    " not show ioctls: record them too"
)
_UNNAMED = (
    "the log does not show the direction. A read: repeated after a restore (a FIFO pops twice),"
    " or its answer dropped by KVM_SET_REGS on this vCPU. A write: its unserved part lost"
)
_RDMSR = "RDMSR repeated: this state, restored, asks for the MSR again"
_WRMSR = "WRMSR repeated: RIP is still on it; this state, restored, writes the MSR again"
_CALL = "the call is repeated or its result lost: its registers are written on the next entry"
_VM_ONLY = (
    "VM saved while this vCPU is between exit and entry: its half instruction is in no saved"
    " state; drain every vCPU before reading the state of the VM"
)


def effect(reason: int | None, access: Access | None, names: set[str]) -> str:
    """What the guest will see of a save or restore made while this exit was pending.

    ``names`` are the state ioctls of the gap. Only KVM_SET_REGS drops an answer; the others
    do not touch what the completion writes.
    """
    if ABANDONED in names:
        return _REPEATED
    if all(ROLES.get(name) is Role.VM_GET for name in names):
        return _VM_ONLY
    if reason in (29, 30):
        return _RDMSR if reason == 29 else _WRMSR
    if reason not in (2, 6):
        return _CALL
    direction = access.direction if access else ""
    if direction == "read":
        read = any(name.startswith("KVM_GET") for name in names)
        if "KVM_SET_REGS" not in names:
            return _REPEATED
        return (
            f"{_DROPPED}. If the state read here is restored elsewhere: {_REPEATED}"
            if read
            else _DROPPED
        )
    if direction == "write":
        assert access is not None
        return _REST_LOST if access.more else _HALF if access.half else _WRITE
    return _UNNAMED
