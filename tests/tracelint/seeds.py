"""The seeds of a campaign: so many as the command line asks for."""

import argparse


def seeds(does: str) -> range:
    """``[COUNT] [--seed FIRST]``, read from the command line; ``does`` begins with what is done."""
    parser = argparse.ArgumentParser(description=does.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    return range(args.seed, args.seed + args.count)
