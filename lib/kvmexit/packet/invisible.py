"""Invisibility: a restored machine stands where the undisturbed one stood.

A sweep compares ends. This compares the machines at the moment of the restore, and so says
something about every run that goes on from there, another suspend included.

A *point* of a run is a moment at which nothing is pending: one before each instruction. To
stand at a point is to have its registers, its memory, its device, and to have asked the device
for the same things in the same order. The last is needed: a device may have shown the world
what it does not keep in its state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR, Step, VcpuExit, What
from kvmexit.kernel.protocol import Kernel
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import (
    Arrival,
    Landing,
    Phase,
    Scenario,
    ending_of,
    make_machine,
    reference,
)
from kvmexit.packet.outcome import Outcome, classify
from kvmexit.packet.sweeps import Quiet
from kvmexit.vmm.machine import Machine

Served = list[tuple[VcpuExit, bytes]]
IN_A_SUSPEND = (What.STOP, What.SAVE, What.RESTORE)
"""Steps before which a request changes nothing: the machine is being suspended already."""


@dataclass(slots=True)
class Points:
    """All points of the undisturbed run, and all that its device was asked.

    ``find`` says at which point a machine stands, or None.
    """

    points: list[Quiet] = field(default_factory=list)
    served: Served = field(default_factory=list)
    _index: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _memories: dict[bytes, bytes] = field(default_factory=dict)

    def note(self, machine: Machine) -> None:
        """``machine`` is at a point, undisturbed so far."""
        memory = bytes(machine.vm.memory)
        memory = self._memories.setdefault(memory, memory)  # it seldom changes: keep it once
        device: Any = machine.bus.device
        point = Quiet(
            len(machine.bus.log),
            machine.vm.vcpu.get_state(),
            memory,
            device.save(),
            (device.reads, device.taken),
        )
        key = (point.exits, point.state, memory, point.device)
        self._index.setdefault(key, len(self.points))
        self.points.append(point)

    def find(self, machine: Machine, served: Served) -> int | None:
        """Where does ``machine`` stand, whose device was asked ``served``?

        What is pending cannot be seen, so it is made to show itself first: an entry with
        ``immediate_exit`` changes nothing on a machine that stands at a point.
        """
        vcpu = machine.vm.vcpu
        vcpu.kvm_run.immediate_exit = 1
        result = vcpu.run()
        vcpu.kvm_run.immediate_exit = 0
        if result is not EINTR or served != self.served[: len(served)]:
            return None
        memory, device = bytes(machine.vm.memory), machine.bus.device.save()
        return self._index.get((len(served), vcpu.get_state(), memory, device))


@dataclass(frozen=True, slots=True)
class Invisibility:
    """For each landing the point at which the restored machine stands, or None.

    ``at_exits`` has three landings for each data exit, as a sweep has. ``at_points`` has two
    for each point: the request arrives just before the entry, or in the guest.
    """

    scenario: Scenario
    points: int
    at_exits: tuple[tuple[Landing, int | None], ...]
    at_points: tuple[tuple[int, int | None], ...]

    @property
    def landings(self) -> int:
        """How many landings were tried."""
        return len(self.at_exits) + len(self.at_points)

    @property
    def visible(self) -> list[Landing | int]:
        """Where the suspend can be told from none: exits as landings, points by number."""
        exits: list[Landing | int] = [where for where, found in self.at_exits if found is None]
        return exits + [where for where, found in self.at_points if found is None]

    @property
    def holds(self) -> bool:
        """Is the suspend invisible at every landing?"""
        return not self.visible


def invisibility(kernel: SimulatedKernel, scenario: Scenario) -> Invisibility:
    """Suspend ``scenario`` once at every landing, and look where the restored machine stands."""
    known = undisturbed_points(kernel, scenario)
    at_exits, at_points = [], []
    for number, point in enumerate(known.points):
        for what in (What.ENTRY, What.EXECUTE):
            machine = point.machine(kernel, scenario)
            machine.vm.vcpu.watched = True  # type: ignore[attr-defined]  # a simulated vCPU has it
            _suspend_before(machine, what)
            at_points.append((number, known.find(machine, known.served[: point.exits])))
    for point, exits in _exits_of_points(known):
        for exit in exits:
            for phase in Phase:
                machine = point.machine(kernel, scenario)
                _suspend_at(machine, Landing(exit - point.exits, phase))
                served = known.served[: point.exits] + machine.bus.log
                at_exits.append((Landing(exit, phase), known.find(machine, served)))
    return Invisibility(scenario, len(known.points), tuple(at_exits), tuple(at_points))


def _exits_of_points(known: Points) -> Iterator[tuple[Quiet, range]]:
    """Each point at which an instruction with exits begins, and the numbers of those exits."""
    ends = [point.exits for point in known.points[1:]] + [len(known.served)]
    for point, end in zip(known.points, ends, strict=True):
        if point.exits < end:
            yield point, range(point.exits + 1, end + 1)


def undisturbed_points(kernel: SimulatedKernel, scenario: Scenario) -> Points:
    """Walk ``scenario`` undisturbed, and note every point."""
    known = Points()
    machine = make_machine(kernel, scenario)
    machine.vm.vcpu.watched = True  # type: ignore[attr-defined]  # a simulated vCPU has it
    for step in machine.steps():
        if step.what is What.EXECUTE:
            known.note(machine)
    known.served = machine.bus.log
    return known


def _suspend_at(machine: Machine, landing: Landing) -> None:
    """Suspend ``machine`` once, at ``landing``, and restore it."""
    _run_to_restore(machine, Arrival(landing, machine.bus).due)


def _suspend_before(machine: Machine, what: What) -> None:
    """Suspend ``machine`` once, before its first step of the kind ``what``, and restore it."""
    _run_to_restore(machine, lambda step: step.what is what)


def _run_to_restore(machine: Machine, due: Callable[[Step], bool]) -> None:
    requested = False
    for step in machine.steps():
        if machine.saves and step.what is not What.RESTORE:
            return
        if not requested and due(step):
            requested = True
            machine.request_stop()


def suspend_often(
    kernel: Kernel, scenario: Scenario, due: Callable[[Step], bool], *, limit: int = 200_000
) -> tuple[Outcome, int]:
    """Run ``scenario``, suspended before every step that is ``due``; how it ends, and how many
    suspends that were.

    Raises KvmExitError after ``limit`` steps: who is suspended before it can do anything, again
    and again, never comes to an end.
    """
    machine = make_machine(kernel, scenario)
    try:
        for count, step in enumerate(machine.steps()):
            if count == limit:
                raise KvmExitError(
                    f"after {limit} steps and {len(machine.saves)} suspends the guest has not"
                    " halted; leave it room between two suspends"
                )
            if step.what not in IN_A_SUSPEND and due(step):
                machine.request_stop()
        ending = ending_of(machine.vm, machine.bus.device)
    finally:
        machine.vm.close()
    return classify(reference(scenario), ending), len(machine.saves)


__all__ = ["Invisibility", "Points", "invisibility", "suspend_often", "undisturbed_points"]
