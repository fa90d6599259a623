"""`kvmexit grade`: marks and reasons for a folder of submissions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kvmexit.commands.files import try_out, write, writing
from kvmexit.commands.scenario import add_json, print_json
from kvmexit.commands.terminal import columns, say, teller
from kvmexit.errors import KvmExitError
from kvmexit.lab import batch_page, catalogue, grade, real, report, seeds
from kvmexit.lab.journal import Journal, begin
from kvmexit.lab.questions import rng
from kvmexit.lab.submission import Submission, passed_over, submissions


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "grade",
        help="grade notebooks and Python files of the course lab",
        description="Grade FOLDER: one notebook or Python file a student, or one folder a"
        " student. Each submission runs apart, with limits on time and memory, and can open no"
        " file and no connection. A single file is graded too.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="what was handed in")
    parser.add_argument(
        "--seed",
        type=int,
        metavar="SEED",
        help="the problems to grade with; keep it to yourself (default: drawn, and shown)",
    )
    parser.add_argument("--lab", type=int, metavar="N", help="all files answer lab N")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="submissions at a time (default: one a processor)"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the marks to FILE")
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write a page of marks, statistics and films to FILE",
    )
    add_json(parser)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    if args.lab is not None:
        catalogue.known(args.lab)
    if args.jobs is not None and args.jobs < 1:
        raise KvmExitError(f"--jobs must be at least 1, not {args.jobs}")
    seed = seeds.drawn() if args.seed is None else args.seed
    rng("any", seed)
    outputs = [path for path in (args.csv, args.html) if path is not None]
    part = outputs[0].with_name(f"{outputs[0].name}.part") if outputs else None
    ours = {path.resolve() for path in (*outputs, *([part] if part else []))}
    found = submissions(args.folder, args.lab, ours)
    for path in outputs:
        try_out(path)
    journal = None
    if part is not None:
        journal = begin(part, seed, args.seed is not None)
        seed = journal.seed
        if journal.known:
            print(f"{part}: going on, {len(journal.known)} are graded", file=sys.stderr)
    graded: dict[Submission, grade.Graded] = {}
    status = 0
    try:
        _all(found, seed, args.jobs, graded, journal)
    except KeyboardInterrupt:
        status = 130
        again = "; the same command goes on" if journal else ""
        print(
            f"kvmexit: interrupted: {len(graded)} of {len(found)} are graded, with seed"
            f" {seed}{again}",
            file=sys.stderr,
        )
    done = [graded[one] for one in found if one in graded]
    others = passed_over(args.folder, ours)
    if args.csv is not None:
        with writing(args.csv) as file:
            report.write_csv(done, file)
    if args.html is not None and not status:
        made = batch_page.page(done, seed, real.kernel_name(), others)
        write(args.html, made)
    if journal and not status:
        journal.end()
    if args.json:
        print_json(report.document(done, seed, real.kernel_name(), others))
    else:
        say(f"seed {seed}\n")
        for table in report.tables(done):
            columns(table)
            print()
        if others:
            say(f"Not looked at: {', '.join(others)}")
    return status


def _all(
    found: list[Submission],
    seed: int,
    jobs: int | None,
    graded: dict[Submission, grade.Graded],
    journal: Journal | None,
) -> None:
    """Grade what is not known yet; ``graded`` and ``journal`` have each as it is done."""
    if journal is not None:
        graded.update((one, known) for one in found if (known := journal.take(one)) is not None)

    def done(one: grade.Graded) -> None:
        graded[one.submission] = one
        if journal is not None:
            journal.note(one)

    _with_progress([one for one in found if one not in graded], seed, jobs, done)


def _with_progress(
    found: list[Submission],
    seed: int,
    jobs: int | None,
    done: Callable[[grade.Graded], None],
) -> None:
    """Grade, and count on standard error if somebody watches."""
    line = teller()
    if line is None:
        grade.grade(found, seed, jobs, done)
        return
    count = 0

    def advance(one: grade.Graded) -> None:
        nonlocal count
        done(one)
        count += 1
        line(f"graded {count} of {len(found)}")

    try:
        grade.grade(found, seed, jobs, advance)
    finally:
        line("")
