"""`kvmexit run`: one experiment."""

from __future__ import annotations

import argparse
from typing import Any

from kvmexit.commands.scenario import (
    add_json,
    add_kernel,
    add_phase,
    add_scenario,
    make_kernel,
    make_scenario,
    phase_of_args,
    print_json,
)
from kvmexit.commands.terminal import columns, styled, width
from kvmexit.packet.experiment import Landing, Result, run
from kvmexit.packet.outcome import Kind


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "run",
        help="suspend a guest at one landing and see what becomes of it",
        description="Run the TIS driver once, suspended at a landing or undisturbed."
        " Status 0 if the guest did not notice, 1 if it did.",
    )
    add_kernel(parser)
    add_scenario(parser, policy="save-at-once")
    parser.add_argument(
        "--at-exit", type=int, metavar="N", help="suspend at the N-th read of the response, from 1"
    )
    add_phase(parser)
    add_json(parser)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    phase = phase_of_args(args)
    landing = None if args.at_exit is None else Landing(args.at_exit, phase, data_only=True)
    scenario = make_scenario(args)
    result = run(make_kernel(args), scenario, landing)
    if args.json:
        print_json(as_json(result))
    else:
        print_text(result)
    return 0 if result.outcome.kind is Kind.OK else 1


def as_json(result: Result) -> dict[str, Any]:
    """The result as JSON values; bytes are hex strings."""
    scenario, ending, landing = result.scenario, result.ending, result.landing
    return {
        "kernel": result.kernel,
        "policy": scenario.policy,
        "compensation": scenario.compensation,
        "restore": scenario.restore,
        "device": scenario.device,
        "program": scenario.program,
        "landing": landing and {"at_exit": landing.exit, "phase": landing.phase.value},
        "outcome": {"kind": result.outcome.kind.value, "index": result.outcome.index},
        "guest": ending.guest.hex(),
        "expected": result.undisturbed.guest.hex(),
        "device_reads": ending.reads,
        "left_over": ending.left_over,
        "driver": {"return": ending.returned, "message": ending.message},
        "ioctls": result.ioctls,
        "pattern": result.pattern,
    }


def print_text(result: Result) -> None:
    """The result for a person."""
    ending, scenario = result.ending, result.scenario
    where = "undisturbed"
    if result.landing:
        where = f"suspended at read {result.landing.exit}, {result.landing.phase.value}"
    rows = [("machine", f"{result.kernel} kernel, {scenario.device}, {where}")]
    if result.landing:
        way = f"{scenario.policy}, {scenario.compensation} on load, {scenario.restore}"
        rows.append(("VMM", way))
    outcome = styled(str(result.outcome), "1")
    rows.append(("outcome", f"{outcome}: {result.outcome.kind.meaning}"))
    for name, data in (("expected", result.undisturbed.guest), ("guest", ending.guest)):
        rows.append((name, _marked(data, result.undisturbed.guest)))
    said = f", {ending.message!r}" if ending.message else ""
    rows.append(("driver", f"returned {ending.returned}{said}"))
    rows.append(("device", f"{ending.reads} reads of the response, {ending.left_over} left over"))
    if result.landing:
        rows.append(("ioctls", "\n".join(result.ioctls)))
        rows.append(("pattern", f"{result.pattern}, as the report calls it"))
    columns(rows, headed=False)


def _marked(data: bytes, expected: bytes) -> str:
    """Bytes in rows; those that are not as expected stand out where the terminal can do that."""
    words = [
        f"{byte:02x}" if expected[i : i + 1] == bytes((byte,)) else styled(f"{byte:02x}", "1;7")
        for i, byte in enumerate(data)
    ]
    row = 16 if (width() or 80) >= 60 else 8
    return "\n".join(" ".join(words[i : i + row]) for i in range(0, len(words), row))
