"""All runs of a family of scenarios, as data: what a film plays, drawn by nobody yet."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.packet.experiment import Scenario
from kvmexit.packet.outcome import Kind
from kvmexit.show.frame import Frame
from kvmexit.show.frames import Tables, World, columns, tables_json
from kvmexit.show.record import record
from kvmexit.show.stage import Verdict
from kvmexit.vmm.devices import DEVICES, Tis, TisIndexed
from kvmexit.vmm.machine import Policy

Choice = tuple[int, int, int, int]
"""Numbers of device, policy, compensation and restore among those that a film has."""


def name_of(thing: Any) -> str:
    """The name of a policy, a device or a compensation, given by name or as itself."""
    if isinstance(thing, str):
        return thing
    return str(getattr(thing, "name", getattr(thing, "__name__", type(thing).__name__)))


def as_policy(policy: str | Policy | Callable[..., None]) -> str | Policy:
    """A policy by name, a Policy, or a plain function (vcpu, bus) that stops the vCPU."""
    if isinstance(policy, str | Policy):
        return policy
    if not callable(policy):
        raise KvmExitError(f"a policy is a name, a Policy or a function, not {policy!r}")
    if inspect.iscoroutinefunction(policy) or inspect.isgeneratorfunction(policy):
        raise KvmExitError(
            f"calling {name_of(policy)} runs none of it: write a function without async and yield"
        )
    return Policy(name_of(policy), policy)


@dataclass(frozen=True)
class Reel:
    """All runs of a family of scenarios. Each axis is a tuple, the first entry is the default.

    ``landing`` is the step of the undisturbed run before which the suspend arrives, from 1;
    0 if nobody suspends. ``step`` is the frame shown first, from 0. With ``moves`` false there
    is no landing to choose. ``name``, ``face``, ``autoplay`` and ``veiled`` are those of
    :func:`kvmexit.show.film`.
    """

    base: Scenario
    devices: tuple[Any, ...]
    policies: tuple[Any, ...]
    compensations: tuple[Any, ...]
    restores: tuple[str, ...]
    source: str | None = None
    landing: int = 0
    step: int = 0
    moves: bool = True
    title: str = ""
    name: str = "film"
    face: str = "whole"
    autoplay: bool = False
    veiled: bool = False
    worlds: tuple[World, ...] = field(default=(), compare=False, repr=False)
    tables: Tables = field(default_factory=Tables, compare=False, repr=False)

    def scenario(self, choice: Choice = (0, 0, 0, 0)) -> Scenario:
        """The scenario of one choice."""
        return replace(
            self.base,
            device=self.devices[choice[0]],
            policy=self.policies[choice[1]],
            compensation=self.compensations[choice[2]],
            restore=self.restores[choice[3]],
        )

    @property
    def names(self) -> dict[str, list[str]]:
        """What can be chosen, by knob."""
        return {
            "device": [name_of(one) for one in self.devices],
            "policy": [name_of(one) for one in self.policies],
            "compensation": [name_of(one) for one in self.compensations],
            "restore": list(self.restores),
        }

    @property
    def choices(self) -> list[Choice]:
        """Every choice, the device changing slowest, the restore fastest."""
        return [
            (d, p, c, r)
            for d in range(len(self.devices))
            for p in range(len(self.policies))
            for c in range(len(self.compensations))
            for r in range(len(self.restores))
        ]

    @cached_property
    def runs(self) -> dict[Choice, list[tuple[int, int, int, Verdict]]]:
        """Segment, tail, end and verdict of every landing of every choice."""
        if not self.moves and not self.landing:
            return {choice: [] for choice in self.choices}
        return {
            choice: [
                self.worlds[choice[0]].run(self.scenario(choice), landing)
                for landing in range(1, len(self.worlds[choice[0]].frames) + 1)
            ]
            for choice in self.choices
        }

    def filmed(self, landing: int, choice: Choice = (0, 0, 0, 0)) -> tuple[list[Frame], Verdict]:
        """One run filmed from its beginning, and how it ended."""
        stage = self.worlds[choice[0]].stage
        camera = record(stage, self.scenario(choice), landing or None)
        return camera.frames, stage.verdict(stage.ending(camera.machine))

    def frames(self, landing: int | None = None, choice: Choice = (0, 0, 0, 0)) -> list[Frame]:
        """One run, frame by frame."""
        return self.filmed(self.landing if landing is None else landing, choice)[0]

    def verdict(self, landing: int, choice: Choice = (0, 0, 0, 0)) -> Verdict:
        """How one run ends."""
        if landing:
            return self.runs[choice][landing - 1][3]
        stage = self.worlds[choice[0]].stage
        return stage.verdict(stage.undisturbed)

    def kinds(self, choice: Choice = (0, 0, 0, 0)) -> list[str]:
        """The outcome at each landing."""
        return [verdict.kind for _, _, _, verdict in self.runs[choice]]

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the player plays from, as JSON values."""
        runs = [
            [
                columns([run[:3] for run in one])
                for choice, one in self.runs.items()
                if choice[0] == d
            ]
            for d in range(len(self.devices))
        ]
        data = film_data(self.worlds, self.base, runs)
        return {**data, "names": self.names, "title": self.title}

    @cached_property
    def digest(self) -> str:
        """Changes when anything in any of the runs does."""
        return sha256(json.dumps(self.data, separators=(",", ":")).encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        world = self.worlds[0]
        lines = [
            f"film of {len(self.base.response)} bytes, {len(world.frames)} steps undisturbed,"
            f" digest {self.digest}"
        ]
        for choice, runs in self.runs.items():
            if runs:
                names = [values[n] for values, n in zip(self.names.values(), choice)]
                kinds = self.kinds(choice)
                found = ", ".join(
                    f"{kinds.count(k.value)} {k.value}" for k in Kind if k.value in kinds
                )
                lines.append(f"  {', '.join(names)}: {found}")
        return "\n".join(lines)

    def traits(self) -> dict[str, Any]:
        """The model of the player."""
        return {
            "data": self.data,
            "landing": self.landing,
            "step": self.step,
            "choice": [0, 0, 0, 0],
            "live": False,
            "strip": [],
            "name": self.name,
            "face": self.face,
            "autoplay": self.autoplay,
            "veiled": self.veiled,
        }


def film_data(
    worlds: Sequence[World], base: Scenario, runs: Sequence[list[list[list[int]]]]
) -> dict[str, Any]:
    """What the player plays from, as JSON values: worlds with their runs, and the tables."""
    devices = [world.stage.scenario.device for world in worlds]
    program = worlds[0].stage.source is not None
    return {
        "names": {"device": [], "policy": [], "compensation": [], "restore": []},
        "title": "",
        "meanings": {kind.value: kind.meaning for kind in Kind},
        "popping": [is_popping(one, base.response) for one in devices],
        "program": program,
        "worlds": [
            {
                "first": world.chain[0],
                "end": world.undisturbed,
                "start": list(world.tables.seen(world.start)),
                "response": base.response.hex(),
                "expected": world.expected.hex(),
                "runs": list(one),
            }
            for world, one in zip(worlds, runs, strict=True)
        ],
        **tables_json(worlds[0].tables),
    }


def is_popping(device: str | Callable[[bytes], Tis], response: bytes) -> bool:
    """Does a read of the response change this device?"""
    make = DEVICES[device] if isinstance(device, str) else device
    return not isinstance(make(response), TisIndexed)


__all__ = ["Choice", "Reel", "as_policy", "film_data", "name_of"]
