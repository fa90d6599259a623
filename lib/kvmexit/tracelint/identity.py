"""Who is descriptor 17? Logs name vCPUs by thread and file descriptor.

A descriptor belongs to a process, but a log shows threads, and not always which process they
are of. A thread that made a vCPU knows it; another thread that uses the same number means
the vCPU of that number, if only one process has one, and else that of the nearest process
with a smaller id, because threads are younger than their process.
"""

from __future__ import annotations

from kvmexit.tracelint.events import Vcpu


class Descriptors:
    """The vCPUs and VMs that a log's descriptors stand for."""

    def __init__(self) -> None:
        self._vcpus: dict[int, dict[int, Vcpu]] = {}
        self._made = 0

    def create(self, thread: int, fd: int, vm: int | None = None) -> tuple[Vcpu, Vcpu | None]:
        """A new vCPU ``fd``, made by ``thread``; and the one that had its place, if any."""
        old = self._vcpus.setdefault(fd, {}).get(thread)
        self._made += 1
        label = f"fd {fd}" if not thread else f"fd {fd} of {thread}"
        vcpu = self._vcpus[fd][thread] = Vcpu(label, vm)
        return vcpu, old

    def find(self, thread: int, fd: int) -> Vcpu:
        """The vCPU that ``thread`` means by ``fd``: made on first use if the log began later."""
        owners = self._vcpus.setdefault(fd, {})
        if thread in owners:
            return owners[thread]
        if not owners:
            return self.create(thread, fd)[0]
        if len(owners) == 1:
            return next(iter(owners.values()))
        older = [owner for owner in owners if owner <= thread]
        return owners[max(older) if older else min(owners)]

    def drop(self, thread: int, fd: int) -> Vcpu | None:
        """Forget ``fd``: closed, or it is something else now."""
        owners = self._vcpus.get(fd, {})
        if thread not in owners and len(owners) == 1:
            return owners.popitem()[1]
        return owners.pop(thread, None)
