"""`kvmexit probe`: what a save does at each exit of the code that the reader gives."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from kvmexit.commands.scenario import add_json, add_kernel, add_saved, parse_hex, print_json
from kvmexit.commands.terminal import columns, say
from kvmexit.errors import KvmExitError
from kvmexit.exits import DataExit
from kvmexit.kernel.protocol import Kernel
from kvmexit.kernel.retirement import MACHINES
from kvmexit.probe.as_data import as_data
from kvmexit.probe.cases import Case
from kvmexit.probe.report import Report, Row, probe
from kvmexit.probe.saves import SAVES
from kvmexit.probe.verdict import access


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "probe",
        help="what a save does at each exit of any code",
        description="Run code, and save and restore it at each of its exits in five ways. 32-bit"
        " flat, loaded and begun at 0x1000, 64 KiB of RAM, everything above is MMIO; esp is"
        " 0x8000, all other registers and all RAM are 0. Reads of MMIO, ports and MSRs are fed"
        " 0x11, 0x12, ... byte by byte. The code ends with hlt. Numbers with 0x are hexadecimal.",
    )
    parser.add_argument("--code", required=True, metavar="HEX", help="machine code")
    parser.add_argument(
        "--reg",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a register at the beginning: eax..edi, rip, rflags, xmm0..xmm7",
    )
    parser.add_argument(
        "--ram", action="append", default=[], metavar="ADDRESS=HEX", help="bytes in RAM"
    )
    add_probing(parser)
    parser.set_defaults(func=main)


def add_probing(parser: argparse.ArgumentParser) -> None:
    """The switches that `probe` and `atlas` share."""
    add_kernel(parser)
    parser.add_argument(
        "--machine",
        choices=tuple(MACHINES),
        help="retire instructions as this machine does (with --kernel simulated)",
    )
    parser.add_argument(
        "--same-vcpu",
        action="store_true",
        help="restore into the vCPU that still has something pending, not into a new VM",
    )
    add_saved(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    case = Case(
        "probe",
        parse_hex(args.code),
        {name: _number(value, f"--reg {name}") for name, value in map(_reg, args.reg)},
        tuple(
            (_number(address, "--ram"), parse_hex(data)) for address, data in map(_ram, args.ram)
        ),
    )
    report = probe(make_kernel(args), case, restore_of(args), args.saved)
    if args.json:
        print_json(as_data(report))
    else:
        print_text(report)
    return 0


def make_kernel(args: argparse.Namespace) -> Kernel:
    """The kernel to probe; the simulated one after the rules of ``--machine``."""
    from kvmexit.commands import scenario
    from kvmexit.kernel.simulated import SimulatedKernel

    if args.machine is None:
        return scenario.make_kernel(args)
    if args.kernel != "simulated":
        raise KvmExitError("--machine goes with --kernel simulated: the others are what they are")
    return SimulatedKernel(MACHINES[args.machine])


def restore_of(args: argparse.Namespace) -> str:
    """Where ``--same-vcpu`` says to restore."""
    return "same-vcpu" if args.same_vcpu else "new-vm"


def _reg(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise KvmExitError(f"--reg {text}: give NAME=VALUE, as in --reg ecx=8")
    return name.strip().lower(), value


def _ram(text: str) -> tuple[str, str]:
    address, equals, data = text.partition("=")
    if not equals:
        raise KvmExitError(f"--ram {text}: give ADDRESS=HEX, as in --ram 0x3000=0102")
    return address, data


def _number(text: str, what: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise KvmExitError(f"{what}: {text!r} is no number; write 0x2a or 42") from None


def place_text(exit: DataExit) -> str:
    """``mmio-read 0xd0024 1`` or ``pio-in 0x5a 1 x8``."""
    kind, where, size, count = access(exit)
    return f"{kind} {where:#x} {size}" + (f" x{count}" if count > 1 else "")


SHOWN = 4
"""Exits shown from either end of a longer list."""


def shown(rows: list[Row]) -> list[Row | None]:
    """The rows to print: all, or both ends and None for what is between."""
    if len(rows) <= 3 * SHOWN:
        return [*rows]
    return [*rows[:SHOWN], None, *rows[-SHOWN:]]


HEADINGS = ("exit", "access", "rip", "after", *SAVES, "KVM_RUNs", "RAM bytes")


def print_text(report: Report) -> None:
    """The report for a person."""
    say(report.case.listing())
    say(f"\n{report.kernel} kernel, restored into {report.restore}\n")
    columns([HEADINGS, *map(cells, shown(report.rows))])
    note(report.rows)
    say(f"\nends with {report.end}")


def cells(row: Row | None) -> tuple[str, ...]:
    """A row in the words of :data:`HEADINGS`."""
    if row is None:
        return ("...",)
    return (
        str(row.k),
        place_text(row.exit),
        f"{row.rip:x}",
        "never" if row.rip_after is None else f"{row.rip_after:x}",
        *map(row.verdict, SAVES),
        str(row.drain_runs or "endless"),
        str(row.ram_written or ""),
    )


ALONE = "In brackets: what comes of the same save if it leaves out the events."


def note(rows: Sequence[Row]) -> None:
    """Say what the brackets mean, where there are any."""
    if any(row.alone for row in rows):
        say(f"\n{ALONE}")
