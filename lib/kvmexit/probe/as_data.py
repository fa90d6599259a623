"""A report as values that JSON can say; code, addresses and data are hex strings."""

from __future__ import annotations

from typing import Any

from kvmexit.exits import DataExit
from kvmexit.probe.report import Report, Row
from kvmexit.probe.saves import SAVES
from kvmexit.probe.verdict import access

WHERE = {"mmio": "gpa", "pio": "port", "rdmsr": "msr", "wrmsr": "msr"}


def exit_data(exit: DataExit) -> dict[str, Any]:
    """``kind``, ``gpa`` or ``port`` or ``msr`` or ``number``, ``size``, ``count``."""
    kind, where, size, count = access(exit)
    place = WHERE.get(kind.split("-")[0], "number")
    return {"kind": kind, place: hex(where), "size": size, "count": count}


def row_data(row: Row, counter: str = "rip") -> dict[str, Any]:
    """One exit; ``counter`` is what its machine calls the program counter."""
    verdicts = ((name, row.save[name]) for name in SAVES)
    return {
        "k": row.k,
        **exit_data(row.exit),
        counter: hex(row.rip),
        f"{counter}_after": None if row.rip_after is None else hex(row.rip_after),
        "changed": {name: hex(value) for name, value in row.changed.items()},
        "drain_runs": row.drain_runs,
        "ram_written": row.ram_written,
        "save": {name: verdict and verdict.value for name, verdict in verdicts},
        "registers_alone": {name: verdict.value for name, verdict in row.alone.items()},
    }


def as_data(report: Report) -> dict[str, Any]:
    """The whole report."""
    return {
        "code": report.case.code.hex(),
        "listing": report.case.listing(),
        "kernel": report.kernel,
        "restore": report.restore,
        "exits": [row_data(row, report.state.counter) for row in report.rows],
        "log": [{**exit_data(exit), "data": data.hex()} for exit, data in report.log],
        "end": report.end,
    }
