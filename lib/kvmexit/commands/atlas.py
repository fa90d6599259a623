"""`kvmexit atlas`: what a save does at each exit of every access."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kvmexit.commands.files import try_out
from kvmexit.commands.probe import (
    HEADINGS,
    add_probing,
    cells,
    make_kernel,
    note,
    restore_of,
    shown,
)
from kvmexit.commands.scenario import print_json, replayed
from kvmexit.commands.terminal import columns, say
from kvmexit.elsewhere.guests.isa import Isa
from kvmexit.elsewhere.observe import ISAS, cases_of
from kvmexit.elsewhere.simulated import ForeignKernel
from kvmexit.errors import KvmExitError
from kvmexit.kernel.protocol import Kernel
from kvmexit.kernel.recorded import RecordedKernel
from kvmexit.kernel.recorder import Recorder
from kvmexit.probe.as_data import as_data
from kvmexit.probe.report import Report, probe
from kvmexit.probe.saves import RESTORES


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "atlas",
        help="what a save does at each exit of every access",
        description="Probe every access that the book's guests can make, x86 or, with --machine"
        " arm64, riscv or powerpc, in the code of that machine: one row an exit. The"
        " columns say where the instruction pointer is, which registers have changed already,"
        " and what becomes of a save there in each of five ways.",
    )
    parser.add_argument("--only", metavar="WORD", help="the accesses whose name contains WORD")
    parser.add_argument(
        "--record", metavar="FILE", help="probe the real kernel and write what it answered"
    )
    add_probing(parser)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    if args.record is not None:
        return record(args)
    kernel = atlas_kernel(args)
    reports = atlas(kernel, restore_of(args), args.only or "", args.saved, isa_of(args))
    if not reports:
        raise KvmExitError(f"no access of the atlas has {args.only!r} in its name")
    if args.json:
        print_json([{"name": report.case.name, **as_data(report)} for report in reports])
    else:
        print_text(reports, getattr(kernel, "provenance", ""))
    return 0


def atlas_kernel(args: argparse.Namespace) -> Kernel:
    """The kernel to probe; recorded means this atlas's own recording, unless one is named."""
    if args.kernel == "recorded" and args.machine is None:
        return replayed(args.recording, "atlas")
    isa = isa_of(args)
    if isa is not None and args.kernel == "simulated":
        return ForeignKernel(isa)
    return make_kernel(args)


def isa_of(args: argparse.Namespace) -> Isa | None:
    """The machine whose own code is probed; None is x86."""
    return next((isa for isa in ISAS.values() if isa.row == args.machine), None)


def atlas(
    kernel: Kernel,
    restore: str = "new-vm",
    only: str = "",
    saved: str = "whole",
    isa: Isa | None = None,
) -> list[Report]:
    """Probe all cases of a machine, or those with ``only`` in their name."""
    return [probe(kernel, case, restore, saved) for case in cases_of(isa) if only in case.name]


def record(args: argparse.Namespace) -> int:
    """Write what the real kernel answers, so that it can be asked where there is none."""
    from kvmexit.kernel.real import RealKernel

    try_out(Path(args.record))
    recorder = Recorder(RealKernel())
    for restore in RESTORES:
        atlas(recorder, restore, args.only or "")
    recorder.save(args.record, "every access of the atlas, saved at each of its exits")
    print(RecordedKernel(args.record).provenance)
    return 0


def print_text(reports: list[Report], provenance: str) -> None:
    """The atlas for a person: a line an exit."""
    first = reports[0]
    exits = sum(len(report.rows) for report in reports)
    say(
        f"{len(reports)} accesses, {exits} exits, {first.kernel} kernel, restored into"
        f" {first.restore}"
    )
    if provenance:
        say(provenance)
    words = (first.state.counter if word == "rip" else word for word in HEADINGS[1:])
    rows: list[tuple[str, ...]] = [("access", "", *words, "changed")]
    for report in reports:
        name = report.case.name
        for row in shown(report.rows):
            number, *rest = cells(row)
            changed = {} if row is None else row.changed
            rest += [""] * (len(HEADINGS) - 1 - len(rest))
            new = " ".join(f"{register}={value:x}" for register, value in changed.items())
            rows.append((name, f"{number}/{len(report.rows)}", *rest, new))
            name = ""
        if not report.rows:
            rows.append((name, f"ends with {report.end}"))
    print()
    columns(rows)
    note([row for report in reports for row in report.rows])
