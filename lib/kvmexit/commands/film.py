"""`kvmexit film`: one run, step by step."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kvmexit.commands.files import write
from kvmexit.commands.scenario import (
    add_json,
    add_phase,
    add_scenario,
    make_scenario,
    phase_of_args,
    print_json,
)
from kvmexit.commands.terminal import say
from kvmexit.errors import KvmExitError
from kvmexit.packet.outcome import Kind
from kvmexit.show.films import Film, film


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "film",
        help="show a run step by step: as text, as a page, as JSON",
        description="Film the TIS driver on the simulated kernel, suspended at a landing or"
        " undisturbed. Status 0 if the guest did not notice, 1 if it did.",
    )
    add_scenario(parser, policy="save-at-once")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--at-exit", type=int, metavar="N", help="suspend at the N-th read of the response, from 1"
    )
    where.add_argument(
        "--landing", type=int, metavar="N", help="suspend before step N of the run, from 1"
    )
    add_phase(parser)
    parser.add_argument("--around", type=int, metavar="N", help="text: N steps around the suspend")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--text", action="store_true", help="a plain table (the default)")
    form.add_argument("--html", metavar="FILE", help="write a page that plays the film offline")
    add_json(form)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    for name in ("at_exit", "landing", "around"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise KvmExitError(f"--{name.replace('_', '-')} counts from 1, not {value}")
    scenario = make_scenario(args)
    made = film(
        response=scenario.response,
        device=scenario.device,
        policy=scenario.policy,
        compensation=scenario.compensation,
        restore=scenario.restore,
        program=scenario.program,
        read=args.at_exit,
        phase=phase_of_args(args).value,
        landing=args.landing,
    )
    if args.html is not None:
        write_page(made, Path(args.html))
    elif args.json:
        print_json(as_json(made))
    else:
        from kvmexit.show.texts import text

        say(str(text(made, around=args.around)))
    return 0 if made.verdict(made.landing).kind == Kind.OK.value else 1


def as_json(made: Film) -> dict[str, Any]:
    """The run as JSON values; bytes are hex strings."""
    frames, verdict = made.filmed(made.landing)
    return {
        "digest": made.digest,
        "landing": made.landing,
        "outcome": {"kind": verdict.kind, "index": verdict.index},
        "driver": {"return": verdict.returned, "message": verdict.message},
        "device_reads": verdict.reads,
        "left_over": verdict.left_over,
        "strip": made.kinds(),
        "steps": [
            {
                "lane": frame.lane.value,
                "what": frame.what.value,
                "sentence": frame.sentence,
                "landing": frame.landing,
                "registers": frame.seen.registers,
                "immediate_exit": frame.seen.immediate_exit,
                "pending": frame.seen.pending,
                "device": {
                    "offset": frame.seen.device[0],
                    "status": frame.seen.device[1],
                    "index": frame.seen.device[2],
                },
                "stored": frame.write and {"at": frame.write[0], "bytes": frame.write[1].hex()},
            }
            for frame in frames
        ],
    }


def write_page(made: Film, path: Path) -> None:
    """One file that plays the film, from a disk and without a network."""
    from kvmexit.show.page import page

    write(path, page(made))
    say(f"wrote {path}")
