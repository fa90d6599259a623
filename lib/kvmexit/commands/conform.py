"""`kvmexit conform`: does the guest of a real VMM come through its stops whole?"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from kvmexit.commands.elsewhere import CACHE, Clock
from kvmexit.commands.files import write
from kvmexit.commands.scenario import add_json, print_json
from kvmexit.commands.terminal import say, teller
from kvmexit.conform.adapter import Adapter, from_file
from kvmexit.conform.elsewhere import ON, conform_on
from kvmexit.conform.guests import GUESTS, Guest
from kvmexit.conform.linux import OWN, Linux
from kvmexit.conform.record import RECORDERS
from kvmexit.conform.report import as_json, bug_form, summary, wrapped
from kvmexit.conform.run import SECONDS, Plan, Progress, conform
from kvmexit.conform.verdict import Judgement, Verdict
from kvmexit.conform.vmms import VMMS
from kvmexit.errors import KvmExitError

LIMIT = 300.0
"""Seconds of a stage of a machine elsewhere."""
STATUS = {Verdict.WHOLE: 0, Verdict.NOT_WHOLE: 1, Verdict.CANNOT_TELL: 3}

DESCRIPTION = """\
Start a VMM on /dev/kvm with a guest that reads a device in sequence, stop it again and again,
and count what the guest saw. A stop is: pause, save, end the process, start a new one, load,
go on.
"""

_GUESTS = "\n".join(
    f"  {guest.name:<12} finds {guest.finds}\n{'':<15}not {guest.misses}"
    for guest in (*GUESTS.values(), Linux())
)

HOW_TO = f"""\
verdicts and status
  0  whole        nothing was missing, made up, seen twice or out of order, and a VMM that saves
                  at once would have shown a break in as many stops, with a probability of 95 %
                  or more: at each pause the run looks whether the guest's access was pending
  1  not whole    the first break, with its stop, the byte expected and the byte seen
  2               it could not be run; one line says why, with the VMM's own last words
  3  cannot tell  about how many more stops are needed, or what hides a break here
  With --trace it is also 1 if lint finds a save that came too early in one of the logs; what
  lies before a process's first stop is told, and does not count.

guests
{_GUESTS}

your own VMM
  kvmexit conform --adapter FILE runs the one subclass of kvmexit.conform.Adapter that FILE
  defines: commands to start and to load, and what pauses, saves and resumes.
"""


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "conform",
        help="stop a real VMM again and again: does its guest come through whole?",
        description=DESCRIPTION,
        epilog=HOW_TO,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("vmm", nargs="?", choices=list(VMMS), help="a VMM with an adapter here")
    which.add_argument("--adapter", metavar="FILE", help="your own VMM's adapter")
    parser.add_argument("--binary", metavar="PATH", help="default: the adapter's, found on PATH")
    names = [*GUESTS, Linux.name]
    parser.add_argument("--guest", choices=names, default="reader", help="default: reader")
    parser.add_argument(
        "--kernel",
        metavar="PATH",
        type=Path,
        help="of the guest linux: a bzImage or an ELF (default: this machine's own, in /boot)",
    )
    parser.add_argument(
        "--same", action="store_true", help="a stop is: pause, go on, in the same process"
    )
    parser.add_argument(
        "--stops", type=_count, metavar="N", help="default: until the verdict is there"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the times of the stops")
    parser.add_argument(
        "--seconds", type=_seconds, default=SECONDS, help=f"give up after (default {SECONDS:g})"
    )
    parser.add_argument(
        "--trace",
        choices=list(RECORDERS),
        help="record each process, and lint each log; 6 stops if no --stops says otherwise",
    )
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="keep those logs there")
    parser.add_argument(
        "--report", metavar="FILE", type=Path, help="write a bug report there, if there is a bug"
    )
    parser.add_argument(
        "--on",
        choices=ON,
        help="on the KVM of that processor, which an emulator has (as kvmexit elsewhere does), not"
        " on this machine's",
    )
    add_json(parser)
    parser.set_defaults(func=main)


def _count(text: str) -> int:
    value = int(text) if text.isdecimal() else 0
    if value < 1:
        raise KvmExitError(f"--stops takes a number of stops, at least 1, not {text!r}")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise KvmExitError(f"--seconds takes a number of seconds, more than 0, not {text!r}")
    return value


def main(args: argparse.Namespace) -> int:
    adapter: type[Adapter] = from_file(args.adapter) if args.adapter else VMMS[args.vmm]
    if args.keep and not args.trace:
        raise KvmExitError("--keep keeps logs, and nothing is recorded without --trace")
    guest = _guest(args.guest, args.kernel)
    if args.on:
        return _elsewhere(args, args.binary or adapter.binary)
    plan = Plan(
        adapter=adapter,
        binary=args.binary or adapter.binary,
        guest=guest,
        same=args.same,
        stops=args.stops,
        seed=args.seed,
        seconds=args.seconds,
        trace=args.trace,
        keep=args.keep,
    )
    with _ended_by_signals():
        result = conform(plan, _progress())
    verdict, form = result.judgement.verdict, bug_form(result)
    _tell(args, summary(result), as_json(result))
    _report(args, verdict, form if result.found or verdict is Verdict.NOT_WHOLE else None)
    return 1 if result.found else STATUS[verdict]


def _elsewhere(args: argparse.Namespace, binary: str) -> int:
    """The same, on another machine's KVM."""
    if args.trace:
        raise KvmExitError(f"--trace has no recorder on {args.on}: leave out one of the two")
    if args.guest == Linux.name:
        raise KvmExitError(f"--guest linux needs more memory than {args.on} has: leave out one")
    names = ("vmm", "adapter", "guest", "same", "stops", "seed", "seconds", "on")
    asked = {"binary": binary, **{name: getattr(args, name) for name in names}}
    clock = Clock()
    with _ended_by_signals():
        said = conform_on(
            args.on, asked, CACHE.absolute(), LIMIT, lambda what: clock.say(args.on, what)
        )
    verdict, on = Verdict(said["verdict"]), said["provenance"]
    where = f"on {args.on}: {on['kernel']}; {on['emulator']}"
    _tell(args, [*said["text"], *wrapped(f"  {where}")], said["result"])
    form = f"{said['form']}- {where}\n"
    _report(args, verdict, form if verdict is Verdict.NOT_WHOLE else None)
    return STATUS[verdict]


def _tell(args: argparse.Namespace, lines: list[str], said: dict[str, Any]) -> None:
    if args.json:
        print_json(said)
    else:
        say("\n".join(lines))


def _report(args: argparse.Namespace, verdict: Verdict, form: str | None) -> None:
    """Write the bug ``form``, if one is wanted and there is a bug."""
    if args.report and form is not None:
        write(args.report, form)
    elif args.report:
        print(f"{verdict.value}: nothing to report, {args.report} is not written", file=sys.stderr)


def _guest(name: str, kernel: Path | None) -> Guest:
    if name in GUESTS:
        if kernel is not None:
            raise KvmExitError(f"--kernel is for --guest linux; {name} has no operating system")
        return GUESTS[name]
    return Linux(kernel=kernel or OWN)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the run as Ctrl-C does: what was started is ended first."""

    def end(number: int, _: object) -> NoReturn:
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, end) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _progress() -> Progress | None:
    """One line on standard error that is written over, if somebody watches."""
    line = teller()
    if line is None:
        return None

    def tell(judgement: Judgement) -> None:
        seen = judgement.seen
        line(
            f"{seen.stops} stops, {len(seen.pending)} while an access was pending,"
            f" {len(judgement.broken)} broken: {judgement.verdict.value}"
        )

    return tell
