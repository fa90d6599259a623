"""What a student's code holds in hands: a vCPU, a bus and memory that live elsewhere.

They look like :class:`kvmexit.kernel.protocol.Vcpu` and :class:`kvmexit.vmm.bus.Bus`. Each act
goes to the referee through ``ask(act, *arguments)``, which waits for a value, or ``post``, which
does not: what is wrong with a posted act is said at the next ``ask``, or at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvmexit.exits import Interrupted, VcpuExit

Ask = Callable[..., Any]


class RemoteRun:
    """The shared page, ``struct kvm_run``."""

    __slots__ = ("__weakref__", "_ask", "_post")

    def __init__(self, ask: Ask, post: Ask) -> None:
        self._ask, self._post = ask, post

    @property
    def immediate_exit(self) -> int:
        """Set it to 1, and KVM_RUN completes what is pending and executes nothing."""
        value: int = self._ask("get immediate_exit")
        return value

    @immediate_exit.setter
    def immediate_exit(self, value: int) -> None:
        self._post("set immediate_exit", int(value))

    @property
    def exit_reason(self) -> int:
        """The number of the last exit; stale after EINTR."""
        value: int = self._ask("exit_reason")
        return value

    def exit(self) -> VcpuExit:
        """The exit that the page describes; stale after EINTR."""
        value: VcpuExit = self._ask("exit")
        return value

    def answer(self, data: bytes) -> None:
        """Put ``data`` where the kernel will look for the answer to a read."""
        self._post("answer", bytes(data))


class RemoteVcpu:
    """One vCPU."""

    __slots__ = ("__weakref__", "_ask", "kvm_run")

    def __init__(self, ask: Ask, post: Ask) -> None:
        self._ask = ask
        self.kvm_run = RemoteRun(ask, post)

    def run(self) -> VcpuExit | Interrupted:
        """KVM_RUN: an exit, or EINTR."""
        value: VcpuExit | Interrupted = self._ask("run")
        return value

    def get_state(self) -> Any:
        """KVM_GET_REGS and its kin: a ticket for the registers as they are now."""
        return self._ask("get_state")


class RemoteDevice:
    """The device behind the bus."""

    __slots__ = ("__weakref__", "_ask", "_post")

    def __init__(self, ask: Ask, post: Ask) -> None:
        self._ask, self._post = ask, post

    def save(self) -> Any:
        """A ticket for the device's state as it is now."""
        return self._ask("save device")

    def close(self) -> None:
        """Disconnect it. From now on reads see all ones, and writes are lost."""
        self._post("close device")


class RemoteBus:
    """The bus, with one device on it."""

    __slots__ = ("__weakref__", "_post", "device")

    def __init__(self, ask: Ask, post: Ask) -> None:
        self._post = post
        self.device = RemoteDevice(ask, post)

    def serve(self, kvm_run: RemoteRun) -> None:
        """Do what the exit in the shared page asks, and put the answer there."""
        if not isinstance(kvm_run, RemoteRun):
            raise TypeError(f"bus.serve() takes vcpu.kvm_run, not a {type(kvm_run).__name__}")
        self._post("serve")


class RemoteMemory:
    """Guest memory."""

    __slots__ = ("__weakref__", "_ask", "_post")

    def __init__(self, ask: Ask, post: Ask) -> None:
        self._ask, self._post = ask, post

    def save(self) -> Any:
        """A ticket for a copy of guest memory as it is now."""
        return self._ask("save memory")


ROLES: dict[str, Callable[[Ask, Ask], Any]] = {
    "vcpu": RemoteVcpu,
    "bus": RemoteBus,
    "memory": RemoteMemory,
}
