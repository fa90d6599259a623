"""Who is descriptor 17? Logs name vCPUs by thread and file descriptor.

A descriptor belongs to a process, but a log shows threads, and not always which process they
are of. A thread that made a vCPU knows it; another thread that uses the same number means
the vCPU of that number, if only one process has one, and else that of the nearest process
with a smaller id, because threads are younger than their process.

KVM_GET_MSRS is asked of vCPUs and of /dev/kvm itself, where it reads no vCPU's state. So the
descriptors of /dev/kvm are remembered too: they take ioctls that nothing else takes.
"""

from __future__ import annotations

from collections.abc import Collection

from kvmexit.tracelint.events import Vcpu


class Descriptors:
    """The vCPUs that a log's descriptors stand for, and the descriptors that are /dev/kvm."""

    def __init__(self) -> None:
        self._owners: dict[int, dict[int, Vcpu | None]] = {}  # None: /dev/kvm

    def create(self, thread: int, fd: int, vm: int | None = None) -> tuple[Vcpu, Vcpu | None]:
        """A new vCPU ``fd``, made by ``thread``; and the one that had its place, if any."""
        old = self._owners.setdefault(fd, {}).get(thread)
        label = f"fd {fd}" if not thread else f"fd {fd} of {thread}"
        vcpu = self._owners[fd][thread] = Vcpu(label, vm)
        return vcpu, old

    def find(self, thread: int, fd: int) -> Vcpu:
        """The vCPU that ``thread`` means by ``fd``: made on first use if the log began later."""
        owners = self._owners.setdefault(fd, {})
        owner = owners[_nearest(thread, owners)] if owners else None
        return owner or self.create(thread, fd)[0]

    def system(self, thread: int, fd: int) -> Vcpu | None:
        """``fd`` is /dev/kvm; the vCPU that it was, if any."""
        owners = self._owners.setdefault(fd, {})
        old, owners[thread] = owners.get(thread), None
        return old

    def is_system(self, thread: int, fd: int) -> bool:
        """Whether ``thread`` means /dev/kvm by ``fd``."""
        owners = self._owners.get(fd, {})
        return bool(owners) and owners[_nearest(thread, owners)] is None

    def drop(self, thread: int, fd: int) -> Vcpu | None:
        """Forget ``fd``: closed, or it is something else now."""
        owners = self._owners.get(fd, {})
        if thread not in owners and len(owners) == 1:
            return owners.popitem()[1]
        return owners.pop(thread, None)


def _nearest(thread: int, owners: Collection[int]) -> int:
    if thread in owners:
        return thread
    older = [owner for owner in owners if owner <= thread]
    return max(older) if older else min(owners)
