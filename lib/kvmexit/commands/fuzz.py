"""`kvmexit fuzz`: random programs on two kernels, which must not differ."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from typing import Any

from kvmexit.commands.scenario import add_json, print_json
from kvmexit.commands.terminal import say, teller
from kvmexit.errors import KvmExitError
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.fuzz.run import LIMIT, Tally, describe, fuzz
from kvmexit.probe.report import retirement_of

KINDS = 12
"""How many of a kind the last line names."""


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "fuzz",
        help="compare the simulated kernel with the real one on random programs",
        description="Run random programs, suspended at random exits in random ways, on the"
        " simulated and on the real kernel. Every exit, every state and the end must be equal."
        " The first program on which they differ is made small and printed; the status is then 1.",
    )
    parser.add_argument(
        "programs", type=int, nargs="?", default=2000, metavar="N", help="how many (default: 2000)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="number of the first (default: 0)"
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after this time")
    add_json(parser)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    if args.programs < 1:
        raise KvmExitError(f"give at least one program, not {args.programs}")
    from kvmexit.kernel.real import RealKernel

    real = RealKernel(limit=3.0)
    rule = retirement_of(real)
    tally = fuzz(
        real,
        range(args.seed, args.seed + args.programs),
        one=SimulatedKernel(rule, limit=LIMIT),
        seconds=args.seconds,
        watch=progress(teller()),
    )
    if args.json:
        print_json({"machine": rule.name, **as_json(tally)})
    else:
        say(f"the simulated kernel retires `out` as this machine does: {rule.name}")
        print_text(tally)
    return 0 if tally.divergence is None else 1


def progress(line: Callable[[str], None] | None) -> Callable[[Tally], None]:
    """Counts as they grow, if somebody watches."""

    def tell(tally: Tally) -> None:
        if line is not None and tally.programs % 100 == 0:
            line(f"{tally.programs} programs, {tally.exits} exits")

    return tell


def as_json(tally: Tally) -> dict[str, Any]:
    """The counts, and the divergence as text."""
    return {
        "programs": tally.programs,
        "exits": tally.exits,
        "saves": tally.saves,
        "left_subset": [
            {"bytes": what, "other": there, "programs": count}
            for (what, there), count in tally.left.most_common()
        ],
        "seconds": round(tally.seconds, 1),
        "divergence": tally.divergence and describe(tally.divergence, ("simulated", "real")),
    }


def print_text(tally: Tally) -> None:
    """The counts for a person, and the smallest program that diverges."""
    if tally.divergence:
        say(describe(tally.divergence, ("simulated", "real")))
        say(f"\ndiverged after {tally.programs} programs")
        return
    say(
        f"{tally.programs} programs, {tally.exits} exits, {tally.saves} saves in"
        f" {tally.seconds:.0f} s: no divergence"
    )
    say(left(tally.left))


def left(counts: Counter[tuple[str, str]]) -> str:
    """Which programs were compared in part only, in a line."""
    if not counts:
        return "no program left the subset: all were compared to their end"
    bytes_, there = Counter[str](), Counter[str]()
    for (what, result), count in counts.items():
        bytes_[what] += count
        there[result] += count
    return (
        f"{counts.total()} programs left the subset, all equal up to there; what the real kernel"
        f" did there: {_most(there)}; at which bytes: {_most(bytes_)}"
    )


def _most(counts: Counter[str]) -> str:
    """The most frequent, with their counts."""
    named = ", ".join(f"{what} {count}" for what, count in counts.most_common(KINDS))
    return named + (f", {len(counts) - KINDS} others" if len(counts) > KINDS else "")
