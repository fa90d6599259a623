"""What a kernel can be asked: the shared page, a vCPU, a VM, and where VMs come from.

A *kernel* is anything that makes virtual machines speaking the vocabulary of
:mod:`kvmexit.exits`: the simulated one, the real ``/dev/kvm``, or a recording of the real one. The
VMM, the experiments and the exercises know nothing else of a kernel.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from kvmexit.exits import Assembled, Interrupted, Memory, Step, VcpuExit, VcpuState


class KvmRun(Protocol):
    """``struct kvm_run``: the page that the kernel and userspace share.

    Nothing in it is cleared for the reader's comfort. ``exit_reason`` and ``exit()`` repeat
    the last exit until the next one, even after EINTR; a read exit leaves old bytes in
    ``data``, and a VMM that does not answer hands those to the guest.
    """

    immediate_exit: int

    @property
    def exit_reason(self) -> int:
        """The number of the last exit. Stale after EINTR."""

    def exit(self) -> VcpuExit:
        """The exit that the page describes now. Stale after EINTR."""

    def answer(self, data: bytes) -> None:
        """Put ``data`` where the kernel will look for the answer to the current read exit."""

    def refuse(self) -> None:
        """Set ``msr.error``: the access to an MSR fails, and its completion raises #GP in the
        guest. Raises KvmExitError if the current exit is no Rdmsr or Wrmsr."""


class Vcpu(Protocol):
    """One virtual CPU: the shared page, and five things it can be asked."""

    @property
    def kvm_run(self) -> KvmRun:
        """The shared page of this vCPU."""

    def run(self) -> VcpuExit | Interrupted:
        """KVM_RUN: complete what is pending, then execute until the next exit or EINTR."""

    def walk(self) -> Generator[Step, None, VcpuExit | Interrupted]:
        """KVM_RUN, watched: yields what it shows of its inside, returns what ``run`` would.

        The simulated kernel can show each guest instruction and each completion; the real
        one shows nothing, and so yields nothing.
        """

    def get_state(self) -> VcpuState:
        """What KVM_GET_REGS and its kin return. Of what is pending nothing is in it; of what a
        completion has raised, everything."""

    def set_state(self, state: VcpuState) -> None:
        """KVM_SET_REGS and its kin. What is pending stays pending, and loses its answer."""

    def kick(self) -> None:
        """Ask it to leave the guest: set ``immediate_exit``, then signal, so no kick is lost."""


class Vm(Protocol):
    """One virtual machine: memory from guest physical address 0, one vCPU, and an end."""

    @property
    def memory(self) -> Memory:
        """Guest RAM. It stays the VM's own, of this size, until the VM is closed."""

    @property
    def vcpu(self) -> Vcpu:
        """The only vCPU."""

    def load(self, address: int, code: bytes | Assembled) -> None:
        """Put machine code, or any bytes, at guest physical ``address``."""

    def close(self) -> None:
        """Give everything back. Closing twice is allowed."""


class Kernel(Protocol):
    """Where virtual machines come from."""

    @property
    def name(self) -> str:
        """``simulated``, ``real`` or ``recorded``."""

    def create_vm(self, memory_size: int) -> Vm:
        """A new VM: 32-bit protected mode, flat segments, ``memory_size`` zeroed bytes of RAM.

        Everything above the RAM is MMIO. MSRs that the kernel does not know, or an access that it
        refuses, go to userspace. The guest has no handler: an exception is a Shutdown.
        The vCPU starts with all registers 0 and ``rflags`` 2.
        """
