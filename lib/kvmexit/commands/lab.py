"""`kvmexit lab`: a problem of the course lab, or its answer."""

from __future__ import annotations

import argparse
from typing import Any

from kvmexit.commands.scenario import add_json, print_json
from kvmexit.commands.terminal import say
from kvmexit.lab import catalogue
from kvmexit.lab.questions import rng


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "lab",
        help="a problem of the course lab; with -c, its answer",
        description="Print problem SEED of lab N. Every seed is a problem, and the same seed is"
        " the same problem in the notebook, here and for the grader. With -c its answer, computed"
        " by running it.",
        epilog="Labs: " + ", ".join(f"{n} {title}" for n, title in catalogue.TITLES.items()),
    )
    parser.add_argument("number", type=int, metavar="N", help="which lab, 1 to 6")
    parser.add_argument(
        "--seed", type=int, default=1, metavar="SEED", help="which problem (default: 1)"
    )
    parser.add_argument("-c", "--compute", action="store_true", help="show the answer too")
    add_json(parser)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    rng("any", args.seed)
    problem = catalogue.problem(args.number, args.seed, args.compute)
    if args.json:
        value = {"lab": problem.lab, "seed": problem.seed, "problem": problem.text}
        print_json(value | ({"answer": problem.answer} if args.compute else {}))
    else:
        say(str(problem))
    return 0
