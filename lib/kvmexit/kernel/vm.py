"""What the kernels and the VMs of this package share, whoever runs the guest."""

from __future__ import annotations

from typing import Any, Self

from kvmexit.errors import KvmExitError, said
from kvmexit.exits import Assembled, Memory
from kvmexit.kernel.arguments import whole
from kvmexit.kernel.lifetime import Unique, end
from kvmexit.kernel.protocol import KvmRun, Vcpu
from kvmexit.kernel.ram import NO_BYTES, fixed


class Closing(Unique):
    """A context manager whose end is ``close``."""

    def close(self) -> None:
        """Give everything back. Closing twice is allowed."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class OpenKernel(Closing):
    """A kernel: it makes VMs until it is closed."""

    def close(self) -> None:
        """Make no more VMs. Those that were made live on. Closing twice is allowed."""
        end(self, "kernel")


class OneVcpuVm(Closing):
    """A VM with RAM from gpa 0, and one vCPU. A context manager: ``close`` gives all back."""

    vcpu: Any
    """The only vCPU."""

    def __init__(self, ram: Memory) -> None:
        self._ram = ram

    @property
    def memory(self) -> Memory:
        """Guest RAM: a :class:`kvmexit.kernel.ram.Ram`, the VM's own while it lives."""
        return self._ram

    @memory.setter
    def memory(self, other: object) -> None:
        fixed()

    @memory.deleter
    def memory(self) -> None:
        fixed()

    def load(self, address: int, code: bytes | Assembled) -> None:
        """Put machine code, or any bytes, at guest physical ``address``. Raises KvmExitError if
        they do not fit, or if they are a Program that was assembled for another address."""
        place(self._ram, address, code)

    def close(self) -> None:
        """Give everything back. Closing twice is allowed."""
        end_vcpu(self.vcpu)
        end(self, "VM")
        # Last: another thread that asks meanwhile is told that it is closed. Else the RAM lived as
        # long as whoever keeps the closed VM.
        vars(self).pop("_ram", None)

    def __repr__(self) -> str:
        vcpu = vars(self).get("vcpu")  # None, if making it has failed
        return f"<{type(self).__name__}, {len(self._ram):#x} bytes of RAM, {vcpu!r}>"


def end_vcpu(vcpu: Vcpu) -> None:
    """From now on it and its page say that their VM is closed."""
    for part in (vcpu.kvm_run, vcpu):
        end(part, "VM")


def place(ram: Memory, address: Any, code: Any) -> None:
    """Write ``code`` into ``ram`` at ``address``."""
    if not whole(address):
        raise KvmExitError(f"an address is an integer, not {said(address)}")
    if (origin := getattr(code, "origin", address)) != address:
        origin = f"{origin:#x}" if whole(origin) else said(origin)
        raise KvmExitError(
            f"this program was assembled for {origin} and cannot be loaded at {address:#x}:"
            f" assemble(..., origin={address:#x})"
        )
    try:
        data = bytes(memoryview(getattr(code, "code", code)))
    except NO_BYTES:
        raise KvmExitError(f"load takes bytes or a Program, not {said(code)}") from None
    if not 0 <= address <= address + len(data) <= len(ram):
        raise KvmExitError(
            f"{len(data)} bytes at {address:#x} do not fit into the RAM, which ends at"
            f" {len(ram):#x}"
        )
    ram[address : address + len(data)] = data


def shown(part: Vcpu | KvmRun, page: KvmRun) -> str:
    """A vCPU, or its page, in a notebook's cell: nothing is asked of the kernel for it."""
    return f"<{type(part).__name__}, last exit {page.exit()!r}>"
