"""SimPy gives the machine a clock: how often does a suspend find a read pending?

The machine is the same as everywhere; only who drives it is another. A *guest* process reads a
packet, lets its TPM work and thinks, again and again; a *host* process asks for a suspend
every so often. A packet that no request hits passes as one delay. A packet that is hit is run step
by step, each step taking its time, and the request arrives where the clock says. Packets that were
hit at the same steps end the same, so each is run once.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import simpy

from kvmexit.errors import KvmExitError, said
from kvmexit.exits import DATA_EXITS, Step, What
from kvmexit.kernel import arguments
from kvmexit.kernel.arguments import whole
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Scenario, ending_of, make_machine, reference
from kvmexit.packet.outcome import Kind, classify

LONGEST = 1e9
"""Seconds, of which no clock here counts more."""


def _seconds(value: Any) -> bool:
    """Can a clock count it?"""
    return isinstance(value, int | float) and 0 <= value <= LONGEST


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds that a step takes, by what happens in it; what is not named takes none.

    One exit and its entry take ``round_trip`` in all. The share ``outside`` of it lies between
    KVM_RUN's return and the VMM's look after serving: a request that arrives then finds the
    operation pending. One that arrives in the rest reaches KVM_RUN, which completes first.
    """

    round_trip: float = 12e-6
    outside: float = 0.5

    def __post_init__(self) -> None:
        if not _seconds(self.round_trip) or not self.round_trip:
            raise KvmExitError(f"round_trip is seconds above 0, not {said(self.round_trip)}")
        if not _seconds(self.outside) or self.outside > 1:
            raise KvmExitError(f"outside is a share, 0 to 1, not {said(self.outside)}")

    def of(self, step: Step) -> float:
        """What ``step`` takes."""
        if step.what is What.SERVE:
            return self.round_trip * self.outside
        if step.what is What.EXIT:  # the guest has run, and the kernel has come out
            return self.round_trip * (1 - self.outside)
        return 0.0


@dataclass(frozen=True, slots=True)
class Cycle:
    """What the guest and its TPM do besides reading, in seconds; both are means of
    exponentially distributed times. ``period`` is the host's, between two suspends."""

    command: float = 0.0
    think: float = 0.0
    period: float = 6.0

    def __post_init__(self) -> None:
        for name in ("command", "think", "period"):
            value = getattr(self, name)
            if not _seconds(value) or name == "period" and not value:
                raise KvmExitError(f"{name} is a number of seconds, not {said(value)}")


@dataclass(slots=True)
class Odds:
    """What was counted. ``pending`` suspends landed on a served, unfinished read of the
    response; ``bad`` packets ended otherwise than undisturbed ones. ``landed`` are the suspends one
    by one: seconds from the beginning of a packet, and whether it found a read pending."""

    suspends: int = 0
    pending: int = 0
    bad: int = 0
    packets: int = 0
    outcomes: dict[Kind, int] = field(default_factory=dict)
    landed: list[tuple[float, bool]] = field(default_factory=list)


def simulate(
    scenario: Scenario, cycle: Cycle, suspends: int, *, costs: Costs | None = None, seed: int = 2011
) -> Odds:
    """Suspend the guest of ``scenario`` ``suspends`` times on SimPy's clock, and count."""
    if not whole(suspends) or suspends < 1:
        raise KvmExitError(f"a simulation takes at least one suspend, not {said(suspends)}")
    world = _World(scenario, cycle, costs or Costs(), random.Random(arguments.seed(seed)))
    world.run(suspends)
    return world.odds


def expected_share(scenario: Scenario, cycle: Cycle, costs: Costs | None = None) -> float:
    """The formula: reads of the response times the window of each, over the whole cycle."""
    costs = costs or Costs()
    window = sum(costs.of(read) for read, _ in _reads(scenario, costs))
    return window / (packet_seconds(scenario, costs) + cycle.command + cycle.think)


def windows(scenario: Scenario, costs: Costs | None = None) -> list[tuple[float, float]]:
    """When, in seconds from the beginning of an undisturbed packet, a suspend that arrives finds a
    read of the response pending: from and to, a pair for each read."""
    costs = costs or Costs()
    return [(end - costs.of(read), end) for read, end in _reads(scenario, costs)]


def _reads(scenario: Scenario, costs: Costs) -> list[tuple[Step, float]]:
    """The serving of each read of the response, and when it is over."""
    bus = make_machine(SimulatedKernel(), scenario).bus
    steps = list(_undisturbed(scenario))
    ends = accumulate(costs.of(step) for step in steps)
    return [
        (step, end)
        for step, end in zip(steps, ends)
        if step.what is What.SERVE and bus.is_data_read(step.about)
    ]


def packet_seconds(scenario: Scenario, costs: Costs) -> float:
    """How long one undisturbed packet takes."""
    return sum(costs.of(step) for step in _undisturbed(scenario))


def _undisturbed(scenario: Scenario) -> Generator[Step, None, None]:
    scenario = replace(scenario, policy="skip-entry")  # a VMM that looks once a round
    yield from make_machine(SimulatedKernel(), scenario).steps()


class _World:
    """Guest and host on one clock."""

    def __init__(
        self, scenario: Scenario, cycle: Cycle, costs: Costs, chance: random.Random
    ) -> None:
        self.scenario, self.cycle, self.costs, self.chance = scenario, cycle, costs, chance
        self.odds = Odds()
        self.clock = simpy.Environment()
        self.steps = list(_undisturbed(scenario))
        self.ends = list(accumulate(costs.of(step) for step in self.steps))
        self.began: float | None = None  # when the packet being read began
        self.hits: list[float] = []  # requests inside it, in seconds from its beginning
        self.undisturbed = reference(scenario)
        self.cycle_began = 0.0
        self.became: dict[tuple[int, ...], tuple[tuple[bool, ...], Kind]] = {}  # by the steps hit

    def run(self, suspends: int) -> None:
        self.clock.process(self.guest())
        done = self.clock.process(self.host(suspends))
        self.clock.run(done)

    def host(self, suspends: int) -> Generator[Any, None, None]:
        """Ask for a suspend every period, give or take a tenth."""
        for _ in range(suspends):
            yield self.clock.timeout(self.cycle.period * self.chance.uniform(0.9, 1.1))
            self.odds.suspends += 1
            self.odds.landed.append((self.clock.now - self.cycle_began, False))
            if self.began is not None:
                self.hits.append(self.clock.now - self.began)
        if self.began is not None:
            yield self.clock.timeout(self.ends[-1])

    def guest(self) -> Generator[Any, None, None]:
        """Read a packet, let the TPM work, think."""
        while True:
            self.began = self.cycle_began = self.clock.now
            self.hits = []
            yield self.clock.timeout(self.ends[-1])
            self.odds.packets += 1
            if self.hits:
                self.account(self.hits)
            self.began = None
            idle = self.draw(self.cycle.command) + self.draw(self.cycle.think)
            if idle:
                yield self.clock.timeout(idle)

    def draw(self, mean: float) -> float:
        return self.chance.expovariate(1 / mean) if mean else 0.0

    def step_at(self, seconds: float) -> int:
        """The step before which a request arrives that comes so long after the beginning."""
        at = bisect_right(self.ends, seconds)
        # While the guest runs, the machine stands at its entry, and the kick is seen in there.
        return at - 1 if self.steps[at].what is What.EXIT else at

    def account(self, hits: list[float]) -> None:
        """Count what a packet with requests at these times became."""
        due = tuple(self.step_at(hit) for hit in hits)
        if due not in self.became:
            self.became[due] = self.run_again(due)
        pending, kind = self.became[due]
        last = len(self.odds.landed)
        for number, found in enumerate(pending, start=last - len(hits)):
            self.odds.landed[number] = (self.odds.landed[number][0], found)
        self.odds.pending += sum(pending)
        self.odds.bad += kind is not Kind.OK
        self.odds.outcomes[kind] = self.odds.outcomes.get(kind, 0) + 1

    def run_again(self, due: tuple[int, ...]) -> tuple[tuple[bool, ...], Kind]:
        """The packet step by step, with requests before these steps: which of them found a read of
        the response pending, and what the packet is called."""
        waiting, pending = list(due), []
        machine = make_machine(SimulatedKernel(), self.scenario)
        for count, step in enumerate(machine.steps()):
            if step.what is What.STOP:
                last = machine.calls[-1][1] if machine.calls else None
                pending.append(isinstance(last, DATA_EXITS) and machine.bus.is_data_read(last))
            if waiting and count >= waiting[0] and not machine.stop_requested:
                waiting.pop(0)
                machine.request_stop()
        ending = ending_of(machine.vm, machine.bus.device)
        return tuple(pending), classify(self.undisturbed, ending).kind
