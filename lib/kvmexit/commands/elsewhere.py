"""`kvmexit elsewhere`: real KVM on processors that are not here."""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from kvmexit.commands.scenario import add_json, print_json
from kvmexit.commands.terminal import columns, say
from kvmexit.elsewhere import boot, compare, recordings
from kvmexit.elsewhere.bring import bring, bring_tests
from kvmexit.elsewhere.machines import MACHINES
from kvmexit.elsewhere.observe import ISAS, ROWS, simulation_of
from kvmexit.errors import KvmExitError

CACHE = Path(".cache/elsewhere")
POOL = "machine"
SHOWN = 4
"""Names in a cell of the table; the others are counted."""


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "elsewhere",
        help="real KVM on a processor that you do not have, in an emulator",
        description="Boot Debian's kernel in an emulator that has the processor's virtualization"
        " extensions, run the observations on its KVM, and hold them against the simulator's rows"
        " and the shipped recordings. Kernel and Python are fetched as packages from the mirrors"
        f" that your apt uses, into {CACHE}; nothing is installed, and nothing outside that folder"
        " changes.",
    )
    parser.add_argument(
        "machine",
        nargs="+",
        choices=tuple(MACHINES),
        metavar="MACHINE",
        help=f"one or more of {', '.join(MACHINES)}",
    )
    parser.add_argument(
        "--record", action="store_true", help="write the shipped recordings anew from this run"
    )
    parser.add_argument(
        "--limit", type=float, default=300, metavar="SECONDS", help="for each stage (default 300)"
    )
    parser.add_argument(
        "--at-once", type=int, metavar="N", help="machines at a time (default: one a processor)"
    )
    parser.add_argument(
        "--tests",
        action="store_true",
        help="run the project's own tests of the real kernel there, too (svm and vmx; in its"
        " folder; it may take an hour)",
    )
    add_json(parser)
    parser.set_defaults(func=main)


class Clock:
    """Says what is done, when, and for which machine; from several threads at once."""

    def __init__(self) -> None:
        self._begun, self._lock = time.monotonic(), threading.Lock()

    def say(self, machine: str, what: str) -> None:
        """One line."""
        with self._lock:
            seconds = time.monotonic() - self._begun
            print(f"[{seconds:6.1f} s] {machine:8} {what}", file=sys.stderr, flush=True)


def main(args: argparse.Namespace) -> int:
    if not args.limit > 0:
        raise KvmExitError(f"--limit is a number of seconds above 0, not {args.limit:g}")
    clock, cache = Clock(), CACHE.absolute()
    machines = list(dict.fromkeys(args.machine))
    at_once = args.at_once or os.cpu_count() or 1
    tests: dict[str, dict[str, Any]] = {}

    def one(name: str) -> dict[str, Any] | KvmExitError:
        try:
            machine, say = MACHINES[name], functools.partial(clock.say, name)
            document = bring(machine, cache, args.limit, say)
            if args.tests and name not in ISAS:
                own = bring_tests(machine, cache, args.limit, say, Path.cwd())
                tests[name] = own["tests"]
            return document
        except KvmExitError as problem:
            return problem
        except OSError as problem:
            return KvmExitError(f"{problem.filename or CACHE}: {problem.strerror}; make room there")

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as for Ctrl-C
    with ThreadPoolExecutor(max(1, at_once), POOL) as pool:
        try:
            asked = {name: pool.submit(one, name) for name in machines}
            # A signal that comes just before a wait without an end is not heard until that end.
            while wait(asked.values(), 0.2).not_done:
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            while any(thread.name.startswith(POOL) for thread in threading.enumerate()):
                boot.end_all()  # again and again: one more may have been on its way
                time.sleep(0.05)
            raise
        finally:
            signal.signal(signal.SIGTERM, before)
    found = {name: future.result() for name, future in asked.items()}
    documents = {name: one for name, one in found.items() if isinstance(one, dict)}
    judged = {name: judge(name, document) for name, document in documents.items()}
    for name, tally in tests.items():
        judged[name]["tests"] = tally
    if args.json:
        print_json(judged)
    else:
        for name, document in documents.items():
            print_text(name, document, judged[name])
    if args.record:
        for name, document in documents.items():
            changed = recordings.save(name, document)
            clock.say(name, "recorded" if changed else "the recording says the same already")
    problems = [f"{name}: {one}" for name, one in found.items() if isinstance(one, KvmExitError)]
    if problems:
        raise KvmExitError("; and ".join(problems))
    failed = (tally["failed"] for tally in tests.values())
    return int(any(failed) or any(verdict["differences"] for verdict in judged.values()))


def judge(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """How many observations there are, and those that are not as expected."""
    seen, rules = compare.observations(document), compare.rules(document)
    mine = compare.rules(simulation_of(name))
    found = [f"simulator: {one}" for one in compare.differences(rules, mine)]
    try:
        shipped = compare.observations(recordings.recording_of(name))
        found += [f"recording: {one}" for one in compare.differences(seen, shipped)]
        held = len(shipped)
    except KvmExitError:
        held = 0
    return {
        "kernel": recordings.provenance(document),
        "observations": len(seen),
        "against the simulator": len(rules),
        "against the recording": held,
        "differences": found,
        "not run": document.get("not run", {}),
    }


def print_text(name: str, document: dict[str, Any], judged: dict[str, Any]) -> None:
    """The table of one machine, and the verdict."""
    say(f"\n{name}: {judged['kernel']}\n")
    rows: list[tuple[str, ...]] = [("access", *compare.HEADINGS)]
    for line in compare.table(document):
        rows.append((_few(line.accesses), *line[1:]))
    columns(rows)
    say(
        f"\n{judged['observations']} observations; {judged['against the simulator']} held against"
        f" the simulator's row {ROWS[name]}, {judged['against the recording']} against the"
        f" recording: {len(judged['differences'])} differ"
    )
    for difference in judged["differences"]:
        say(f"  {difference}")
    for what, why in judged["not run"].items():
        say(f"not run: {what}: {why}")
    if "tests" in judged:
        print_tests(judged["tests"])


def print_tests(tally: dict[str, Any]) -> None:
    """What came of the project's own tests, and each that was not run."""
    left = {why: sorted(set(names)) for why, names in tally["not run"].items()}
    say(
        f"\nthe project's own tests of the real kernel: {tally['passed']} passed,"
        f" {len(tally['failed'])} failed, {sum(map(len, left.values()))} not run"
    )
    for name, why in tally["failed"].items():
        say(f"  failed: {name}: {why}")
    for why, names in left.items():
        say(f"  not run, for {why}:")
        for name in names:
            say(f"    {name}")


def _few(names: list[str]) -> str:
    more = len(names) - SHOWN
    return "; ".join(names[:SHOWN]) + (f"; {more} more" if more > 0 else "")
