"""`kvmexit race`: real KVM, suspended by a timer at random times."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import Any

from kvmexit.commands.files import try_out, write
from kvmexit.commands.scenario import add_json, add_scenario, make_scenario, print_json
from kvmexit.commands.terminal import say


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "race",
        help="suspend a guest on real KVM at random times, again and again",
        description="A guest on /dev/kvm reads one packet after another while a timer"
        " suspends it. Every suspend saves the machine and restores it. Status 1 if a byte was"
        " lost.",
    )
    add_scenario(parser, policy="save-at-once")
    parser.add_argument(
        "--suspends", type=int, default=500, metavar="N", help="how many (default: 500)"
    )
    parser.add_argument(
        "--think", type=float, default=0.0, metavar="SECONDS", help="idle after each packet"
    )
    parser.add_argument(
        "--seed", type=int, help="of the waits between suspends (default: another each time)"
    )
    parser.add_argument(
        "--record", metavar="FILE", help="race guests of different idleness and write FILE"
    )
    add_json(parser)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    from kvmexit.kernel.real import RealKernel
    from kvmexit.packet.races import race

    if args.record is not None:
        return record(args)
    tally = race(RealKernel(), make_scenario(args), args.suspends, think=args.think, seed=args.seed)
    if args.json:
        print_json(tally.as_dict())
    else:
        share = tally.pending / tally.suspends
        say(
            f"{tally.policy}: {tally.suspends} suspends, {tally.pending} of them with a pending"
            f" read of the response ({share:.0%})\n"
            f"{tally.outside} requests came while the VMM had the CPU with such a read;"
            f" by the stopwatch {tally.expected_share * tally.suspends:.0f} should\n"
            f"bytes lost: {tally.bytes_lost}   packets: {tally.packets}, bad:"
            f" {tally.bad_packets}"
        )
    return 1 if tally.bytes_lost or tally.bad_packets else 0


def record(args: argparse.Namespace) -> int:
    """Race one guest after another, each idle for longer, and write what was counted."""
    from kvmexit.kernel.host import host
    from kvmexit.kernel.real import RealKernel
    from kvmexit.packet.races import THINKS, Record, race

    path = Path(args.record)
    try_out(path)
    scenario, kernel = make_scenario(args), RealKernel()
    tallies = [race(kernel, scenario, args.suspends, think=t, seed=args.seed) for t in THINKS]
    facts = {**host()._asdict(), "date": date.today().isoformat()}
    write(path, Record(facts, tallies).as_json())
    say(f"{args.record}: {len(tallies)} races of {args.suspends} suspends each")
    return 0
