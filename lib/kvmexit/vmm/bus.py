"""The bus: carries an exit to the device it is meant for, and the answer back."""

from __future__ import annotations

from kvmexit.exits import (
    KvmRun,
    MmioRead,
    MmioWrite,
    PioIn,
    PioOut,
    Rdmsr,
    VcpuExit,
    Wrmsr,
    answer_size,
)
from kvmexit.guest.tis_registers import TIS_BASE, TIS_SIZE
from kvmexit.vmm.devices import Device, Tis


class Bus:
    """Carries exits to one device at ``base``. ``log`` keeps what was served, in order.

    Nothing else answers: reads elsewhere see all ones, as on an empty bus.
    """

    def __init__(self, device: Device, base: int = TIS_BASE, size: int = TIS_SIZE) -> None:
        self.device = device
        self.base, self.size = base, size
        self.log: list[tuple[VcpuExit, bytes]] = []

    def serve(self, kvm_run: KvmRun) -> None:
        """Do what the exit in the shared page asks, and put the answer there."""
        exit = kvm_run.exit()
        if isinstance(exit, MmioRead):
            data = self.read(exit.gpa, exit.size)
            kvm_run.answer(data)
            self.log.append((exit, data))
        elif isinstance(exit, MmioWrite):
            if self.base <= exit.gpa < self.base + self.size:
                self.device.write(exit.gpa - self.base, exit.data)
            self.log.append((exit, exit.data))
        elif isinstance(exit, PioIn | Rdmsr):
            data = b"\xff" * answer_size(exit)
            kvm_run.answer(data)
            self.log.append((exit, data))
        elif isinstance(exit, PioOut | Wrmsr):
            self.log.append((exit, b""))

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
