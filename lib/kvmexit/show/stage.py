"""What a film is about: a scenario, or a few lines of assembly, as a machine that can be run.

A *stage* makes machines at their first instruction and judges them at their last. The driver's
stage judges by the driver's own words; a stage of a reader's program compares registers, memory
and device with those of the undisturbed run.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import VcpuState
from kvmexit.guest import driver as tis_driver
from kvmexit.guest.assembler import Program, assemble
from kvmexit.kernel.protocol import Kernel
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Scenario, ending_of, make_machine, reference
from kvmexit.packet.outcome import Ending, Kind, classify
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.machine import Machine

BUFFER = tis_driver.BUFFER


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ended, in the words of the outcome. ``shift`` is by how many bytes the tail
    moved up (missing) or down (duplicate)."""

    kind: str
    index: int | None
    shift: int
    returned: int
    message: str | None
    reads: int
    left_over: int


@dataclass(frozen=True)
class Stage:
    """A scenario and a kernel; with ``source``, that program instead of the driver."""

    scenario: Scenario
    kernel: Kernel = SimulatedKernel()
    source: str | None = None

    @cached_property
    def program(self) -> Program:
        """The machine code that runs."""
        if self.source is None:
            return tis_driver.tis_driver(self.scenario.variant)
        return assemble(self.source, tis_driver.ORIGIN)

    @property
    def watches_buffer(self) -> int:
        """How many bytes of the guest's buffer are shown."""
        return 0 if self.source is not None else len(self.scenario.response) + 16

    def machine(self, scenario: Scenario | None = None) -> Machine:
        """A machine at the first instruction, the response waiting in the device."""
        scenario = scenario or self.scenario
        machine = make_machine(self.kernel, scenario)
        if self.source is not None:
            program, vm = self.program, machine.vm
            vm.memory[program.origin : program.origin + len(program.code)] = program.code
            start = VcpuState(rip=program.origin, rest=vm.vcpu.get_state().rest)
            vm.vcpu.set_state(start)
        return machine

    def at(self, point: Point, scenario: Scenario) -> Machine:
        """``scenario``'s machine, standing at a quiet point of the undisturbed run."""
        vm = self.kernel.create_vm(len(point.memory))
        vm.memory[:] = point.memory
        vm.vcpu.set_state(point.state)
        device = scenario.make_device()
        device.load(point.device)
        device.reads, device.taken = point.counts
        return Machine(
            self.kernel,
            Bus(device),
            vm,
            scenario.make_policy(),
            scenario.make_compensation(),
            scenario.restore,
        )

    @cached_property
    def undisturbed(self) -> Ending:
        """How it ends when nobody suspends it."""
        if self.source is None:
            return reference(self.scenario)
        machine = self.machine()
        for _ in machine.steps():
            pass
        return self.ending(machine)

    def ending(self, machine: Machine) -> Ending:
        """What guest and device ended with."""
        device: Any = machine.bus.device
        if self.source is None:
            return ending_of(machine.vm, device)
        state = machine.vm.vcpu.get_state()
        registers = b"".join(value.to_bytes(4, "little") for value in state.gpr)
        return Ending(
            guest=registers + bytes(machine.vm.memory),
            returned=state["eax"],
            message=None,
            reads=device.reads,
            taken=device.taken,
            left_over=device.left_over,
            device=device.save(),
        )

    def verdict(self, ending: Ending) -> Verdict:
        """The outcome of a run that ended so."""
        if self.source is None:
            outcome = classify(self.undisturbed, ending)
            kind, index = outcome.kind.value, outcome.index
            shift = _shift(kind, index, self.undisturbed.guest, ending.guest)
        else:
            kind, index, shift = _difference(self.undisturbed, ending).value, None, 0
        return Verdict(
            kind, index, shift, ending.returned, ending.message, ending.reads, ending.left_over
        )


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a run at which nothing is pending: all there is to know of the machine."""

    state: VcpuState
    memory: bytes
    device: Any
    counts: tuple[int, int]


def point_of(machine: Machine) -> Point:
    """Where ``machine`` stands now."""
    device: Any = machine.bus.device
    return Point(
        machine.vm.vcpu.get_state(),
        bytes(machine.vm.memory),
        device.save(),
        (device.reads, device.taken),
    )


def _difference(undisturbed: Ending, ending: Ending) -> Kind:
    """The outcome of a program that is not the driver: nobody says what its bytes mean, so the
    device's counts decide."""
    if ending.guest == undisturbed.guest:
        return Kind.OK if ending.device == undisturbed.device else Kind.LOST
    if ending.taken > undisturbed.taken:
        return Kind.MISSING
    if ending.left_over > undisturbed.left_over:
        return Kind.DUPLICATE
    return Kind.STALE if ending.device == undisturbed.device else Kind.TORN


def _shift(kind: str, index: int | None, want: bytes, got: bytes) -> int:
    """By how many bytes the rest of the packet moved."""
    if index is None or kind not in ("missing", "duplicate"):
        return 0
    sign = 1 if kind == "missing" else -1
    for n in range(1, len(want) + 1):
        tail = want[index + sign * n :] if index + sign * n >= 0 else b""
        length = min(len(tail), len(got) - index)
        if index + sign * n >= 0 and got[index : index + length] == tail[:length]:
            return n
    raise KvmExitError(f"a {kind} at {index} without a shift")
