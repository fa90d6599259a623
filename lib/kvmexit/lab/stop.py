"""Lab 2: the stop path."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any

from kvmexit.exits import Lane, Step, What
from kvmexit.guest.driver import PAGED
from kvmexit.kernel.protocol import Vcpu
from kvmexit.lab.landings import KERNEL, Desk, course, first_failure, words
from kvmexit.lab.paged import Paged
from kvmexit.lab.players import Player
from kvmexit.lab.questions import Finding, Part, Question, random_response, rng
from kvmexit.lab.words import Role, Saved, Snapshot as Tickets, StudentError
from kvmexit.packet.experiment import Landing, Phase, Scenario, run
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.machine import Journal, Machine, Snapshot, drain

PROGRAMS = {
    "driver": "Linux's driver, a byte a read",
    "wide": "16-byte loads, two exits each",
    "string": "rep movsb out of the device",
    "rmw": "a last `or` into the device: a read and a write",
}


LENGTHS = {"pages": (28, 36), "torn": (16, 20), "verify": (22, 26)}
"""Bytes of the response, from and to, where it is not the usual: of ``verify`` 16 behind the
header at most, and 12 at least, so that no stop path passes that enters 16 times or fewer."""
GROUPS = {
    "driver": ("driver",),
    "wide": ("wide", "pages"),
    "string": ("string", "verify"),
    "rmw": ("rmw", "torn"),
}
"""The programs of a part: the second has more exits an instruction than the first."""


def scenario_of(seed: int, program: str, restore: str = "new-vm") -> Scenario:
    """The scenario that a seed makes of ``program``."""
    dice = rng(f"stop {program}", seed)
    response = random_response(dice, dice.randrange(*LENGTHS.get(program, (28, 44))))
    device = Paged if program in PAGED else "tis"
    return Scenario(response, device, "drain", "none", restore, program)


def play_stop(player: Player, desk: Desk) -> None:
    """Have the student's ``stop`` play at ``desk``."""
    player.call("stop", Role("vcpu"), Role("bus"), answer=desk, keep="nothing")


def _stop_test(group: str, restore: str, player: Player, seed: int) -> Finding:
    for program in GROUPS[group]:
        scenario = scenario_of(seed, program, restore)
        if failure := first_failure(scenario, partial(play_stop, player), seed):
            return failure
    return None


def _prepare(seed: int) -> None:
    """Walk each run with the book's drain: its landings join what is known from then on."""
    programs = [program for group in GROUPS.values() for program in group]
    for program, restore in (
        *((name, "new-vm") for name in programs),
        *((name, "same-vcpu") for name in (*GROUPS["driver"], *GROUPS["wide"])),
    ):
        first_failure(scenario_of(seed, program, restore), lambda desk: drain(desk.vcpu, desk.bus))


STOP = Question(
    "2.1",
    "stop",
    "the stop path",
    (
        Part("driver, new VM", 1, partial(_stop_test, "driver", "new-vm")),
        Part("driver, same vCPU", 1, partial(_stop_test, "driver", "same-vcpu")),
        Part("wide", 1, partial(_stop_test, "wide", "new-vm")),
        Part("string", 1, partial(_stop_test, "string", "new-vm")),
        Part("rmw", 1, partial(_stop_test, "rmw", "new-vm")),
        Part("wide, same vCPU", 1, partial(_stop_test, "wide", "same-vcpu")),
    ),
    _prepare,
)


class Suspending(Machine):
    """A machine whose stop path also saves: what it restores are the tickets it was given."""

    taken: Snapshot

    def _suspend(self) -> Iterator[Step]:
        yield Step(Lane.VMM, What.STOP)
        journal = Journal(self.vm.vcpu, self.calls, self.tell)
        self.policy.stop(journal, self.bus)
        self.saves.append(self.taken)
        self.stop_requested = False
        yield Step(Lane.VMM, What.RESTORE)
        self.restore(self.taken)


def _suspending(machine: Machine) -> Machine:
    return Suspending(
        machine.kernel, machine.bus, machine.vm, machine.policy, restore=machine.restore_into
    )


class SavingDesk(Desk):
    """A desk that also saves. The states stay here; the student gets tickets, whose ``numbers``
    no other landing has."""

    def __init__(self, numbers: Iterator[int], vcpu: Vcpu, bus: Bus, machine: Machine) -> None:
        super().__init__(vcpu, bus)
        self.numbers, self.machine = numbers, machine
        self.states: dict[int, Any] = {}

    def more(self, act: str, arguments: list[Any]) -> Any:
        match act:
            case "get_state":
                return self._ticket("registers", self.vcpu.get_state())
            case "save memory":
                return self._ticket("memory", bytes(self.machine.vm.memory))
            case "save device":
                if not self.is_open:
                    raise StudentError("a closed device has no state to save")
                return self._ticket("device", self.bus.device.save())
        return super().more(act, arguments)

    def _ticket(self, what: str, state: Any) -> Saved:
        if len(self.states) > RUNS_OF_SAVES:
            raise StudentError("saves without end")
        ticket = next(self.numbers)
        self.states[ticket] = state
        return Saved(what, ticket)

    def take(self, value: Any) -> None:
        """Turn what ``suspend`` returned into the machine's snapshot."""
        if not isinstance(value, Tickets):
            raise StudentError(f"suspend() must return a Snapshot, not {value!r:.60}")
        parts = []
        for what in ("registers", "memory", "device"):
            part = getattr(value, what)
            if (
                not isinstance(part, Saved)
                or part.what != what
                or not (isinstance(part.ticket, int) and part.ticket in self.states)
            ):
                raise StudentError(f"Snapshot.{what} is not what saving the {what} returned here")
            parts.append(self.states[part.ticket])
        if self.is_open:
            raise StudentError("the device is still open: the next machine cannot have it")
        assert isinstance(self.machine, Suspending)
        self.machine.taken = Snapshot(*parts)


RUNS_OF_SAVES = 20


def _suspend_test(group: str, player: Player, seed: int) -> Finding:
    def play(desk: Desk) -> None:
        assert isinstance(desk, SavingDesk)
        roles = (Role("vcpu"), Role("bus"), Role("memory"))
        desk.take(player.call("suspend", *roles, answer=desk))

    desk = partial(SavingDesk, count())
    for program in GROUPS[group]:
        scenario = scenario_of(seed + 1, program)
        if failure := first_failure(scenario, play, seed, _suspending, desk):
            return failure
    return None


SUSPEND = Question(
    "2.2",
    "suspend",
    "stop, save and close, in the right order",
    tuple(
        Part(program, points, partial(_suspend_test, program))
        for program, points in (("driver", 1), ("string", 2), ("wide", 1))
    ),
    lambda seed: _prepare(seed + 1),
)
QUESTIONS = (STOP, SUSPEND)


def _drawn(seed: int) -> tuple[Scenario, Landing]:
    dice = rng("stop problem", seed)
    scenario = scenario_of(seed, dice.choice(list(PROGRAMS)))
    exits = len(course(scenario).points)
    return scenario, Landing(dice.randrange(1, exits + 1), Phase.SERVED)


def problem(seed: int) -> str:
    """A landing: what must a right stop path do there?"""
    scenario, landing = _drawn(seed)
    where = words(landing, course(scenario).points[landing.exit - 1][1])
    return (
        f"The guest runs the program {scenario.program} ({PROGRAMS[scenario.program]}) on a"
        f" response of {len(scenario.response)} bytes.\nThe request to suspend arrives at"
        f" {where}.\n\nA right stop path sets immediate_exit and calls KVM_RUN. How often, and"
        " what does each call return?"
    )


def answer(seed: int) -> dict[str, Any]:
    """The calls of a right stop path at that landing, run on the simulated kernel."""
    scenario, landing = _drawn(seed)
    result = run(KERNEL, scenario, landing)
    calls = result.ioctls
    saved = calls.index("KVM_GET_REGS")
    return {"calls": calls[1:saved], "outcome": result.outcome.kind.value}
