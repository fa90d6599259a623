"""`kvmexit sweep`: every landing."""

from __future__ import annotations

import argparse
from typing import Any

from kvmexit.commands.scenario import (
    add_json,
    add_kernel,
    add_scenario,
    make_kernel,
    make_scenario,
    print_json,
)
from kvmexit.commands.terminal import say, width
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Phase
from kvmexit.packet.sweeps import Sweep, sweep, sweep_policies
from kvmexit.vmm.machine import POLICIES


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "sweep",
        help="suspend a guest at every landing",
        description="Run the TIS driver once for each landing: each exit, unserved, served and"
        " just entered, in the order of the run. One letter a landing: . ok, m missing, s stale,"
        " d duplicate, t torn, l lost. Without --policy: all policies. Status 1 if any landing is"
        " not ok.",
    )
    add_kernel(parser)
    add_scenario(parser, policy=None)
    add_json(parser)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    names = [args.policy] if args.policy else list(POLICIES)
    scenarios = [make_scenario(args, policy=name) for name in names]
    kernel = make_kernel(args)
    if isinstance(kernel, SimulatedKernel):
        sweeps = sweep_policies(kernel, scenarios)
    else:
        sweeps = [sweep(kernel, scenario) for scenario in scenarios]
    strips = {name: result.strip for name, result in zip(names, sweeps, strict=True)}
    if args.json:
        print_json(as_json(sweeps, strips))
    else:
        print_text(sweeps, strips)
    return 0 if all(set(strip) == {"."} for strip in strips.values()) else 1


def as_json(sweeps: list[Sweep], strips: dict[str, str]) -> dict[str, Any]:
    """All sweeps of one scenario. ``distinct`` counts the different outcomes."""
    first = sweeps[0]
    return {
        "kernel": first.kernel,
        "device": first.scenario.device,
        "program": first.scenario.program,
        "compensation": first.scenario.compensation,
        "restore": first.scenario.restore,
        "length": len(first.scenario.response),
        "landings": len(first.landings),
        "phases": [phase.value for phase in Phase],
        "distinct": len({outcome for result in sweeps for outcome in result.outcomes}),
        "policies": strips,
    }


def print_text(sweeps: list[Sweep], strips: dict[str, str]) -> None:
    """The strips for a person, one line a phase."""
    first = sweeps[0]
    say(
        f"{len(first.landings)} landings: {len(first.landings) // len(Phase)} exits, each"
        f" {', '.join(phase.value for phase in Phase)}  ({first.kernel} kernel)"
    )
    for result, (name, strip) in zip(sweeps, strips.items(), strict=True):
        wrong = sum(letter != "." for letter in strip)
        say(f"\n{name}: {wrong or 'none'} of {len(strip)} not ok")
        for phase in Phase:
            letters = "".join(outcome.kind.letter for _, outcome in result.at(phase))
            _strip(f"  {phase.value:<9} ", letters)


def _strip(name: str, letters: str) -> None:
    """The letters of a phase, in as many lines as they take: each below the one before."""
    room = max((width() or len(name + letters)) - len(name), 1)
    for start in range(0, len(letters), room):
        print(f"{'' if start else name:<{len(name)}}{letters[start : start + room]}")
