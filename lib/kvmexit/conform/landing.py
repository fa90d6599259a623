"""Where did the pause land? The page that KVM and the VMM share says it afterwards.

A KVM_RUN that is entered with ``immediate_exit`` set completes what is pending and fails with
EINTR, and leaves ``exit_reason`` as it was; one that a signal ends writes KVM_EXIT_INTR there. So
in a VMM that stands, the page still describes an access exactly if that access was pending when
the pause came, whether the VMM has completed it since or not. It is what a VMM that saves at once
would have saved in its place. The page is read through ``/proc/PID/mem``; nothing is stopped.

A VMM that makes its vCPU leave by a signal alone, without ``immediate_exit``, hides this.

Source: ``kvm_arch_vcpu_ioctl_run`` in arch/x86/kvm/x86.c; ``struct kvm_run`` in linux/kvm.h.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from struct import unpack_from
from typing import NamedTuple

from kvmexit.errors import KvmExitError
from kvmexit.exits import Reason
from kvmexit.kernel import abi


class Access(NamedTuple):
    """What an exit asks for. ``where`` is a port, or with ``memory`` a guest physical address."""

    read: bool
    where: int
    memory: bool = False


def pending_at_pause(processes: Iterable[int]) -> Access | None:
    """The access that was pending when the one of ``processes`` which has a vCPU paused it,
    or None. KvmExitError if none has a vCPU, or its memory may not be read."""
    try:
        for process in processes:
            if page := _vcpu_page(process):
                with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
                    memory.seek(page)
                    return described(memory.read(abi.EXIT + 24))
    except OSError as error:
        raise KvmExitError(
            f"the page of the VMM's vCPU cannot be read ({os.strerror(error.errno or 0)}): be the"
            " VMM's user, and let it be dumpable"
        ) from None
    raise KvmExitError("none of the VMM's processes has mapped a vCPU: it does not use KVM here")


def described(page: bytes) -> Access | None:
    """The access that ``page`` (the start of ``struct kvm_run``) describes."""
    (reason,) = unpack_from("<I", page, abi.EXIT_REASON)
    if reason == Reason.IO:
        direction, _, port = unpack_from("<BBH", page, abi.EXIT)
        return Access(direction == abi.KVM_EXIT_IO_IN, port)
    if reason == Reason.MMIO:
        address, _, _, is_write = unpack_from("<Q8sIB", page, abi.EXIT)
        return Access(not is_write, address, memory=True)
    return None


def _vcpu_page(process: int) -> int | None:
    """The address at which ``process`` has mapped its first vCPU's page."""
    for row in Path(f"/proc/{process}/maps").read_text().splitlines():
        if "anon_inode:kvm-vcpu" in row:
            return int(row.split("-")[0], 16)
    return None
