"""The packet of the report, read by a guest in each machine's own code, saved at every byte.

The guest reads ten bytes from one address, takes from the sixth how long the packet is, and reads
the rest from the same address. It is no TPM driver: nothing is asked but the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvmexit.elsewhere.guests.isa import BUFFER, Isa
from kvmexit.exits import EINTR, MmioRead
from kvmexit.kernel.protocol import Kernel, Vm
from kvmexit.packet.experiment import response_of
from kvmexit.packet.outcome import Ending, Outcome, classify
from kvmexit.probe.cases import RAM, Case
from kvmexit.probe.verdict import begin
from kvmexit.vmm.devices import TisState

LENGTH = 20
HEADER, SIZE = 10, 5
"""Bytes that the guest reads first, and the one among them that says how many it wants."""
EMPTY = 0xFF
"""What the FIFO gives when it has nothing left."""
WAYS = ("unserved", "served", "drain")


@dataclass(slots=True)
class Fifo:
    """The device: the packet, and how many reads it has had."""

    packet: bytes
    reads: int = 0

    def serve(self, vm: Vm) -> None:
        """Answer a read of one byte."""
        given = self.packet[self.reads : self.reads + 1] or bytes([EMPTY])
        self.reads += 1
        vm.vcpu.kvm_run.answer(given)


def finish(vm: Vm, device: Fifo) -> Ending:
    """Let the guest go on to its end. Half a thousand reads are more than any packet takes."""
    for _ in range(512):
        exit = vm.vcpu.run()
        if not isinstance(exit, MmioRead):
            break
        device.serve(vm)
    got = bytes(vm.memory[BUFFER : BUFFER + 256])
    length = max(got[SIZE], HEADER)
    taken = min(device.reads, len(device.packet))
    left = len(device.packet) - taken
    return Ending(got[:length], length, None, device.reads, device.reads, left, _NO_TPM)


_NO_TPM: Any = TisState
"""The classes of outcome compare a TPM too; here is none, and so always the same."""


def arrive(kernel: Kernel, case: Case, packet: bytes, at: int) -> tuple[Vm, Fifo]:
    """A machine at its exit number ``at``, which is not served."""
    vm, device = begin(kernel, case), Fifo(packet)
    for _ in range(at):
        vm.vcpu.run()
        device.serve(vm)
    vm.vcpu.run()
    return vm, device


def suspend(kernel: Kernel, case: Case, packet: bytes, at: int, way: str) -> Ending:
    """Save at exit ``at`` in one of :data:`WAYS`, go on in a new VM."""
    vm, device = arrive(kernel, case, packet, at)
    page = vm.vcpu.kvm_run
    try:
        if way != "unserved":
            device.serve(vm)
        if way == "drain":
            page.immediate_exit = 1
            while vm.vcpu.run() != EINTR:
                device.serve(vm)
        state, memory = vm.vcpu.get_state(), bytes(vm.memory)
    finally:
        vm.close()
    other = kernel.create_vm(RAM)
    try:
        other.memory[:] = memory
        other.vcpu.set_state(state)
        return finish(other, device)
    finally:
        other.close()


def packet(kernel: Kernel, isa: Isa) -> dict[str, Any]:
    """What became of the packet at every byte: a letter each, as in an outcome strip; and what the
    guest got at the byte in the middle of the body."""
    case, response = isa.packet_case(), response_of(LENGTH)
    vm = begin(kernel, case)
    undisturbed = finish(vm, Fifo(response))
    vm.close()
    found: dict[str, Any] = {"packet": response.hex(), "undisturbed": undisturbed.guest.hex()}
    for way in WAYS:
        endings = [suspend(kernel, case, response, at, way) for at in range(LENGTH)]
        outcomes: list[Outcome] = [classify(undisturbed, ending) for ending in endings]
        found[way] = {
            "strip": "".join(outcome.kind.letter for outcome in outcomes),
            "reads": [ending.reads for ending in endings],
            "guests": [ending.guest.hex() for ending in endings],
        }
    return found
