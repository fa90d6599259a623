"""What a log says, whatever wrote it: a few kinds of events about vCPUs.

A reader (:mod:`strace`, :mod:`tracefs`, :mod:`qemu`) turns lines into these; the judge
(:mod:`judge`) knows nothing of lines. An event carries what the format shows and ``None``
for what it does not show: a plain strace has no exit reason, QEMU's log has no result.

A call has a beginning and an end, and what lies between them is not ordered. Where a log shows
both, there is an event for each: ENTRY and RETURN, BEGUN and GET or SET. Where the two are one
line, nothing of the log lies between, and the event at the end stands for both.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from kvmexit.tracelint.doubts import Doubt
    from kvmexit.tracelint.identity import Vcpu


class Kind(IntEnum):
    """What happened."""

    CREATED = 0  # KVM_CREATE_VCPU returned this vCPU
    ENTRY = 1  # KVM_RUN was called
    RETURN = 2  # KVM_RUN came back (an ENTRY without a RETURN before it is implied)
    BEGUN = 3  # a state ioctl was called (its GET or SET follows)
    GET = 4  # a state ioctl read the vCPU
    SET = 5  # a state ioctl wrote the vCPU
    VM_GET = 6  # an ioctl read state of the VM that a save needs
    CLOSED = 7  # the descriptor is gone, or names another vCPU from here on
    CUT = 8  # a comment says that lines were cut from the log on purpose
    LOST = 9  # the log lost something here: lost events, a garbled line
    ABANDONED = 10  # a read was left without completion (logs that show no ioctls)
    DISORDER = 11  # the order of the lines is not the order of time


class Access(NamedTuple):
    """What the guest asked for, as far as the format shows it.

    ``direction`` is ``read``, ``write`` or ``""``; ``where`` a guest physical address or
    port in words (``gpa 0xd0024 len 1``); ``more`` the pieces announced and not yet seen to
    exit; ``half`` is true for the write that ends a read-modify-write. ``needs`` names the event
    class whose absence this was told from; if the log has none of it at all, it proves nothing.
    ``emulated``: KVM's emulator made the exit, not the fast path of VMX and SVM.
    """

    direction: str = ""
    where: str = ""
    more: int = 0
    half: bool = False
    needs: str = ""
    emulated: bool = False


class Event(NamedTuple):
    """One event. ``result`` is what the ioctl returned (-errno), ``None`` if not shown.

    ``name`` is the ioctl's name; of RETURN, what came back where it is no exit of the table: the
    errno's name, an exit's unknown name, or ``silent`` if it is not in the log by nature of its
    format. ``vm`` is the descriptor of the VM that a VM_GET reads. ``doubt`` says what was lost.
    ``needs`` is that of :class:`Access`, for what was told from the absence of an event.
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
    doubt: Doubt | None = None
    needs: str = ""
