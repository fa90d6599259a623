"""Lab 3: the device, and what it can do about a wrong VMM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import What
from kvmexit.guest.tis_registers import COMMAND_READY, DATA_AVAIL, INDEX, STS
from kvmexit.lab import wire
from kvmexit.lab.landings import (
    KERNEL,
    Course,
    Desk,
    Failure,
    course,
    effect,
    first_failure,
    walk,
    words,
)
from kvmexit.lab.players import Player
from kvmexit.lab.questions import Finding, Part, Question, random_response, rng
from kvmexit.lab.stop import scenario_of
from kvmexit.lab.words import Hopeless, Pop, StudentError
from kvmexit.packet.experiment import (
    Arrival,
    Landing,
    Phase,
    Scenario,
    ending_of,
    make_machine,
)
from kvmexit.packet.outcome import Kind, classify
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.devices import Tis
from kvmexit.vmm.machine import POLICIES, Machine, Policy

# ------------------------------------------------------------------------ 3.1: two histories


@dataclass(frozen=True, slots=True)
class Histories:
    """What two VMMs save of the device at each read of the response, counted from 1.

    ``wrong`` saves at once, ``right`` drains. ``pops`` are the reads.
    """

    pops: tuple[Pop, ...]
    wrong: tuple[int, ...]
    right: tuple[int, ...]


@lru_cache(maxsize=32)
def histories(program: str, seed: int) -> Histories:
    """Suspend the program at every read of the response, with both VMMs."""
    track = course(scenario_of(seed, program))
    bus = Bus(track.scenario.make_device())
    data = [i for i, (_, exit) in enumerate(track.points) if bus.is_data_read(exit)]
    pops = tuple(_pop(track, i) for i in data)
    wrong = tuple(_saved(track, i, POLICIES["skip-entry"]) for i in data)
    right = tuple(_saved(track, i, POLICIES["drain"]) for i in data)
    return Histories(pops, wrong, right)


def _pop(track: Course, index: int) -> Pop:
    exit: Any = track.points[index][1]
    following = track.points[index + 1][0] if index + 1 < len(track.points) else None
    more = following is track.points[index][0]
    return Pop(exit.size, more)


def _saved(track: Course, index: int, policy: Policy) -> int:
    """The device's offset in what ``policy`` saves at this exit."""
    point = track.points[index][0]
    machine = point.machine(KERNEL, track.scenario)
    machine.policy = policy
    arrival = Arrival(Landing(index + 1 - point.exits, Phase.SERVED), machine.bus)
    for step in machine.steps():
        if arrival.due(step):
            machine.request_stop()
        if machine.saves:
            break
    state: Any = machine.saves[0].device
    offset: int = state.offset
    return offset


def _twins_test(program: str, player: Player, seed: int) -> Finding:
    known = histories(program, seed)
    for offset in sorted(set(known.wrong)):
        said = player.call("twins", offset, known.pops)
        text = _wrong_twins(known, offset, said)
        if text:
            return f"for a saved device at byte {offset}: {text}"
    return None


def _wrong_twins(known: Histories, offset: int, said: Any) -> str | None:
    """What is wrong with an answer, or None."""
    if said is None:
        return "a VMM that drains can have saved it too" if offset in known.right else None
    if not (
        isinstance(said, tuple | list)
        and len(said) == 2
        and all(isinstance(n, int) and 1 <= n <= len(known.pops) for n in said)
    ):
        return f"twins() must return None or two reads from 1 to {len(known.pops)}"
    wrong, right = said
    if known.wrong[wrong - 1] != offset:
        return f"the VMM that saves at once, stopped at read {wrong}, saves the device elsewhere"
    if known.right[right - 1] != offset:
        return f"the VMM that drains, stopped at read {right}, saves the device elsewhere"
    return None


TWINS = Question(
    "3.1",
    "twins",
    "two histories, one state",
    (
        Part("driver", 1, partial(_twins_test, "driver")),
        Part("wide", 2, partial(_twins_test, "wide")),
    ),
)

# ------------------------------------------------------------------------ 3.2: the device


class RemoteTis(Tis):
    """A device whose registers are a student's object. Loading a state makes a new object, and
    if it ``moves`` that object is in another process: what is not in the state is gone.
    """

    def __init__(self, player: Player, response: bytes, moves: bool = False) -> None:
        super().__init__(response)
        self.player, self.response, self.moves = player, response, moves
        self.others: list[Player] = []
        self.object = self._new()

    def _new(self) -> int:
        number: int = self.player.call("Device", self.response, keep="object")
        return number

    def read(self, offset: int, size: int) -> bytes:
        if self.is_data(offset):
            self.reads += 1
            self.taken += size
        data = self.player.call("read", offset, size, target=self.object)
        if not isinstance(data, bytes) or len(data) != size:
            raise StudentError(f"read({offset:#x}, {size}) must return {size} bytes: {data!r:.40}")
        return data

    def write(self, offset: int, data: bytes) -> None:
        self.player.call("write", offset, data, target=self.object, keep="nothing")

    @property
    def left_over(self) -> int:
        return max(0, len(self.response) - self.taken)

    def save(self) -> Any:
        """The student's state as one line of text: it can be compared, and not shared."""
        return wire.dumps(self.player.call("save", target=self.object))

    def ended(self) -> Any:
        """What its registers say: whether a command has reached it, also when the index is written
        once more. What else its state holds, a count or a history, is its own affair."""
        said = [self._status()]
        self.write(INDEX, bytes(4))
        return (*said, self._status())

    def _status(self) -> bytes:
        return b"".join(self.read(STS + byte, 1) for byte in range(3))

    def load(self, state: Any) -> None:
        if self.moves:
            self.player = self.player.again()
            self.others.append(self.player)
            if "Device" not in self.player.names:
                why = "".join(f": {problem}" for problem in self.player.problems[:1])
                raise StudentError(f"a new process does not know Device{why}")
        self.object = self._new()
        self.player.call("load", wire.loads(state), target=self.object, keep="nothing")

    def close(self) -> None:
        """End the processes that it has moved into."""
        for player in self.others:
            player.close()


class NewDriver(Scenario):
    """A scenario whose guest runs the driver that writes the index register."""

    __slots__ = ()

    @property
    def variant(self) -> str:
        return "indexed"


def _device_test(program: str, policies: tuple[str, ...], player: Player, seed: int) -> Finding:
    dice = rng("device", seed)
    response = random_response(dice, dice.randrange(18, 26))
    kind = NewDriver if program == "indexed" else Scenario
    scenario = kind(response, partial(RemoteTis, player), "drain")
    track = walk(scenario)
    if track.ending.guest != response:
        return (
            "nothing is suspended, only saved at each exit, and the guest does not receive the"
            " response"
        )
    if track.ending.returned != len(response):
        said = track.ending.message or "no message"
        return f"nothing is suspended, and the driver ends with {track.ending.returned} ({said})"
    if kind is Scenario and not _takes_commands(scenario.make_device()):
        return "a write of COMMAND_READY to STS does not end the response"
    for name in policies:

        def stop(desk: Desk, name: str = name) -> None:
            POLICIES[name].stop(desk.vcpu, desk.bus)

        failure = first_failure(scenario, stop, seed, track=track)
        if failure is not None:
            where = f"{failure.where}, with the VMM {name}"
            if walk(scenario).ending != track.ending:
                where = f"{where} ({SHARED})"
            return replace(failure, where=where, scenario=replace(scenario, device="tis"))
    return _moved(scenario, policies, player, seed, track)


SHARED = (
    "with nothing suspended, a Device made after another in its process does not behave as the"
    " first did: what do they share?"
)
MOVES = 3
"""At how many reads of the response, drawn for each VMM, the device is loaded in a process of its
own, and at how many other exits."""


def _moved(
    scenario: Scenario, policies: tuple[str, ...], player: Player, seed: int, track: Course
) -> Failure | None:
    """The device saved in one process and loaded in another, as a VMM does that migrates, and once
    more at the first exit after that: what a device forgets may be made good by the next write.

    Each run goes from the guest's first instruction to its end: nothing of it is known before.
    """
    bus = Bus(Tis(scenario.response))
    for name in policies:
        dice = rng(f"device moves {name}", seed)
        numbered = list(enumerate((exit for _, exit in track.points), start=1))
        data = [number for number, exit in numbered if bus.is_data_read(exit)]
        others = [number for number, exit in numbered if not bus.is_data_read(exit)]
        exits = sorted(
            one for kind in (data, others) for one in dice.sample(kind, min(MOVES, len(kind)))
        )
        for landing in [Landing(exit, Phase.SERVED) for exit in exits]:
            moving = replace(scenario, device=partial(RemoteTis, player, moves=True), policy=name)
            machine = make_machine(KERNEL, moving)
            device: Any = machine.bus.device
            what, outcome = "", None
            try:
                _suspend_twice(machine, landing)
                outcome = classify(track.ending, ending_of(machine.vm, device))
                what = "" if outcome.kind is Kind.OK else effect(outcome)
            except Hopeless:
                raise
            except (StudentError, KvmExitError) as problem:
                what = str(problem)
            finally:
                device.close()
            if what:
                where = words(landing, track.points[landing.exit - 1][1])
                where = f"{where}, with the VMM {name}, restored in another process, twice"
                shown = replace(scenario, device="tis")  # without the student's process
                return Failure(shown, landing, where, what, (), outcome)
    return None


def _suspend_twice(machine: Machine, landing: Landing) -> None:
    """Run to the end, suspended at ``landing`` and again at the first exit of the new machine."""
    arrival = Arrival(landing, machine.bus)
    is_served = is_again = False
    for step in machine.steps():
        if arrival.due(step):
            machine.request_stop()
        elif len(machine.saves) == 1 and not is_again:
            is_served = is_served or step.what is What.SERVE
            if is_served and step.what is What.LOOK:
                is_again = True
                machine.request_stop()


def _takes_commands(device: Any) -> bool:
    """Is there nothing more to read after a commandReady, as with the device that pops?"""
    device.write(STS, bytes([COMMAND_READY]))
    return not device.read(STS, 1)[0] & DATA_AVAIL


DEVICE = Question(
    "3.2",
    "Device",
    "a device that a wrong VMM cannot hurt",
    (
        Part("old driver, right VMM", 1, partial(_device_test, "driver", ("drain",))),
        Part("new driver, right VMM", 1, partial(_device_test, "indexed", ("drain",))),
        Part(
            "new driver, wrong VMMs",
            3,
            partial(_device_test, "indexed", ("skip-entry", "kick-once", "serve-once")),
        ),
    ),
)
QUESTIONS = (TWINS, DEVICE)


def _drawn(seed: int) -> tuple[str, Histories, int]:
    dice = rng("twins problem", seed)
    program = dice.choice(("driver", "wide", "wide"))
    known = histories(program, seed)
    wide = {at for pop, at in zip(known.pops, known.wrong, strict=True) if pop.size > 1}
    return program, known, dice.choice(sorted(wide or set(known.wrong)))


def problem(seed: int) -> str:
    """A saved device; who can have saved it?"""
    program, known, offset = _drawn(seed)
    sizes = " ".join(f"{pop.size}{'+' if pop.more else ''}" for pop in known.pops)
    return (
        f"The guest runs the program {program}. Its reads of the response take these many bytes"
        f" (+: the access goes on with the next read):\n\n  {sizes}\n\nA snapshot holds a device"
        f" that stands at byte {offset}. The VMM was stopped when a read had been served. Which"
        " read, counted from 1, can that have been if it saves at once? Which, if it drains?"
    )


def answer(seed: int) -> dict[str, Any]:
    """The reads at which each VMM saves that state; an empty list if none."""
    _, known, offset = _drawn(seed)
    return {
        "saves at once": [n for n, at in enumerate(known.wrong, 1) if at == offset],
        "drains": [n for n, at in enumerate(known.right, 1) if at == offset],
    }
