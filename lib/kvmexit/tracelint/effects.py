"""What the guest will see of state that was touched while an exit was pending.

The effects are those observed in this project's atlas of exits for x86, and read in the source
for other machines (chapters 10, 11 and 13 of the book). They depend on the machine where it
matters: a served ``out`` has not retired at its exit with VMX or SVM, a served store has not on
arm64 and riscv.
"""

from __future__ import annotations

from kvmexit.tracelint.events import Access
from kvmexit.tracelint.ioctls import ROLES, Role

ABANDONED = "(the completion never came)"
IO, MMIO, RDMSR, WRMSR = 2, 6, 29, 30

_REPEATED = (
    "read repeated: this state, restored, runs the instruction again and reads the device a"
    " second time; a FIFO pops twice and the guest misses a byte"
)
_DROPPED = (
    "answer dropped: KVM_SET_REGS on this vCPU while the read is pending makes the completion"
    " lose the device's answer; the register keeps a stale value and no read is repeated"
)
_SPARED = (
    "answer at stake: KVM_SET_REGS on this vCPU while a port read is pending. A plain `in` with"
    " VMX or SVM keeps its answer, if RIP was written back as it was; where KVM's emulator made"
    " the exit, the answer is dropped and the register keeps a stale value"
)
_REST_LOST = (
    "second half lost: the rest of this write is only in the kernel; this state, restored,"
    " never writes it"
)
_HALF = (
    "second half at stake: this write ends a read-modify-write; if the device had not served"
    " it before the save, this state, restored, never writes it: the device saw the read only"
)
_STORE = (
    "write at stake: on x86 a plain store retires before its exit, so this save is harmless if"
    " the device had served the write and loses it if not; if the write has another piece, that"
    " piece is lost; arm64 and riscv repeat the write; KVM promises none of this"
)
_STORE_AGAIN = (
    "write repeated: on this machine a store has not retired at its exit; this state, restored,"
    " makes it again, and a device that had served it sees it twice"
)
_OUT = (
    "write at stake: with VMX or SVM a plain `out` has not retired at its exit, so this state,"
    " restored, makes it again, and a device that had served it sees it twice; where KVM's"
    " emulator made the exit it has retired: harmless if the device had served it, lost if not"
)
_OUT_AGAIN = (
    "write repeated: with VMX or SVM a plain `out` has not retired at its exit; this state,"
    " restored, makes it again, and a device that had served it sees it twice"
)
_UNNAMED = (
    "the log does not show the direction. A read: repeated after a restore (a FIFO pops twice),"
    " or its answer dropped by KVM_SET_REGS on this vCPU. A write: its unserved part lost, or,"
    " where it has not retired (a plain `out` with VMX or SVM, a store on arm64), made twice"
)
_MSR_READ = "RDMSR repeated: this state, restored, asks for the MSR again"
_MSR_WRITE = "WRMSR repeated: RIP is still on it; this state, restored, writes the MSR again"
_CALL = "the call is repeated or its result lost: its registers are written on the next entry"
_VM_ONLY = (
    "VM saved while this vCPU is between exit and entry: its half instruction is in no saved"
    " state; drain every vCPU before reading the state of the VM"
)


def effect(reason: int | None, access: Access | None, names: set[str], machine: str = "") -> str:
    """What the guest will see of a save or restore made while this exit was pending.

    ``names`` are the state ioctls of the gap. Only KVM_SET_REGS drops an answer; the others
    do not touch what the completion writes.
    """
    if ABANDONED in names:
        return _REPEATED
    if all(ROLES.get(name) is Role.VM_GET for name in names):
        return _VM_ONLY
    if reason in (RDMSR, WRMSR):
        return _MSR_READ if reason == RDMSR else _MSR_WRITE
    if reason not in (IO, MMIO, None):
        return _CALL
    if access and access.direction == "read":
        return _read(reason, access, names)
    if access and access.direction == "write":
        return _write(reason, access, machine)
    return _UNNAMED


def _read(reason: int | None, access: Access, names: set[str]) -> str:
    if "KVM_SET_REGS" not in names:
        return _REPEATED
    dropped = _SPARED if reason == IO and not access.emulated else _DROPPED
    read = any(name.startswith("KVM_GET") for name in names)
    return (
        f"{dropped}. If the state read here is restored elsewhere: {_REPEATED}" if read else dropped
    )


def _write(reason: int | None, access: Access, machine: str) -> str:
    if access.more:
        return _REST_LOST
    if access.half:
        return _HALF
    if reason == IO:
        fast = machine in ("x86 (VMX)", "x86 (SVM)") and not access.emulated
        return _OUT_AGAIN if fast else _OUT
    return _STORE_AGAIN if machine in ("arm64", "riscv") else _STORE
