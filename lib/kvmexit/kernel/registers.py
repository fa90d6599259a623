"""What a register can hold: a state as both kernels take it, before KVM_SET_REGS."""

from __future__ import annotations

from dataclasses import replace
from operator import index
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import GPR_NAMES, VcpuState

_LOW = 0xFFFFFFFF
_VECTOR = 1 << 128


def fitted(state: VcpuState) -> VcpuState:
    """``state`` with general registers, rip and rflags cut to 32 bits.

    They are cut as a 32-bit register cuts what is stored into it, so -1 reads back as
    0xffffffff. Raises KvmExitError for what is no state: too few or too many registers,
    something that is no integer, an xmm register outside 0..2**128-1.
    """
    if not isinstance(state, VcpuState):
        raise KvmExitError(f"set_state takes a VcpuState, not {state!r}: see get_state")
    gpr = _whole(state.gpr, "gpr", f"eight integers: {', '.join(GPR_NAMES)}")
    rip, rflags = _whole((state.rip, state.rflags), "rip, rflags", "two integers", 2)
    xmm = _whole(state.xmm, "xmm", "eight integers of 128 bits")
    for number, value in enumerate(xmm):
        if not 0 <= value < _VECTOR:
            raise KvmExitError(f"xmm{number} cannot hold {value:#x}: give 0 to 2**128-1")
    cut = tuple(value & _LOW for value in gpr)
    return replace(state, gpr=cut, rip=rip & _LOW, rflags=rflags & _LOW, xmm=xmm)


def _whole(values: Any, name: str, wanted: str, count: int = 8) -> tuple[int, ...]:
    try:
        numbers = tuple(map(index, values))
    except TypeError:
        numbers = ()
    if len(numbers) != count:
        raise KvmExitError(f"a state whose {name} is {values!r}: give {wanted}")
    return numbers
