"""All runs of a scenario in one small table: what the film plays from.

Every landing of every variant (policy, compensation, restore) is run. A run is the undisturbed
one up to the landing, then a *segment* (from the request to the restore), then a *tail*. Tails
are chains of nodes, and two tails that end alike share their end; a machine that comes to a
state from which a chain is known needs not be run any further. Columns of small integers, each
written as the difference from the one before, compress to a fraction of the runs.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from copy import copy
from dataclasses import astuple, dataclass, field, fields, replace
from hashlib import blake2b
from typing import Any

from kvmexit.exits import Lane, What
from kvmexit.packet.experiment import Scenario
from kvmexit.packet.outcome import Ending
from kvmexit.show.frame import Frame, Seen
from kvmexit.show.record import Camera, drive, shown_steps
from kvmexit.show.stage import Point, Stage, Verdict, point_of
from kvmexit.vmm.machine import Machine

LANES = tuple(lane.value for lane in Lane)
WHATS = tuple(what.value for what in What)


class Interned:
    """Values, each kept once, known by their number."""

    def __init__(self, *values: Hashable) -> None:
        self.numbers: dict[Hashable, int] = {}
        for value in values:
            self(value)

    def __call__(self, value: Hashable) -> int:
        return self.numbers.setdefault(value, len(self.numbers))

    def copy(self) -> Interned:
        """The same values under the same numbers."""
        other = Interned()
        other.numbers = self.numbers.copy()
        return other

    def __iter__(self) -> Any:
        return iter(self.numbers)


@dataclass(slots=True)
class Tables:
    """What all runs share. A node is (text, registers, device, state, page, write, next)."""

    texts: Interned = field(default_factory=Interned)
    registers: Interned = field(default_factory=Interned)
    devices: Interned = field(default_factory=Interned)
    states: Interned = field(default_factory=Interned)
    pages: Interned = field(default_factory=lambda: Interned(()))
    writes: Interned = field(default_factory=lambda: Interned(None))
    nodes: Interned = field(default_factory=Interned)
    rows: Interned = field(default_factory=Interned)
    segments: Interned = field(default_factory=Interned)
    ends: Interned = field(default_factory=Interned)

    def copy(self) -> Tables:
        """The same values under the same numbers."""
        return Tables(*(getattr(self, one.name).copy() for one in fields(self)))

    def parts(self, frame: Frame) -> tuple[int, ...]:
        """The numbers of what is in a frame."""
        label = (frame.label,) if frame.label else ()
        said = LANES.index(frame.lane.value), WHATS.index(frame.what.value), frame.sentence, *label
        return (
            self.texts(said),
            *self.seen(frame.seen),
            self.pages(frame.page),
            self.writes(frame.write),
        )

    def chain(self, frames: Sequence[Frame], end: int) -> list[int]:
        """The nodes of frames that go on with node ``end`` (-1: they end), first to last."""
        nodes = []
        for frame in reversed(frames):
            end = self.nodes((*self.parts(frame), end))
            nodes.append(end)
        return nodes[::-1]

    def segment(self, frames: Sequence[Frame], before: Seen) -> int:
        """The frames of a suspend. Registers, device and state are told as differences from
        the frame before, so that suspends at like places are equal."""
        rows = []
        last = self.seen(before)
        for frame in frames:
            text, *now, page, write = self.parts(frame)
            steps = (new - old for new, old in zip(now, last))
            rows.append(self.rows((text, *steps, page, write)))
            last = (now[0], now[1], now[2])
        return self.segments(tuple(rows))

    def seen(self, seen: Seen) -> tuple[int, int, int]:
        """The numbers of what is to be seen."""
        return (
            self.registers(seen.registers),
            self.devices(seen.device),
            self.states((seen.immediate_exit, seen.pending, int(seen.stop))),
        )


Counts = tuple[int, int]


@dataclass(slots=True)
class World:
    """One device: the undisturbed run, and from where every other run of it can start.

    ``dense``: remember the state before every instruction, not only after each entry. It takes
    longer at first and is worth it for all landings.
    """

    stage: Stage
    tables: Tables
    frames: list[Frame] = field(default_factory=list)
    points: dict[int, Point] = field(default_factory=dict)
    chain: list[int] = field(default_factory=list)
    known: dict[Hashable, tuple[int, Ending, Counts]] = field(default_factory=dict)
    undisturbed: int = 0
    start: Seen = field(init=False)
    dense: bool = True

    def __post_init__(self) -> None:
        camera = Camera(self.stage, self.stage.machine())
        keys: list[tuple[int, Hashable, Counts]] = []
        asked = [-1]

        def meet(taken: int) -> bool:
            point = point_of(camera.machine)
            self.points[taken + 1] = point
            calls = len(camera.machine.calls)
            if self.dense or calls > asked[-1]:
                asked.append(calls)
                keys.append((taken, key_of(camera.machine), point.counts))
            return False

        self.start = camera.look()
        self.points[1] = point_of(camera.machine)
        drive(camera, shown_steps(camera.machine), meet=meet)
        self.frames = camera.frames
        ending = self.stage.ending(camera.machine)
        self.tables.seen(self.start)
        self.chain = self.tables.chain(self.frames, -1)
        self.undisturbed = self.tables.ends(astuple(self.stage.verdict(ending)))
        for taken, key, counts in keys:
            self.known[key] = (self.chain[taken], ending, counts)

    @property
    def expected(self) -> bytes:
        """What the guest's buffer holds when nobody suspends it; empty for a program."""
        return b"" if self.stage.source is not None else self.stage.undisturbed.guest

    def alone(self) -> World:
        """The same world with tables of its own, for a film of one run."""
        other = copy(self)
        other.tables, other.known = self.tables.copy(), self.known.copy()
        return other

    def run(self, scenario: Scenario, landing: int) -> tuple[int, int, int, Verdict]:
        """The run suspended before step ``landing``: its segment, tail, end and verdict."""
        first = max(at for at in self.points if at <= landing)
        camera = Camera(self.stage, self.stage.at(self.points[first], scenario))
        machine = camera.machine
        steps = shown_steps(machine)
        if first > 1:
            next(steps)  # the entry that leads to this point
        met: list[tuple[int, Hashable, Counts]] = []
        asked = 0

        def meet(taken: int) -> bool:
            nonlocal asked
            if not machine.saves or len(machine.calls) == asked:
                return False
            asked = len(machine.calls)
            met.append((taken, key_of(machine), counts_of(machine)))
            return met[-1][1] in self.known

        at_end = drive(camera, steps, landing, first, meet, begin=landing)
        if at_end:
            node, ending = -1, self.stage.ending(machine)
        else:
            taken, key, counts = met.pop()
            node, ending, then = self.known[key]
            ending = replace(
                ending,
                reads=ending.reads + counts[0] - then[0],
                taken=ending.taken + counts[1] - then[1],
            )
        cut = _behind_suspend(camera.frames)
        tail = self.tables.chain(camera.frames[cut:], node)
        for taken, key, counts in met:
            self.known[key] = (tail[taken - cut], ending, counts)
        verdict = self.stage.verdict(ending)
        return (
            self.tables.segment(camera.frames[:cut], self._before(landing)),
            tail[0] if tail else node,
            self.tables.ends(astuple(verdict)),
            verdict,
        )

    def _before(self, landing: int) -> Seen:
        return self.frames[landing - 2].seen if landing > 1 else self.start


def _behind_suspend(frames: list[Frame]) -> int:
    """The frame behind the restore (or behind the request, which is the first)."""
    whats = [frame.what for frame in frames]
    return (whats.index(What.RESTORE) if What.RESTORE in whats else 0) + 1


def counts_of(machine: Machine) -> Counts:
    """How often the device was read, and what those reads took."""
    device: Any = machine.bus.device
    return device.reads, device.taken


def key_of(machine: Machine) -> Hashable:
    """All on which the rest of a run depends."""
    vcpu = machine.vm.vcpu
    memory = blake2b(machine.vm.memory, digest_size=16).digest()
    return (
        vcpu.get_state(),
        memory,
        machine.bus.device.save(),
        vcpu.kvm_run.immediate_exit,
        machine.stop_requested,
    )


# ------------------------------------------------------------------------ as JSON


def column(values: Iterable[int]) -> list[int]:
    """Each value as the difference from the one before."""
    result, last = [], 0
    for value in values:
        result.append(value - last)
        last = value
    return result


def columns(rows: Iterable[Sequence[int]]) -> list[list[int]]:
    """A table of integers, column by column, as differences."""
    return [column(values) for values in zip(*rows)]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value


def tables_json(tables: Tables) -> dict[str, Any]:
    """The shared tables as JSON values."""
    return {
        "lanes": LANES,
        "whats": WHATS,
        "texts": [list(text) for text in tables.texts],
        "registers": columns(tables.registers),
        "devices": columns(tables.devices),
        "states": [list(state) for state in tables.states],
        "pages": [_plain(page) for page in tables.pages],
        "writes": [_plain(write) for write in tables.writes],
        "nodes": columns(tables.nodes),
        "rows": columns(tables.rows),
        "segments": [column(segment) for segment in tables.segments],
        "ends": [list(end) for end in tables.ends],
    }
