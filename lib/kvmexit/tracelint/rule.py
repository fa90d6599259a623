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
6.  The kernel lets one thread at a time into a vCPU. A state ioctl that overlaps KVM_RUN was
    before it or after it, and is judged by both.

Source: Documentation/virt/kvm/api.rst, the NOTE after KVM_EXIT_MMIO in section 5; the order
of rule 2 is that of ``kvm_arch_vcpu_ioctl_run`` in arch/x86/kvm/x86.c, the mutex of rule 6 that of
``kvm_vcpu_ioctl`` in virt/kvm/kvm_main.c. Which exits need completion:
:mod:`kvmexit.kernel.exit_table`.
"""

from __future__ import annotations

from enum import Enum

from kvmexit.kernel.exit_table import names, needs
from kvmexit.tracelint import doubts
from kvmexit.tracelint.doubts import Doubt
from kvmexit.tracelint.events import Event

EINTR = -4
NOT_MADE = -9
"""EBADF, and what stands for a call that the kernel never saw."""
_NEVER_RAN = (NOT_MADE, -19, -22, -25)  # EBADF, ENODEV, EINVAL, ENOTTY: KVM_RUN did not happen
_EAGAIN = -11  # a vCPU that waits for INIT: it has not run
HYPERCALL = 3


class Gap(Enum):
    """What lies between two KVM_RUNs of a vCPU."""

    FRESH = "never run"
    DONE = "complete"
    PENDING = "pending"
    HIDDEN = "not shown"


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
}


def after_run(event: Event, before: Gap, machine: str = "") -> tuple[Gap, Doubt]:
    """What lies behind the KVM_RUN that returned as ``event`` says, and why it may be hidden.

    ``before`` is the gap it came from, ``machine`` the architecture, as far as it is known.
    """
    result, reason = event.result, event.reason
    if event.name == "silent":
        return Gap.HIDDEN, doubts.SILENT
    if result is None:
        return Gap.HIDDEN, doubts.UNKNOWN
    if result == EINTR:
        return Gap.DONE, doubts.UNKNOWN
    if result < 0:
        idle = result == _EAGAIN and before in (Gap.FRESH, Gap.DONE)
        if idle or never_ran(result):
            return before, doubts.UNKNOWN
        return Gap.HIDDEN, doubts.failed(event.name or f"error {-result}", event.line)
    if reason is None:
        return Gap.HIDDEN, _unknown_exit(event.name)
    if reason not in names():
        return Gap.HIDDEN, doubts.newer(f"exit {reason}")
    needed = needs(reason, machine)
    if needed is None:
        return Gap.HIDDEN, doubts.depends(names()[reason])
    return (Gap.PENDING if needed else Gap.DONE), doubts.UNKNOWN


def never_ran(result: int | None) -> bool:
    """Whether KVM_RUN failed before it did anything."""
    return result in _NEVER_RAN


def _unknown_exit(name: str) -> Doubt:
    if not name:
        return doubts.HIDDEN
    return doubts.unnamed(int(name)) if name.isdigit() else doubts.newer(name)


def by_machine(reason: int | None, ioctl: str, machine: str) -> bool:
    """Whether touching state by ``ioctl`` at this exit means what it means on one machine only.

    On arm64 userspace itself writes the result of a hypercall, by KVM_SET_ONE_REG; elsewhere the
    kernel does at the completion.
    """
    return reason == HYPERCALL and not machine and ioctl.endswith("_ONE_REG")


def exit_name(reason: int | None) -> str:
    """``KVM_EXIT_MMIO`` for 6; a number that has no name keeps its number."""
    if reason is None:
        return "an exit the log does not name"
    return names().get(reason, f"exit reason {reason}")
