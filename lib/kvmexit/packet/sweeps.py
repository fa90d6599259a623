"""Every landing of a scenario, at a cost that grows with the run and not with its square.

Two observations make it so. What is saved depends only on the point at which the VMM looks,
so a landing can be replayed from the last point before it at which nothing was pending. And a
restored machine that comes to a state from which another has already gone on needs no second
look: the rest of its run is known. "The same state" means registers, device and the exit at
hand, and of the memory only those bytes that the known rest still reads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from kvmexit.exits import DATA_EXITS, EINTR, VcpuState, What
from kvmexit.guest import driver as tis_driver
from kvmexit.kernel.emulator import MemoryAccess
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
    run,
)
from kvmexit.packet.outcome import Ending, Outcome, classify
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.machine import Machine


@dataclass(frozen=True, slots=True)
class Sweep:
    """The outcome at every landing, in the order of the run: each exit in each phase."""

    scenario: Scenario
    kernel: str
    landings: tuple[Landing, ...]
    outcomes: tuple[Outcome, ...]

    @property
    def strip(self) -> str:
        """One letter a landing."""
        return "".join(outcome.kind.letter for outcome in self.outcomes)

    def at(self, phase: Phase) -> list[tuple[Landing, Outcome]]:
        """The landings of one phase with their outcomes."""
        pairs = zip(self.landings, self.outcomes, strict=True)
        return [pair for pair in pairs if pair[0].phase is phase]


def sweep(kernel: Kernel, scenario: Scenario) -> Sweep:
    """Run ``scenario`` at every landing. The simulated kernel does it without repeating itself."""
    if isinstance(kernel, SimulatedKernel):
        (result,) = sweep_policies(kernel, [scenario])
        return result
    exits = run(kernel, scenario).exits
    landings = tuple(Landing(e, phase) for e in range(1, exits + 1) for phase in Phase)
    outcomes = tuple(run(kernel, scenario, landing).outcome for landing in landings)
    return Sweep(scenario, kernel.name, landings, outcomes)


def sweep_policies(kernel: SimulatedKernel, scenarios: list[Scenario]) -> list[Sweep]:
    """Sweep scenarios that differ only in how they stop and restore: one walk for all."""
    known = Tails()
    landings: list[Landing] = []
    outcomes: list[list[Outcome]] = [[] for _ in scenarios]
    undisturbed = reference(scenarios[0])
    for point, exit in _quiet_points(kernel, scenarios[0]):
        for phase in Phase:
            landings.append(Landing(exit, phase))
            local = Landing(exit - point.exits, phase)
            for scenario, results in zip(scenarios, outcomes, strict=True):
                ending = known.finish(point.machine(kernel, scenario), local)
                results.append(classify(undisturbed, ending))
    return [
        Sweep(scenario, kernel.name, tuple(landings), tuple(results))
        for scenario, results in zip(scenarios, outcomes, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Quiet:
    """A point of the undisturbed run at which nothing is pending, after ``exits`` exits."""

    exits: int
    state: VcpuState
    memory: bytes
    device: Any
    counts: tuple[int, int]

    def machine(self, kernel: SimulatedKernel, scenario: Scenario) -> Machine:
        """``scenario``'s machine, standing here."""
        vm = kernel.create_vm(len(self.memory))
        vm.memory[:] = self.memory
        vm.vcpu.set_state(self.state)
        device = scenario.make_device()
        device.load(self.device)
        device.reads, device.taken = self.counts
        return Machine(
            kernel,
            Bus(device),
            vm,
            scenario.make_policy(),
            scenario.make_compensation(),
            scenario.restore,
            scenario.saved,
        )


def _quiet_points(kernel: SimulatedKernel, scenario: Scenario) -> Iterator[tuple[Quiet, int]]:
    """Every data exit of the undisturbed run, with the last quiet point before it."""
    machine = make_machine(kernel, scenario)
    vcpu, bus, device = machine.vm.vcpu, machine.bus, machine.bus.device
    exits = 0
    while True:
        vcpu.kvm_run.immediate_exit = 1
        result = vcpu.run()
        if result is EINTR:
            point = Quiet(
                exits,
                vcpu.get_state(),
                bytes(machine.vm.memory),
                device.save(),
                (device.reads, device.taken),  # type: ignore[attr-defined]  # a Tis
            )
            vcpu.kvm_run.immediate_exit = 0
            result = vcpu.run()
        if not isinstance(result, DATA_EXITS):
            return
        exits += 1
        yield point, exits
        bus.serve(vcpu.kvm_run)


Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Tail:
    """The known rest of a run, from one exit on.

    ``needs`` are the bytes of memory that it reads before writing them, ``writes`` the spans
    of the driver's buffer that it writes, ``counts`` what the device had counted here.
    """

    ending: Ending
    needs: dict[int, int]
    writes: tuple[tuple[int, int], ...]
    counts: tuple[int, int]

    def applies(self, memory: memoryview) -> bool:
        """Would a run with this memory read the same values?"""
        return all(memory[address] == value for address, value in self.needs.items())

    def ending_from(self, memory: memoryview, counts: tuple[int, int]) -> Ending:
        """How a run ends that has this memory and these counts here."""
        known = self.ending
        base, size = tis_driver.BUFFER, len(known.guest)
        guest = bytearray(memory[base : base + size])
        for start, end in self.writes:
            start, end = max(0, start - base), min(end - base, size)
            if start < end:
                guest[start:end] = known.guest[start:end]
        return replace(
            known,
            guest=bytes(guest),
            reads=counts[0] + known.reads - self.counts[0],
            taken=counts[1] + known.taken - self.counts[1],
        )


@dataclass(slots=True)
class Tails:
    """All tails met so far, by the state in which they begin."""

    known: dict[Key, Tail] = field(default_factory=dict)

    def finish(self, machine: Machine, landing: Landing) -> Ending:
        """Run ``machine`` through ``landing`` to its end, or to the beginning of a known tail."""
        arrival = Arrival(landing, machine.bus)
        device: Any = machine.bus.device
        log: list[MemoryAccess] = []
        marks: list[tuple[int, Key, tuple[int, int]]] = []
        for step in machine.steps():
            if arrival.due(step):
                machine.request_stop()
            elif step.what is What.EXIT and machine.saves:
                vcpu: Any = machine.vm.vcpu
                if vcpu.trace is not log:
                    vcpu.trace = log
                if not vcpu.is_fresh:
                    continue
                state = vcpu.get_state()
                key = (state.gpr, state.rip, state.rflags, state.xmm, step.about, device.save())
                counts = (device.reads, device.taken)
                tail = self.known.get(key)
                if tail is not None and tail.applies(memory := memoryview(machine.vm.memory)):
                    ending = tail.ending_from(memory, counts)
                    self._learn(marks, log, ending, tail)
                    return ending
                marks.append((len(log), key, counts))
        ending = ending_of(machine.vm, device)
        self._learn(marks, log, ending, None)
        return ending

    def _learn(
        self,
        marks: list[tuple[int, Key, tuple[int, int]]],
        log: list[MemoryAccess],
        ending: Ending,
        joined: Tail | None,
    ) -> None:
        """Walk the log backwards: what each mark's rest needs, and what it writes."""
        needs = dict(joined.needs) if joined else {}
        writes = list(joined.writes) if joined else []
        position = len(log)
        for mark, key, counts in reversed(marks):
            while position > mark:
                position -= 1
                access = log[position]
                for offset, value in enumerate(access.data):
                    if access.is_write:
                        needs.pop(access.address + offset, None)
                    else:
                        needs[access.address + offset] = value
                if access.is_write:
                    _add_span(writes, access.address, access.address + len(access.data))
            self.known[key] = Tail(ending, dict(needs), tuple(writes), counts)


def _add_span(spans: list[tuple[int, int]], start: int, end: int) -> None:
    """Add a span, joined with a neighbour where they touch."""
    for i, (low, high) in enumerate(spans):
        if start <= high and low <= end:
            spans[i] = (min(low, start), max(high, end))
            return
    spans.append((start, end))
