"""`kvmexit faults`: what the tests are worth."""

from __future__ import annotations

import argparse
from typing import Any

from kvmexit.commands.scenario import add_json, print_json
from kvmexit.commands.terminal import columns
from kvmexit.faults.faults import FAULTS, is_caught


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "faults",
        help="break the simulated kernel and the VMM on purpose; see which check notices",
        description="Make each of a list of mistakes in the simulated kernel or the VMM, run the"
        " check that must catch it, and print the table. Status 1 if one goes unnoticed.",
    )
    add_json(parser)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    caught = [(fault, is_caught(fault)) for fault in FAULTS]
    if args.json:
        print_json(
            [
                {
                    "fault": fault.name,
                    "in": fault.where,
                    "test": fault.caught_by.__name__,
                    "caught": says is not None,
                    "says": says,
                }
                for fault, says in caught
            ]
        )
    else:
        columns(
            [("fault", "in", "caught by")]
            + [
                (fault.name, fault.where, fault.caught_by.__name__ if says else "NOTHING")
                for fault, says in caught
            ]
        )
    return 0 if all(says for _, says in caught) else 1
