"""`kvmexit record`: what real KVM answers at every landing, for machines that have none."""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path
from typing import Any

from kvmexit.commands.files import try_out
from kvmexit.commands.scenario import add_json, print_json
from kvmexit.commands.terminal import say
from kvmexit.kernel.recorded import RecordedKernel
from kvmexit.kernel.recorder import Recorder
from kvmexit.packet.experiment import Landing, Phase, Scenario, response_of, run
from kvmexit.vmm.devices import DEVICES
from kvmexit.vmm.machine import COMPENSATIONS, POLICIES, RESTORES


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "record",
        help="record real KVM, to replay where there is none",
        description="Run the TIS driver on real KVM, undisturbed and suspended at every landing"
        " under every policy, compensation and way to restore, and write what KVM answered.",
    )
    parser.add_argument("file", metavar="FILE", help="where to write; .gz in the name packs it")
    parser.add_argument("--device", choices=tuple(DEVICES), action="append", help="default: all")
    parser.add_argument(
        "--length", type=int, default=64, metavar="N", help="of the response (default: 64)"
    )
    add_json(parser)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    path = Path(args.file)
    try_out(path)
    from kvmexit.kernel.real import RealKernel

    recorder = Recorder(RealKernel())
    devices = args.device or list(DEVICES)
    runs = sum(record(recorder, scenario) for scenario in scenarios(devices, args.length))
    recorder.save(
        path,
        f"the TIS driver reading {args.length} bytes from {', '.join(devices)},"
        " suspended at every landing",
    )
    provenance = RecordedKernel(path).provenance
    if args.json:
        print_json({"file": args.file, "runs": runs, "provenance": provenance})
    else:
        say(f"{args.file}: {runs} runs, {path.stat().st_size} bytes\n{provenance}")
    return 0


def scenarios(devices: list[str], length: int) -> list[Scenario]:
    """Every way to stop and restore, for each device."""
    ways = product(devices, POLICIES, COMPENSATIONS, RESTORES)
    return [
        Scenario(response_of(length), device, policy, compensation, restore)
        for device, policy, compensation, restore in ways
    ]


def record(recorder: Recorder, scenario: Scenario) -> int:
    """Run ``scenario`` at every landing; returns how many runs that took."""
    exits = run(recorder, scenario).exits
    landings = [Landing(exit, phase) for exit in range(1, exits + 1) for phase in Phase]
    for landing in landings:
        run(recorder, scenario, landing)
    return 1 + len(landings)
