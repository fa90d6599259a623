"""What is saved of a real vCPU, as the kernel's structs have it, and as this library says it."""

from __future__ import annotations

from fcntl import ioctl
from typing import NamedTuple

from kvmexit.errors import KvmExitError
from kvmexit.exits import Events
from kvmexit.kernel import abi


class Rest(NamedTuple):
    """The kernel's own part of a saved state: the structs as they came, byte for byte."""

    sregs: bytes
    xsave: bytes
    mp_state: bytes
    events: bytes


def structs_of(rest: Rest) -> tuple[abi.Sregs, abi.Xsave, abi.VcpuEvents, abi.MpState]:
    """The structs again. Raises KvmExitError if that is nothing that was read from a vCPU."""
    try:
        return (
            abi.Sregs.from_buffer_copy(rest.sregs),
            abi.Xsave.from_buffer_copy(rest.xsave),
            abi.VcpuEvents.from_buffer_copy(rest.events),
            abi.MpState.from_buffer_copy(rest.mp_state),
        )
    except (TypeError, ValueError):
        raise KvmExitError(
            "the rest of this state is not the kernel's: leave it as get_state gave it, or None"
        ) from None


def protected_mode(vcpu: int) -> abi.Sregs:
    """Segments and control registers of a flat 32-bit guest, from those of a reset vCPU."""
    sregs = abi.Sregs()
    ioctl(vcpu, abi.KVM_GET_SREGS, sregs, True)
    flat = {"base": 0, "limit": 0xFFFFFFFF, "present": 1, "db": 1, "s": 1, "g": 1}
    sregs.cs = abi.Segment(selector=8, type=11, **flat)  # code, readable, accessed
    for name in ("ds", "es", "fs", "gs", "ss"):
        setattr(sregs, name, abi.Segment(selector=16, type=3, **flat))  # data, writable
    sregs.cr0 = 0x31  # PE, ET, NE; PG stays off: virtual = physical
    sregs.cr4 = 0x200  # OSFXSR: without it every SSE instruction is undefined
    # No table, no handler: any exception is a triple fault, and no selector has a descriptor,
    # whatever lies in RAM. A reset LDT is the first 64 KiB of it.
    sregs.gdt = sregs.idt = abi.Dtable(base=0, limit=0)
    sregs.ldt = abi.Segment(unusable=1)
    return sregs


def clean_xsave() -> abi.Xsave:
    """The x87 and SSE state after FNINIT, with MXCSR's reset value and zero registers."""
    return abi.Xsave(fcw=0x37F, mxcsr=0x1F80, xstate_bv=3)


def one_form(xsave: abi.Xsave) -> None:
    """Give the area one form: as it comes, equal x87 and SSE registers have several.

    A clear bit in XSTATE_BV says that a component is in its initial state; the kernel shows
    that state in its area all the same, and the processor may say "in use" of it too. Whether
    MXCSR_MASK is there depends on whether a context switch has saved the registers since they
    were loaded; it tells of the processor, and XRSTOR does not look at it. Source: Intel SDM
    volume 1, 10.5.1.2, 13.6 (XINUSE) and 13.8.1; ``__copy_xstate_to_uabi_buf``,
    arch/x86/kernel/fpu/xstate.c.
    """
    xsave.xstate_bv |= 3
    xsave.mxcsr_mask = 0


def events_of(events: abi.VcpuEvents) -> Events:
    """What the struct says, in words of our own."""
    if not (events.exception_pending or events.exception_injected):
        return Events(shadow=events.interrupt_shadow)
    return Events(
        events.exception_nr,
        events.error_code if events.exception_has_error_code else None,
        bool(events.exception_injected),
        events.interrupt_shadow,
    )


def with_events(struct: abi.VcpuEvents, events: Events) -> abi.VcpuEvents:
    """``struct`` with the exception and the shadow of ``events`` in it."""
    there = events.exception is not None
    struct.exception_nr = events.exception or 0
    struct.exception_injected = there and events.injected
    struct.exception_pending = there and not events.injected
    struct.exception_has_error_code = events.error_code is not None
    struct.error_code = events.error_code or 0
    struct.interrupt_shadow = events.shadow
    struct.flags |= abi.KVM_VCPUEVENT_VALID_SHADOW
    return struct
