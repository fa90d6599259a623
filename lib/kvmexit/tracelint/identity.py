"""Who is descriptor 17? Logs name vCPUs by thread and file descriptor.

A descriptor belongs to a process, but a log shows threads. Which process a thread is of is shown
by some lines (``clone`` with CLONE_THREAD, ``tgkill``, perf's ``pid/tid``, tracefs' column of
process ids) and by most not. So a thread that made a vCPU, or ran one, is known to mean that; what
another thread means by the same number is one of several, and the judge asks for all of them.

KVM_GET_MSRS is asked of vCPUs and of /dev/kvm itself, where it reads no vCPU's state. So the
descriptors of /dev/kvm are remembered too: they take ioctls that nothing else takes.
"""

from __future__ import annotations


class Threads:
    """Which threads are of one process, as far as the log has said."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}
        self._children: dict[int, int] = {}  # how many have it as their parent
        self._process: dict[int, int] = {}  # a root: the process id, where a line gave it

    def _root(self, thread: int) -> int:
        while (up := self._parent.get(thread, thread)) != thread:
            thread = up
        return thread

    def join(self, one: int, other: int) -> None:
        """Both are threads of one process."""
        a, b = self._root(one), self._root(other)
        if a != b:
            self._parent[b] = a
            self._children[a] = self._children.get(a, 0) + 1
            if b in self._process:
                self._process.setdefault(a, self._process[b])

    def tell(self, thread: int, process: int) -> None:
        """``thread`` is of the process ``process``, whose first thread has the same number."""
        self.join(process, thread)
        self._process[self._root(thread)] = process

    def leads(self, thread: int) -> bool:
        """Whether ``thread`` is known to be the first of its process, which ends with it."""
        return self._process.get(self._root(thread)) == thread

    def leave(self, thread: int) -> None:
        """``thread`` has ended: its number may come again, as another's."""
        if self._children.get(thread):
            return
        up = self._parent.pop(thread, None)
        if up is None:
            self._process.pop(thread, None)
        else:
            self._children[up] -= 1
        self._children.pop(thread, None)

    def relation(self, one: int, other: int) -> bool | None:
        """Whether they are of one process; ``None`` if the log does not say."""
        if one == other:
            return True
        if not self._parent and not self._process:
            return None
        a, b = self._root(one), self._root(other)
        if a == b:
            return True
        if a in self._process and b in self._process:
            return self._process[a] == self._process[b]
        return None


class Vcpu:
    """One vCPU of the log. Two vCPUs that had the same descriptor are two objects.

    ``maker`` is the thread that made it, ``runner`` the last one that ran it.
    """

    __slots__ = ("group", "label", "maker", "runner", "vm")

    def __init__(self, label: str, group: Group, vm: int | None = None) -> None:
        self.label, self.group, self.vm = label, group, vm
        self.maker: int | None = None
        self.runner: int | None = None

    def __repr__(self) -> str:
        return f"Vcpu({self.label})"


class Group:
    """The vCPUs that one number may mean.

    ``apart``: they are known to be different ones; otherwise two of them may be one, run by two
    threads. ``latest`` is the one whose KVM_RUN returned last.
    """

    __slots__ = ("apart", "latest", "members", "threads")

    def __init__(self, threads: Threads) -> None:
        self.threads = threads
        self.members: list[Vcpu] = []
        self.apart = False
        self.latest: Vcpu | None = None

    def mine(self, thread: int) -> Vcpu | None:
        """The one that ``thread`` has made or run, or one of its process has."""
        for related in (False, True):
            for vcpu in self.members:
                for owner in (vcpu.runner, vcpu.maker):
                    if owner is not None and (
                        self.threads.relation(thread, owner) if related else owner == thread
                    ):
                        return vcpu
        return None

    def may_mean(self, thread: int) -> list[Vcpu]:
        """Every vCPU that ``thread`` may mean by this number."""
        mine = self.mine(thread)
        others = [v for v in self.members if v is not mine and not self._unrelated(thread, v)]
        if mine is None:
            return others
        if mine.runner is None:  # made, and run by a thread of which nothing is known
            return [mine, *(v for v in others if v.maker is None)]
        if self.threads.relation(thread, mine.runner) is None:  # that it ran this one is a guess
            return [mine, *others]
        return [mine, *(v for v in others if v is self.latest and not self.apart)]

    def _unrelated(self, thread: int, vcpu: Vcpu) -> bool:
        owner = vcpu.runner if vcpu.runner is not None else vcpu.maker
        return owner is not None and self.threads.relation(thread, owner) is False

    def strangers(self, thread: int, vcpu: Vcpu) -> bool:
        """Whether nothing in the log connects ``thread`` with ``vcpu`` but the number."""
        owners = [o for o in (vcpu.runner, vcpu.maker) if o is not None]
        return bool(owners) and all(self.threads.relation(thread, o) is None for o in owners)


class Descriptors:
    """The vCPUs that a log's descriptors stand for, and the descriptors that are /dev/kvm.

    ``fixed``: a vCPU is never run by two threads (QEMU), so that two runners are two vCPUs.
    """

    def __init__(self, noun: str = "fd", fixed: bool = False) -> None:
        self.threads = Threads()
        self._noun, self._fixed = noun, fixed
        self._groups: dict[int, Group] = {}
        self._system: dict[int, set[int]] = {}

    def create(self, thread: int, fd: int, vm: int | None = None) -> tuple[Vcpu, Vcpu | None]:
        """A new vCPU ``fd``, made by ``thread``; and the one that had its place, if any."""
        self._system.pop(fd, None)
        old = self._take(thread, fd)
        vcpu = self._new(thread, fd, vm)
        vcpu.maker = thread
        group = vcpu.group
        group.apart = group.apart or any(v.maker is not None for v in group.members if v != vcpu)
        return vcpu, old

    def run(self, thread: int, fd: int) -> Vcpu:
        """The vCPU that ``thread`` runs by ``fd``, which is /dev/kvm no more, if it was."""
        if fd in self._system:
            self._system[fd].discard(thread)
        group = self._groups.get(fd)
        vcpu = group.mine(thread) if group else None
        if group and vcpu is None:
            idle = [v for v in group.members if v.runner is None]
            if len(idle) == 1 and group.threads.relation(thread, idle[0].maker or 0) is not False:
                vcpu = idle[0]
        if vcpu and self._of_another(thread, vcpu):
            vcpu.maker, vcpu = (
                None,
                None,
            )  # that the other thread's is the one made here was a guess
        if vcpu is None:
            vcpu = self._new(thread, fd)
            vcpu.group.apart = vcpu.group.apart or self._fixed
        vcpu.runner = thread
        return vcpu

    def _of_another(self, thread: int, vcpu: Vcpu) -> bool:
        """Whether it was run by a thread that is not known to be of the process of ``thread``."""
        runner = vcpu.runner
        return runner is not None and self.threads.relation(thread, runner) is not True

    def find(self, thread: int, fd: int) -> Vcpu:
        """A vCPU that ``thread`` may mean by ``fd``: made on first use if the log began later."""
        group = self._groups.get(fd)
        if not group or not group.members:
            return self._new(thread, fd)
        may = group.may_mean(thread)
        return may[0] if may else self._new(thread, fd)

    def is_vcpu(self, fd: int) -> bool:
        """Whether ``fd`` has been seen to be a vCPU."""
        group = self._groups.get(fd)
        return group is not None and bool(group.members)

    def system(self, thread: int, fd: int) -> Vcpu | None:
        """``fd`` is /dev/kvm or a VM; the vCPU that it was, if any."""
        self._system.setdefault(fd, set()).add(thread)
        return self._take(thread, fd)

    def is_system(self, thread: int, fd: int) -> bool:
        """Whether ``thread`` means /dev/kvm or a VM by ``fd``."""
        seen = self._system.get(fd)
        if not seen or thread in seen:
            return bool(seen)
        return not self.is_vcpu(fd)

    def drop(self, thread: int, fd: int) -> Vcpu | None:
        """``fd`` was closed: forget what it was."""
        if fd in self._system:
            self._system[fd].discard(thread)
        group = self._groups.get(fd)
        if group and len(group.members) == 1 and group.may_mean(thread):
            only = group.members[0]  # a stranger's number may mean what another process has
            return None if group.strangers(thread, only) else self._remove(group, only)
        return self._take(thread, fd)

    def exited(self, thread: int) -> list[Vcpu]:
        """``thread`` has ended; the vCPUs that went with it, if its process has too."""
        groups = self._groups.values()
        owned = [v for group in groups for v in group.members if thread in (v.runner, v.maker)]
        if self.threads.leads(thread):
            owned = [
                self._remove(group, vcpu)
                for group in groups
                for vcpu in list(group.members)
                if self._of(thread, vcpu)
            ]
            self.threads.leave(thread)
            return owned
        if not owned:
            self.threads.leave(thread)
        return []

    def _of(self, process: int, vcpu: Vcpu) -> bool:
        """Whether ``vcpu`` is known to be one of this process."""
        owners = [o for o in (vcpu.runner, vcpu.maker) if o is not None]
        return any(self.threads.relation(process, owner) for owner in owners)

    def _new(self, thread: int, fd: int, vm: int | None = None) -> Vcpu:
        group = self._groups.get(fd)
        if group is None:
            group = self._groups[fd] = Group(self.threads)
        label = f"{self._noun} {fd}" + (f" of {thread}" if thread else "")
        vcpu = Vcpu(label, group, vm)
        group.members.append(vcpu)
        return vcpu

    def _take(self, thread: int, fd: int) -> Vcpu | None:
        """The vCPU of ``thread``, or the only one there is, is no more."""
        group = self._groups.get(fd)
        if not group or not group.members:
            return None
        vcpu = group.mine(thread)
        if vcpu is None and len(group.members) == 1 and group.members[0].maker is None:
            only = group.members[0]
            vcpu = None if group.strangers(thread, only) else only
        return self._remove(group, vcpu) if vcpu else None

    def _remove(self, group: Group, vcpu: Vcpu) -> Vcpu:
        group.members.remove(vcpu)
        if group.latest is vcpu:
            group.latest = None
        return vcpu
