"""Lab 1: predict what a suspend does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from kvmexit.exits import MmioRead
from kvmexit.lab.landings import KERNEL, PHASES, Failure, course, words
from kvmexit.lab.players import Player
from kvmexit.lab.questions import Finding, Part, Question, random_response, rng
from kvmexit.lab.words import Situation
from kvmexit.packet.experiment import Landing, Scenario
from kvmexit.packet.outcome import Kind
from kvmexit.packet.sweeps import sweep_policies
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.machine import POLICIES

WORDS = tuple(kind.value for kind in Kind)
THEMES = {
    "new VM": ("driver", "none", "new-vm"),
    "same vCPU": ("driver", "none", "same-vcpu"),
    "rewind on load": ("driver", "rewind", "new-vm"),
    "two pieces": ("wide", "none", "new-vm"),
}
"""What each part is about: program, compensation, restore."""
LENGTH = 80

Case = tuple[Situation, Scenario, Landing, Kind, str]
"""A situation, where it was met, what came of it there, and the landing in words."""


@lru_cache(maxsize=32)
def cases(theme: str, seed: int) -> tuple[Case, ...]:
    """Every situation of a theme once, with its outcome: run, not typed.

    Landings lie in the body of the response, where no byte decides on the driver's way.
    """
    program, compensation, restore = THEMES[theme]
    response = random_response(rng(f"predict {theme}", seed), LENGTH)
    base = Scenario(response, "tis", "drain", "none", "new-vm", program)
    track = course(base)
    scenarios = [
        replace(base, policy=name, compensation=compensation, restore=restore) for name in POLICIES
    ]
    found: dict[Situation, Case] = {}
    sweeps = sweep_policies(KERNEL, scenarios)
    for exit, access, piece, pieces in _body(base):
        if (program == "wide" and pieces == 1) or (restore != "new-vm" and access != "data read"):
            continue  # what a dropped status does depends on what the register held before
        for result in sweeps:
            for phase in PHASES:
                at = result.landings.index(Landing(exit, phase))
                policy = str(result.scenario.policy)
                situation = Situation(
                    access, piece, pieces, phase.value, policy, compensation, restore
                )
                where = words(Landing(exit, phase), track.points[exit - 1][1])
                kind = result.outcomes[at].kind
                case = (situation, result.scenario, Landing(exit, phase), kind, where)
                found.setdefault(situation, case)
    return tuple(found.values())


def _body(scenario: Scenario) -> Iterator[tuple[int, str, int, int]]:
    """The exits in the body: number, access, piece, pieces."""
    points = course(scenario).points
    bus = Bus(scenario.make_device())
    data = [i for i, (_, exit) in enumerate(points) if bus.is_data_read(exit)]
    for index in range(data[9] + 1, data[-2]):
        point, exit = points[index]
        piece = index - point.exits + 1
        pieces = 2 if isinstance(exit, MmioRead) and exit.size == 8 else 1
        yield index + 1, "data read" if index in data else "status read", piece, pieces


def _test(theme: str, player: Player, seed: int) -> Finding:
    for situation, scenario, landing, kind, where in cases(theme, seed):
        said = player.call("predict", situation)
        if said == kind.value:
            continue
        what = f"you say {said!r} for {as_text(situation)}; that is not what happens"
        if said not in WORDS:
            what = f"predict() must return one of {', '.join(WORDS)}, not {said!r:.40}"
        return Failure(scenario, landing, where, what, ())
    return None


def as_text(situation: Situation) -> str:
    """A situation in words."""
    piece = f", exit {situation.piece} of {situation.pieces}" if situation.pieces > 1 else ""
    return (
        f"a {situation.access}{piece}, {situation.phase}, policy {situation.policy},"
        f" compensation {situation.compensation}, restored into {situation.restore}"
    )


QUESTIONS = (
    Question(
        "1.1",
        "predict",
        "predict the outcome",
        tuple(
            Part(theme, points, partial(_test, theme))
            for theme, points in zip(THEMES, (2, 1, 1, 2), strict=True)
        ),
        lambda seed: [cases(theme, seed) for theme in THEMES],
    ),
)


def _drawn(seed: int) -> Case:
    dice = rng("predict problem", seed)
    theme = dice.choice(list(THEMES))
    wanted = dice.choice(sorted({case[3].value for case in cases(theme, 0)}))
    return dice.choice([case for case in cases(theme, 0) if case[3].value == wanted])


def problem(seed: int) -> str:
    """A situation; what comes of it?"""
    situation, scenario, _, _, where = _drawn(seed)
    return (
        f"The guest runs the program {scenario.program} on a FIFO that pops.\nThe request to"
        f" suspend arrives at {where}.\nThis is {as_text(situation)}.\n\n"
        f"What is the outcome: {', '.join(WORDS)}?"
    )


def answer(seed: int) -> dict[str, Any]:
    """The outcome there, run on the simulated kernel."""
    kind = _drawn(seed)[3]
    return {"outcome": kind.value, "meaning": kind.meaning}
