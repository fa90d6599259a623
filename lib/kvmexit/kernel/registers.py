"""What a register can hold: a state as both kernels take it, before KVM_SET_REGS."""

from __future__ import annotations

from dataclasses import replace
from operator import index
from typing import Any

from kvmexit.errors import KvmExitError, said
from kvmexit.exits import GPR_NAMES, Events, VcpuState
from kvmexit.kernel.arguments import whole

_LOW = 0xFFFFFFFF
_VECTOR = 1 << 128
_VECTORS = frozenset(range(32)) - {2}
"""Of exceptions. Source: ``kvm_vcpu_ioctl_x86_set_vcpu_events``, arch/x86/kvm/x86.c."""


def fitted(state: VcpuState) -> VcpuState:
    """``state`` with general registers, rip and rflags cut to 32 bits.

    They are cut as a 32-bit register cuts what is stored into it, so -1 reads back as
    0xffffffff. Raises KvmExitError for what is no state: too few or too many registers,
    something that is no integer, an xmm register outside 0..2**128-1, impossible events.
    """
    if not isinstance(state, VcpuState):
        raise KvmExitError(f"set_state takes a VcpuState, not {said(state)}: see get_state")
    gpr = _whole(state.gpr, "gpr", f"eight integers: {', '.join(GPR_NAMES)}")
    rip, rflags = _whole((state.rip, state.rflags), "rip, rflags", "two integers", 2)
    xmm = _whole(state.xmm, "xmm", "eight integers of 128 bits")
    for number, value in enumerate(xmm):
        if not 0 <= value < _VECTOR:
            raise KvmExitError(f"xmm{number} cannot hold {value:#x}: give 0 to 2**128-1")
    cut = tuple(value & _LOW for value in gpr)
    if state.events is not None:
        _possible(state.events)
    return replace(state, gpr=cut, rip=rip & _LOW, rflags=rflags & _LOW, xmm=xmm)


def _possible(events: Any) -> None:
    """Raises KvmExitError for events that KVM_SET_VCPU_EVENTS refuses or cannot hold."""
    if not isinstance(events, Events):
        raise KvmExitError(f"events of {said(events)}: give an Events, or None for none saved")
    vector, code, shadow = events.exception, events.error_code, events.shadow
    if vector is not None and (not whole(vector) or vector not in _VECTORS):
        raise KvmExitError(
            f"no exception has the vector {said(vector)}: give 0 to 31, but not 2 (NMI)"
        )
    if code is not None and (not whole(code) or not 0 <= code <= _LOW):
        raise KvmExitError(f"an error code has 32 bits, not {said(code)}")
    if vector is None and code:
        raise KvmExitError(f"error code {code:#x} goes with no exception: give one")
    if not isinstance(events.injected, int) or events.injected not in (0, 1):
        raise KvmExitError(f"injected is True or False, not {said(events.injected)}")
    if not whole(shadow) or not 0 <= shadow <= 3:
        raise KvmExitError(f"a shadow is 0, 1 (mov ss) or 2 (sti), not {said(shadow)}")


def _whole(values: Any, name: str, wanted: str, count: int = 8) -> tuple[int, ...]:
    try:
        numbers = tuple(index(value) for _, value in zip(range(count + 1), values))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count:
        raise KvmExitError(f"a state whose {name} is {said(values)}: give {wanted}")
    return numbers
