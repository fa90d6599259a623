"""The referee of a stop path: every landing of a scenario, and the first at which it fails."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    DATA_EXITS,
    EINTR,
    READS,
    MmioRead,
    MmioWrite,
    PioIn,
    PioOut,
    Rdmsr,
    VcpuExit,
    Wrmsr,
    answer_size,
)
from kvmexit.guest.driver import PAGED
from kvmexit.kernel.protocol import Vcpu
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.lab.words import Blocked, Hopeless, StudentError
from kvmexit.packet.experiment import (
    Landing,
    Phase,
    Scenario,
    call_text,
    ending_of,
    make_machine,
    window,
)
from kvmexit.packet.outcome import Ending, Kind, Outcome, classify
from kvmexit.packet.sweeps import Quiet, Tails
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.devices import Tis
from kvmexit.vmm.machine import Machine, Policy

LONGEST_RUN = 2_000
RUNS, ACTS = 40, 2_000
"""How often one stop may call KVM_RUN, and how many acts it may do; a right one needs few."""
PHASES = (Phase.SERVED, Phase.ENTERED)
KERNEL = SimulatedKernel()


@dataclass(frozen=True, slots=True)
class Failure:
    """The first landing, in the order of the run, at which an answer fails; ready to be shown,
    if it is known where: of a failure that was read from a file only the words are."""

    scenario: Scenario | None
    landing: Landing | None
    where: str
    what: str
    calls: tuple[str, ...]
    outcome: Outcome | None = None

    def __str__(self) -> str:
        return f"landing at {self.where}: {self.what}"


class Desk:
    """Does what a student's stop path asks for, on the machine that the referee owns.

    The request has been noticed and its kick is over: ``immediate_exit`` is 0. A stop path that
    needs it set sets it.
    """

    def __init__(self, vcpu: Vcpu, bus: Bus) -> None:
        self.vcpu, self.bus = vcpu, bus
        vcpu.kvm_run.immediate_exit = 0
        self.runs = self.acts = 0
        self.is_open = True
        self.results: list[Any] = []

    def __call__(self, act: str, arguments: list[Any]) -> Any:
        self.acts += 1
        if self.acts > ACTS:
            raise Blocked(f"asked {ACTS} times for something and still did not return")
        page = self.vcpu.kvm_run
        match act, arguments:
            case "get immediate_exit", []:
                return page.immediate_exit
            case "set immediate_exit", [int(value)] if value in (0, 1):
                page.immediate_exit = value
            case "set immediate_exit", _:
                raise StudentError("immediate_exit is 0 or 1")
            case "exit_reason", []:
                return page.exit_reason
            case "exit", []:
                return page.exit()
            case "answer", [bytes(data)]:
                self._answer(data)
            case "run", []:
                return self._run()
            case "serve", []:
                self._serve()
            case "close device", []:
                self.is_open = False
            case _:
                return self.more(act, arguments)
        return None

    def more(self, act: str, arguments: list[Any]) -> Any:
        """Acts that only some exercises know."""
        raise Blocked(f"asked for {act!r}, which this exercise has not")

    def _run(self) -> Any:
        self.runs += 1
        if self.runs > RUNS:
            raise Blocked(f"called KVM_RUN {RUNS} times and still did not return")
        if not self.vcpu.kvm_run.immediate_exit:
            raise Blocked(
                "KVM_RUN was called while immediate_exit was 0: the guest executes on, instead of"
                " coming to rest"
            )
        result = self._enter()
        self.results.append(result)
        return result

    def _enter(self) -> Any:
        return self.vcpu.run()

    def _serve(self) -> None:
        exit = self.vcpu.kvm_run.exit()
        if not isinstance(exit, DATA_EXITS):
            raise StudentError(f"bus.serve() was called, and the page describes {exit!r}")
        if self.is_open:
            self.bus.serve(self.vcpu.kvm_run)
        elif isinstance(exit, READS):
            self.vcpu.kvm_run.answer(b"\xff" * answer_size(exit))

    def _answer(self, data: bytes) -> None:
        exit = self.vcpu.kvm_run.exit()
        if not isinstance(exit, READS) or len(data) < answer_size(exit):
            raise StudentError(f"{len(data)} bytes are no answer to {exit!r}")
        self.vcpu.kvm_run.answer(data)


@dataclass(slots=True)
class Course:
    """A scenario ready to be swept again and again: its points, its exits, its known tails."""

    scenario: Scenario
    points: list[tuple[Quiet, VcpuExit]]
    ending: Ending
    tails: Tails = field(default_factory=Tails)

    def landings(self, seed: int) -> Iterator[Landing]:
        """All landings, shuffled: an answer that counts its calls learns nothing from it. The
        first, as the only one of most VMMs, is at a read of the response, where bytes are lost."""
        every = [Landing(n, phase) for n in range(1, len(self.points) + 1) for phase in PHASES]
        random.Random(seed).shuffle(every)
        every.sort(key=next(filter(self._loses, every), None).__ne__)
        return iter(every)

    def _loses(self, landing: Landing) -> bool:
        is_data_read = Bus(Tis(self.scenario.response)).is_data_read
        return landing.phase is Phase.SERVED and is_data_read(self.points[landing.exit - 1][1])


@lru_cache(maxsize=64)
def course(scenario: Scenario) -> Course:
    """The undisturbed run of ``scenario``, walked once and kept."""
    return walk(scenario)


def walk(scenario: Scenario) -> Course:
    """Walk the undisturbed run of ``scenario``, whose own policy and load hook play no part."""
    machine = make_machine(KERNEL, scenario)
    vcpu, bus, device = machine.vm.vcpu, machine.bus, machine.bus.device
    points: list[tuple[Quiet, VcpuExit]] = []
    while True:
        vcpu.kvm_run.immediate_exit = 1
        result = vcpu.run()
        if result is EINTR:
            counts = (device.reads, device.taken)  # type: ignore[attr-defined]  # a Tis
            point = Quiet(
                len(points), vcpu.get_state(), bytes(machine.vm.memory), device.save(), counts
            )
            vcpu.kvm_run.immediate_exit = 0
            result = vcpu.run()
        if not isinstance(result, DATA_EXITS):
            return Course(scenario, points, ending_of(machine.vm, device))
        if len(points) == LONGEST_RUN:
            raise StudentError(f"the guest asks this device {LONGEST_RUN} times and does not end")
        points.append((point, result))
        bus.serve(vcpu.kvm_run)


Stop = Callable[[Desk], Any]
"""Has the student's stop path played at a desk."""


def first_failure(
    scenario: Scenario,
    stop: Stop,
    seed: int = 0,
    make: Callable[[Machine], Machine] = lambda machine: machine,
    desk: Callable[[Vcpu, Bus, Machine], Desk] | None = None,
    track: Course | None = None,
) -> Failure | None:
    """Play ``stop`` at every landing of ``scenario``; the first failure in the order of the run.

    That landing is played once more at the end, so that what the answer prints last belongs
    to it. Raises Hopeless if more landings would only repeat what is wrong.
    """
    track = track or course(replace(scenario, policy="drain", compensation="none"))
    found: list[tuple[Landing, Failure]] = []
    for landing in track.landings(seed):
        failure = _play(track, scenario, landing, stop, make, desk)
        if failure is not None:
            found.append((landing, failure))
    if not found:
        return None
    landing, first = min(found, key=lambda pair: (pair[0].exit, PHASES.index(pair[0].phase)))
    with contextlib.suppress(Hopeless):
        _play(track, scenario, landing, stop, make, desk)
    return first


def _play(
    track: Course,
    scenario: Scenario,
    landing: Landing,
    stop: Stop,
    make: Callable[[Machine], Machine],
    desk: Callable[[Vcpu, Bus, Machine], Desk] | None,
) -> Failure | None:
    point, exit = track.points[landing.exit - 1]
    machine = make(point.machine(KERNEL, scenario))
    machine.policy = Policy(
        "yours",
        lambda vcpu, bus: stop(desk(vcpu, bus, machine) if desk else Desk(vcpu, bus)),
    )
    local = Landing(landing.exit - point.exits, landing.phase)
    what, outcome = "", None
    try:
        ending = track.tails.finish(machine, local)
        outcome = classify(track.ending, ending)
        if outcome.kind is not Kind.OK:
            what = effect(outcome)
    except Hopeless:
        raise
    except (StudentError, KvmExitError) as problem:
        what = str(problem)
    if not what:
        return None
    where = words(landing, exit, scenario.program)
    return Failure(scenario, landing, where, what, _window(machine, local), outcome)


def _window(machine: Machine, local: Landing) -> tuple[str, ...]:
    """The ioctls from the landing on, as strace would show them."""
    data = [i for i, (_, result) in enumerate(machine.calls) if isinstance(result, DATA_EXITS)]
    mark = data[local.exit - 1] if len(data) >= local.exit else 0
    return tuple(call_text(call) for call in window(machine.calls, mark))


def effect(outcome: Outcome) -> str:
    """What the guest or the device lost, in words."""
    at = "" if outcome.index is None else f", from byte {outcome.index} of its buffer on"
    return f"{outcome.kind.value}{at}: {outcome.kind.meaning}"


def words(landing: Landing, exit: VcpuExit, program: str = "") -> str:
    """Where the request arrived. The ``program`` is named where its part has another as well."""
    phase = {
        Phase.UNSERVED: "before the device was asked",
        Phase.SERVED: "after the device had done its part",
        Phase.ENTERED: "just before the next KVM_RUN",
    }[landing.phase]
    of = f"of the program {program} " if program in PAGED else ""
    return f"exit {landing.exit} {of}({asked(exit)}), {phase}"


def asked(exit: VcpuExit) -> str:
    """What an exit asks for."""
    match exit:
        case MmioRead(gpa, size):
            return f"a read of {_bytes(size)} at {gpa:#x}"
        case MmioWrite(gpa, data):
            return f"a write of {_bytes(len(data))} at {gpa:#x}"
        case PioIn(port, size, count):
            return f"in of {_bytes(size * count)} from port {port:#x}"
        case PioOut(port, _, _, data):
            return f"out of {_bytes(len(data))} to port {port:#x}"
        case Rdmsr(index) | Wrmsr(index, _):
            return f"MSR {index:#x}"
    return repr(exit)


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count} bytes"
