"""What a run says: lines for a person, values for a program, the text of a bug form."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

from kvmexit.conform.guests import Guest
from kvmexit.conform.record import Log
from kvmexit.conform.run import Plan, Result
from kvmexit.conform.sequence import Break
from kvmexit.conform.verdict import Judgement, Verdict
from kvmexit.conform.vmms import VMMS
from kvmexit.conform.window import Foretold
from kvmexit.errors import KvmExitError
from kvmexit.kernel.doctor import machine
from kvmexit.tracelint import Report

SCHEMA = "kvmexit-conform/1"
"""Name and version of the JSON form; it is described in conform.schema.json."""


def as_json(result: Result) -> dict[str, Any]:
    """The result as JSON values, of schema ``SCHEMA``."""
    judgement = result.judgement
    seen, plan = judgement.seen, result.plan
    return {
        "schema": SCHEMA,
        "verdict": judgement.verdict.value,
        "reason": judgement.reason,
        "vmm": {"binary": plan.binary, "version": result.version},
        "machine": machine(),
        "guest": plan.guest.name,
        "way": "same process" if plan.same else "new process",
        "seed": plan.seed,
        "seconds": round(result.seconds, 1),
        "stops": seen.stops,
        "pending": None if seen.blind else list(seen.pending),
        "bytes": len(seen.heard),
        "counts": judgement.counts,
        "broken": judgement.broken,
        "first_break": _first(judgement),
        "foretold": _foretold(result),
        "chance_of_a_break": round(judgement.chance, 4),
        "more_stops": judgement.more,
        "logs": [_log(one) for one in result.stopped_logs],
    }


def _first(judgement: Judgement) -> dict[str, Any] | None:
    if not judgement.breaks:
        return None
    stop, found = judgement.breaks[0]
    return {
        "stop": stop,
        "kind": found.kind.value,
        "at": found.at,
        "expected": found.expected,
        "seen": found.seen,
        "around": around(judgement),
    }


def around(judgement: Judgement) -> str:
    """What the guest said round the first break."""
    _, found = judgement.breaks[0]
    seen = judgement.seen
    reach = seen.guest.around
    return seen.guest.shown(seen.heard[max(0, found.at - reach) : found.at + reach])


def _foretold(result: Result) -> dict[str, Any] | None:
    if (said := result.foretold) is None:
        return None
    return {
        "stops": said.stops,
        "reads": said.reads,
        "share": round(said.share, 4),
        "pending": round(said.pending, 1),
        "spread": round(said.spread, 1),
    }


def _log(log: Log) -> dict[str, Any]:
    if isinstance(log.said, KvmExitError):
        return {"verdict": None, "problem": str(log.said)}
    said = {"verdict": log.said.verdict.value, "problem": None, "report": log.said.as_json()}
    return {**said, "found": log.found, "before_the_first_stop": log.before}


QUOTED = 4
"""Lines of a log that are shown."""
WIDTH = 76
"""Columns of a row of text."""

# -- text -----------------------------------------------------------------------------------


def summary(result: Result) -> list[str]:
    """The verdict on the first line, then what it rests on."""
    judgement, plan = result.judgement, result.plan
    seen = judgement.seen
    way = "paused and let go on" if plan.same else "saved, ended and loaded anew"
    lines = [
        f"{judgement.verdict.value}: {judgement.reason}{_by_logs(result)}",
        f"  {result.version or plan.binary}",
        f"  guest {plan.guest.name}, {_stops(seen.stops)} ({way}), {len(seen.heard)} bytes,"
        f" {result.seconds:.0f} s, seed {plan.seed}",
        "  " + ", ".join(f"{count} {kind}" for kind, count in judgement.counts.items()),
    ]
    if judgement.breaks:
        lines.append(f"  round the first break the guest said: {around(judgement)}")
    if judgement.breaks or seen.blind:
        lines.append("  " + _landings(judgement))
    if result.foretold:
        lines.append("  " + _told_before(result.foretold, len(seen.pending)))
    if judgement.verdict is not Verdict.NOT_WHOLE:
        lines.append(f"  this guest does not find: {plan.guest.misses}")
    return [part for line in lines for part in wrapped(line)] + _of_logs(result)


def wrapped(line: str) -> list[str]:
    """``line`` in rows that fit a terminal, the later ones further in."""
    text = line.lstrip()
    indent = line[: -len(text)]
    return wrap(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}    ")


def _landings(judgement: Judgement) -> str:
    """How the broken stops and those that came while an access was pending lie to each other."""
    seen = judgement.seen
    if seen.blind:
        return f"nobody saw where the pauses landed: {seen.blind}"
    both = len(set(judgement.broken) & set(seen.pending))
    said = f"at {len(seen.pending)} of {_stops(seen.stops)} the access was pending"
    if judgement.broken:
        said += f"; {_stops(len(judgement.broken))} broke the guest, {both} among those"
    return said


def _told_before(said: Foretold, seen: int) -> str:
    """What the logs say of where the pauses were to land, beside where they did."""
    return (
        f"the logs foretell {said.pending:.1f} of {_stops(said.stops)} with the access pending"
        f" (it was for {said.share:.0%} of the time; one standard deviation is {said.spread:.1f});"
        f" seen: {seen}"
    )


def _stops(count: int) -> str:
    return f"{count} stop" + "s" * (count != 1)


def _by_logs(result: Result) -> str:
    """What the logs add to a verdict that the guest cannot give."""
    if result.judgement.verdict is not Verdict.CANNOT_TELL or not result.logs:
        return ""
    found = sum(log.found for log in result.logs)
    return f"; findings of a stop: in {found} of {len(result.stopped_logs)} logs"


def _of_logs(result: Result) -> list[str]:
    """lint's verdict on each process that was stopped, and a finding of the first broken stop."""
    logs = result.stopped_logs
    if not logs:
        return []
    lines = ["  lint says, of the log of each process that was stopped:"]
    for log in logs:
        if isinstance(log.said, KvmExitError):
            lines.append(f"    {log.name}: cannot be read: {log.said}")
            continue
        only_before = bool(log.before) and not log.found
        lines.append(
            f"    {log.name}: {'nothing at a stop' if only_before else log.said.verdict.value}"
        )
        if log.before:
            lines.append(
                f"       before the first stop: {_findings(log.before)}, not of a stop (lint alone"
                " reads it all)"
            )
        if not only_before:
            lines += [f"       {reason}" for reason in log.said.reasons]
    return lines + _quoted(result)


def _findings(count: int) -> str:
    return f"{count} finding" + "s" * (count != 1)


def _quoted(result: Result) -> list[str]:
    """The first lines of the finding that goes with the first broken stop; else of the first."""
    logs = result.stopped_logs
    order = [logs[stop - 1] for stop in result.judgement.broken if stop <= len(logs)] + logs
    for log in order:
        if not log.found or not isinstance(log.said, Report):
            continue
        first = log.said.findings[min(log.before, len(log.said.findings) - 1)]
        where = f"{result.plan.keep}/{log.name}" if result.plan.keep else log.name
        more = "" if result.plan.keep else " (with --keep)"
        return [
            f"  a finding; for all of it: kvmexit lint {where}{more}",
            *(f"    line {line.number}: {line.text}" for line in first.lines[:QUOTED]),
        ]
    return []


def bug_form(result: Result) -> str:
    """What a project's bug form asks for, as Markdown."""
    judgement, plan = result.judgement, result.plan
    facts = "\n".join(f"- {name}: {value}" for name, value in machine().items())
    lines = "\n".join(summary(result))
    way = (" --same" if plan.same else "") + (f" --on {plan.on}" if plan.on else "")
    return f"""\
## What happens

A guest that {plan.guest.does} is stopped again and again. \
{judgement.reason[0].upper()}{judgement.reason[1:]}.

## What was expected

A guest cannot tell that it was stopped. An exit that asks for data is half an instruction; the
next KVM_RUN does the rest (Documentation/virt/kvm/api.rst, KVM_RUN). State that is saved before
that entry has neither the answer nor a mark that it is missing.

## How to see it

    pip install -e ./lib            (in a copy of the book)
    kvmexit conform {_which(plan)} --binary {plan.binary} {plan.guest.words}{way} \
--stops {judgement.seen.stops} --seed {plan.seed}

The times of the stops follow from the seed; where they land in the guest does not.

## What was seen

{_indented(lines)}
{_breaks(judgement)}
## Where

- VMM: {result.version or plan.binary}
{facts}
"""


def _which(plan: Plan) -> str:
    """How the command line names the VMM."""
    names = (name for name, adapter in VMMS.items() if adapter is plan.adapter)
    return next(names, "--adapter FILE")


def _breaks(judgement: Judgement) -> str:
    if not judgement.breaks:
        return ""
    guest = judgement.seen.guest
    rows = "\n".join(_row(guest, stop, one) for stop, one in judgement.breaks[:20])
    return f"\n| stop | byte | kind | expected | seen |\n|---|---|---|---|---|\n{rows}\n"


def _row(guest: Guest, stop: int, one: Break) -> str:
    seen = "" if one.seen is None else guest.value(one.seen)
    return f"| {stop} | {one.at} | {one.kind} | {guest.value(one.expected)} | {seen} |"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
