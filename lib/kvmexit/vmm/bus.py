"""The bus: carries an exit to the device it is meant for, and the answer back."""

from __future__ import annotations

from collections.abc import Container

from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    Debug,
    Hlt,
    InternalError,
    MmioRead,
    MmioWrite,
    PioIn,
    PioOut,
    Rdmsr,
    Shutdown,
    VcpuExit,
    Wrmsr,
    answer_size,
)
from kvmexit.guest.tis_registers import TIS_BASE, TIS_SIZE
from kvmexit.kernel.protocol import KvmRun
from kvmexit.vmm.devices import Device, Tis


def unhandled(exit: VcpuExit) -> KvmExitError:
    """The error of an exit that asks for no data, where only data is served.

    Most drains in the world pass such an exit over; what it says is said once.
    """
    match exit:
        case Debug(_, pc, _):
            why = f"the vCPU is being debugged and stands at {pc:#x}: tell the debugger, or end it"
            why += " with KVM_SET_GUEST_DEBUG"
        case InternalError():
            why = "the kernel cannot go on with this guest: save nothing, say where it stands"
        case Hlt() | Shutdown():
            why = "the guest has ended: there is no device to ask"
        case _:
            why = "nothing here knows it: look its number up in linux/kvm.h"
    return KvmExitError(f"KVM_RUN returned {exit!r}, and nobody has handled it; {why}")


class Bus:
    """Carries exits to one device at ``base``. ``log`` keeps what was served, in order.

    Nothing else answers: reads elsewhere see all ones, as on an empty bus, and so do MSRs, unless
    ``refused`` has them: the guest gets #GP for those.
    """

    def __init__(
        self,
        device: Device,
        base: int = TIS_BASE,
        size: int = TIS_SIZE,
        refused: Container[int] = (),
    ) -> None:
        self.device = device
        self.base, self.size = base, size
        self.refused = refused
        self.log: list[tuple[VcpuExit, bytes]] = []

    def serve(self, kvm_run: KvmRun) -> None:
        """Do what the exit in the shared page asks, and put the answer there.

        Raises KvmExitError if it asks for no data: a debugger's, or the end of the guest.
        """
        exit = kvm_run.exit()
        if isinstance(exit, MmioRead):
            data = self.read(exit.gpa, exit.size)
            kvm_run.answer(data)
            self.log.append((exit, data))
        elif isinstance(exit, MmioWrite):
            if self.base <= exit.gpa < self.base + self.size:
                self.device.write(exit.gpa - self.base, exit.data)
            self.log.append((exit, exit.data))
        elif isinstance(exit, Rdmsr | Wrmsr) and exit.index in self.refused:
            kvm_run.refuse()
            self.log.append((exit, b""))
        elif isinstance(exit, PioIn | Rdmsr):
            data = b"\xff" * answer_size(exit)
            kvm_run.answer(data)
            self.log.append((exit, data))
        elif isinstance(exit, PioOut | Wrmsr):
            self.log.append((exit, b""))
        else:
            raise unhandled(exit)

    def read(self, gpa: int, size: int) -> bytes:
        """What the device at ``gpa`` answers."""
        if self.base <= gpa < self.base + self.size:
            return self.device.read(gpa - self.base, size)
        return b"\xff" * size

    def is_data_read(self, exit: VcpuExit) -> bool:
        """Does ``exit`` ask for a byte of the response?"""
        return (
            isinstance(exit, MmioRead)
            and self.base <= exit.gpa < self.base + self.size
            and isinstance(self.device, Tis)
            and self.device.is_data(exit.gpa - self.base)
        )
