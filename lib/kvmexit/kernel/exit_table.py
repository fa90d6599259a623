"""What the next KVM_RUN completes, exit by exit: the rows of ``exits.toml``.

The book's reference page prints these rows and the log reader judges by them: there is one table.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PC = {"at": "at", "past": "past", "user": "user", "stays": "stays", "-": "–"}


@dataclass(frozen=True)
class Exit:
    """One row: fields as at the head of the file."""

    number: int
    name: str
    arch: str
    completes: bool
    pc: str
    who: str
    sources: tuple[str, ...]
    type: str = ""
    by: str = ""
    again: bool = False
    listed: bool = False


@cache
def read_exits() -> tuple[Exit, ...]:
    """All rows, in the order of the file. ValueError for one that is incomplete."""
    return rows_of(files("kvmexit.kernel").joinpath("exits.toml").read_text(encoding="utf-8"))


def rows_of(text: str) -> tuple[Exit, ...]:
    """The rows in ``text``, which is TOML. ValueError for one that is incomplete."""
    rows = []
    for entry in tomllib.loads(text)["exit"]:
        try:
            row = Exit(**{**entry, "sources": tuple(entry["sources"])})
        except (TypeError, KeyError) as problem:
            raise ValueError(f"exits.toml: exit {entry.get('number')}: {problem}") from None
        if row.completes != bool(row.by) or row.pc not in PC:
            raise ValueError(f"exits.toml: exit {row.number}: `by` and `pc` do not fit")
        rows.append(row)
    return tuple(rows)


@cache
def names() -> dict[int, str]:
    """The name of each exit number, with its ``KVM_EXIT_``."""
    return {row.number: f"KVM_EXIT_{row.name}" for row in read_exits()}


@cache
def numbers() -> dict[str, int]:
    """The number of each name."""
    return {name: number for number, name in names().items()}


@cache
def needs(number: int, machine: str = "") -> bool | None:
    """Whether this exit has something that the next KVM_RUN completes.

    ``machine`` is an architecture of the table (``arm64``), or ``x86 (SVM)`` with its vendor; ""
    where nobody knows. ``None``: that depends on the exit's type or on the machine, or the number
    is not in the table. An exit that the kernel's documentation lists in its note needs the next
    entry wherever it is not known to be of another machine: that is what userspace may rely on.
    """
    rows = [row for row in read_exits() if row.number == number]
    of_it = [row for row in rows if machine and _fits(row.arch, machine)]
    # An exit that this architecture has in one way only is judged by that row.
    found = {row.completes for row in of_it or rows}
    if len(found) == 1:
        return found.pop()
    return True if any(row.completes and row.listed for row in of_it or rows) else None


def _fits(arch: str, machine: str) -> bool:
    """Whether a row of ``arch`` speaks of ``machine``: ``x86 (VMX, SVM)`` of ``x86 (SVM)``."""
    family, _, vendors = arch.rstrip(")").partition(" (")
    of, _, vendor = machine.rstrip(")").partition(" (")
    if arch == "any":
        return True
    return family == of and (not vendors or not vendor or vendor in vendors.split(", "))
