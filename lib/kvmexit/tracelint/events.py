"""What a log says, whatever wrote it: a few kinds of events about vCPUs.

A reader (:mod:`strace`, :mod:`tracefs`, :mod:`qemu`) turns lines into these; the judge
(:mod:`judge`) knows nothing of lines. An event carries what the format shows and ``None``
for what it does not show: a plain strace has no exit reason, QEMU's log has no result.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What happened."""

    CREATED = 0  # KVM_CREATE_VCPU returned this vCPU
    ENTRY = 1  # KVM_RUN was called
    RETURN = 2  # KVM_RUN came back (an ENTRY without a RETURN before it is implied)
    GET = 3  # a state ioctl read the vCPU
    SET = 4  # a state ioctl wrote the vCPU
    VM_GET = 5  # an ioctl read state of the VM that a save needs
    CLOSED = 6  # the descriptor is gone, or names another vCPU from here on
    CUT = 7  # a comment says that lines were cut from the log on purpose
    LOST = 8  # the log lost something here: lost events, a garbled line
    ABANDONED = 9  # a read was left without completion (logs that show no ioctls)


class Vcpu:
    """One vCPU of the log. Two vCPUs that had the same descriptor are two objects."""

    __slots__ = ("label", "vm")

    def __init__(self, label: str, vm: int | None = None) -> None:
        self.label = label
        self.vm = vm

    def __repr__(self) -> str:
        return f"Vcpu({self.label})"


class Access(NamedTuple):
    """What the guest asked for, as far as the format shows it.

    ``direction`` is ``read``, ``write`` or ``""``; ``where`` a guest physical address or
    port in words (``gpa 0xd0024 len 1``); ``more`` the pieces announced and not yet seen to
    exit; ``half`` is true for the write that ends a read-modify-write.
    """

    direction: str = ""
    where: str = ""
    more: int = 0
    half: bool = False


class Event(NamedTuple):
    """One event. ``result`` is what the ioctl returned (-errno), ``None`` if not shown.

    ``name`` is the ioctl's name; of LOST, what was lost; of RETURN, set if KVM_RUN's return is
    not in the log. ``vm`` is the descriptor of the VM that a VM_GET reads.
    """

    kind: Kind
    line: int
    text: bytes
    vcpu: Vcpu | None = None
    thread: int = 0
    name: str = ""
    result: int | None = None
    reason: int | None = None
    access: Access | None = None
    vm: int | None = None
