"""`kvmexit doctor`: what this machine can do, and the next step for what it cannot."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from kvmexit.commands.scenario import add_json, print_json
from kvmexit.commands.terminal import columns, say
from kvmexit.kernel.doctor import Check, kvm_status, machine, tool_checks


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "doctor",
        help="what this machine can do, and the next step for what it cannot",
        description="Look for KVM and the tools of the book. Status 0 if real KVM works, else 1;"
        " the simulated kernel and the recordings work everywhere.",
    )
    add_json(parser)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    status, tools = kvm_status(), tool_checks()
    if args.json:
        print_json(
            {
                "machine": machine(),
                "kvm": {
                    "works": status.works,
                    "reason": status.reason,
                    "checks": [asdict(check) for check in status.checks],
                },
                "tools": [asdict(check) for check in tools],
            }
        )
    else:
        print_text(status.works, status.checks, tools)
    return 0 if status.works else 1


def print_text(works: bool, kvm: Sequence[Check], tools: Sequence[Check]) -> None:
    """Two tables and a verdict, for a person."""
    facts = machine()
    say(f"Linux {facts['release']}, {facts['cpu']}, KVM module: {facts['module']}")
    rows = []
    for check in (*kvm, *tools):
        found = check.found if check.ok else f"{check.found}\n-> {check.next_step}"
        rows.append(("ok" if check.ok else "--", check.name, found))
    columns(rows, headed=False)
    if works:
        say("Real KVM works here: --kernel real.")
    else:
        say("Real KVM does not work here; --kernel simulated and recorded do.")
