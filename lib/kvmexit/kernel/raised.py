"""An exception that waits to be delivered, and what becomes of it when there is another."""

from __future__ import annotations

from typing import NamedTuple

from kvmexit.guest.cpu import DEBUG, DOUBLE_FAULT

_CONTRIBUTORY = (0, 10, 11, 12, 13)
"""#DE, #TS, #NP, #SS, #GP: the second of two makes a double fault, and one behind a page fault
(Intel SDM volume 3, 6.15)."""
_PAGE_FAULT = 14
"""None of this guest's: it has no pages. Userspace can set one."""
_BREAKPOINT, _OVERFLOW, _MACHINE_CHECK = 3, 4, 18
SOFT = (_BREAKPOINT, _OVERFLOW)
"""Those of ``int3`` and ``into``: KVM_GET_VCPU_EVENTS hides them, for they are raised again."""
_NO_RF = (DEBUG, *SOFT, DOUBLE_FAULT, _MACHINE_CHECK)
"""Traps and aborts: whoever returns from them does not begin the instruction again."""


class Raised(NamedTuple):
    """``vector`` and ``error_code`` of an exception; ``injected`` if its delivery had begun."""

    vector: int
    error_code: int | None = None
    injected: bool = False

    @property
    def sets_rf(self) -> bool:
        """Does its delivery set RF? Source: ``kvm_check_and_inject_events``, arch/x86/kvm/x86.c."""
        return not self.injected and self.vector not in _NO_RF


def with_another(first: Raised | None, second: Raised) -> Raised:
    """What is left of two, if ``first`` still waits: a double fault, or the second. On a double
    fault there is a triple fault, which is no exception: ``first`` stays.
    Source: ``kvm_multiple_exception``, arch/x86/kvm/x86.c."""
    if first is None:
        return second
    if first.vector == DOUBLE_FAULT:
        return first
    if first.vector in (*_CONTRIBUTORY, _PAGE_FAULT) and second.vector in _CONTRIBUTORY:
        return Raised(DOUBLE_FAULT, 0)
    return second
