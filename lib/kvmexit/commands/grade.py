"""`kvmexit grade`: marks and reasons for a folder of submissions."""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path
from typing import Any

from kvmexit.commands.scenario import print_json
from kvmexit.commands.terminal import columns, say, teller
from kvmexit.errors import KvmExitError
from kvmexit.lab import catalogue, grade, real, report
from kvmexit.lab.questions import rng
from kvmexit.lab.submission import Submission, submissions


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "grade",
        help="grade notebooks and Python files of the course lab",
        description="Grade FOLDER: one notebook or Python file a student, or one folder a"
        " student. Each submission runs apart, with limits on time and memory, and can open no"
        " file and no connection. A single file is graded too.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--seed",
        type=int,
        metavar="SEED",
        help="the problems to grade with; keep it to yourself (default: drawn, and shown)",
    )
    parser.add_argument("--lab", type=int, metavar="N", help="all files answer lab N")
    parser.add_argument("--jobs", type=int, metavar="N", help="submissions at a time")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the marks to FILE")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    if args.lab is not None:
        catalogue.known(args.lab)
    if args.jobs is not None and args.jobs < 1:
        raise KvmExitError(f"--jobs must be at least 1, not {args.jobs}")
    seed = secrets.randbelow(1 << 31) if args.seed is None else args.seed
    rng("any", seed)
    found = submissions(args.folder, args.lab)
    graded = _with_progress(found, seed, args.jobs)
    if args.csv is not None:
        try:
            with args.csv.open("w", newline="", encoding="utf-8") as file:
                report.write_csv(graded, file)
        except OSError as problem:
            raise KvmExitError(f"{args.csv}: cannot be written: {problem.strerror}") from None
    if args.json:
        print_json(report.document(graded, seed, real.kernel_name()))
    else:
        say(f"seed {seed}\n")
        columns(report.marks_table(graded))
        print()
        columns(report.statistics_table(graded))
    return 0


def _with_progress(found: list[Submission], seed: int, jobs: int | None) -> list[grade.Graded]:
    """Grade, and count on standard error if somebody watches."""
    line = teller()
    if line is None:
        return grade.grade(found, seed, jobs)
    done = 0

    def advance(_: grade.Graded) -> None:
        nonlocal done
        done += 1
        line(f"graded {done} of {len(found)}")

    try:
        return grade.grade(found, seed, jobs, advance)
    finally:
        line("")
