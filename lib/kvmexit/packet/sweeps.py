"""Every landing of a scenario, at a cost that grows with the run and not with its square.

Three observations make it so. What is saved depends only on the point at which the VMM looks,
so a landing can be replayed from the last point before it at which nothing was pending; and where
the VMM looks only after it has served, a request that comes before that is one that comes behind.
And a restored machine that comes to a state from which another has already gone on needs no second
look: the rest of its run is known. "The same state" means registers, device and the exit at
hand, and of the memory only those bytes that the known rest still reads.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import DATA_EXITS, Step, VcpuState, What
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

ANY_STOP: dict[str, Any] = {
    "policy": "drain",
    "compensation": "none",
    "restore": "new-vm",
    "saved": "whole",
}
"""Of a scenario what an undisturbed run knows nothing of."""


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
    """Sweep scenarios that differ only in how they stop and restore: one walk for all. Raises
    KvmExitError for others."""
    rests = {replace(scenario, **ANY_STOP) for scenario in scenarios}
    if len(rests) > 1:
        raise KvmExitError(
            "these scenarios differ in more than how they stop and restore: sweep them one by one"
        )
    if not scenarios:
        return []
    known = Tails()
    landings: list[Landing] = []
    outcomes: list[list[Outcome]] = [[] for _ in scenarios]
    undisturbed = reference(scenarios[0])
    for point, exit in _quiet_points(kernel, scenarios[0]):
        for phase in Phase:
            landings.append(Landing(exit, phase))
            here = Landing(1, phase)
            for scenario, results in zip(scenarios, outcomes, strict=True):
                if phase is Phase.SERVED and not scenario.make_policy().looks_before_serving:
                    results.append(results[-1])
                    continue
                machine = point.machine(kernel, scenario)
                for _ in range(point.exits + 1, exit):  # one instruction can make many exits
                    machine.vm.vcpu.run()
                    machine.bus.serve(machine.vm.vcpu.kvm_run)
                results.append(classify(undisturbed, known.finish(machine, here)))
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


Points = tuple[tuple[Quiet, int], ...]


def _quiet_points(kernel: SimulatedKernel, scenario: Scenario) -> Points:
    """Every data exit of the undisturbed run, with the last quiet point before it: there the
    guest is about to execute the instruction that makes this exit. How the VMM stops and
    restores plays no part, so a kernel walks a program once, until its code is another."""
    code = tis_driver.tis_driver(scenario.variant).code
    return _walked(kernel, replace(scenario, **ANY_STOP), code)


@lru_cache(maxsize=16)
def _walked(kernel: SimulatedKernel, scenario: Scenario, _code: bytes) -> Points:
    machine = make_machine(kernel, scenario)
    vcpu: Any = machine.vm.vcpu
    device: Any = machine.bus.device
    vcpu.watched = True
    found: list[tuple[Quiet, int]] = []
    state, memory, before = vcpu.get_state(), b"", 0
    for step in machine.steps():
        if step.what is What.EXECUTE:
            state, before = vcpu.get_state(), len(found)
            now = bytes(machine.vm.memory)
            memory = memory if memory == now else now  # most instructions write nothing
        elif step.what is What.EXIT and isinstance(step.about, DATA_EXITS):
            if before == len(found):  # else it is one more of the same instruction
                counts = (device.reads, device.taken)
                point = Quiet(before, state, memory, device.save(), counts)
            found.append((point, len(found) + 1))
    return tuple(found)


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


def _known_at(step: Step, machine: Machine) -> tuple[Key, memoryview] | None:
    """All on which the rest of a run depends, and the memory, where that can be known: at the
    first exit of an instruction, and where a new VM is about to get what was saved. What was saved
    need not be what the old VM has by now: whoever saves may do it in any order."""
    if step.what is What.EXIT:
        vcpu: Any = machine.vm.vcpu
        if not vcpu.is_fresh:
            return None
        state, about, device = vcpu.get_state(), step.about, machine.bus.device.save()
        memory = memoryview(machine.vm.memory)
    elif step.what is What.RESTORE and machine.restore_into == "new-vm":
        saved = machine.saves[-1]
        state, about, device = saved.state, (machine.load, machine.compensation), saved.device
        memory = memoryview(saved.memory)
    else:
        return None
    key = (state.gpr, state.rip, state.rflags, state.xmm, state.events, about, device)
    return key, memory


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
                continue
            if not machine.saves:
                continue
            vcpu: Any = machine.vm.vcpu
            vcpu.trace = log  # a new VM has a new vCPU
            known = _known_at(step, machine)
            if known is None:
                continue
            key, memory = known
            counts = (device.reads, device.taken)
            tail = self.known.get(key)
            if tail is not None and tail.applies(memory):
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
