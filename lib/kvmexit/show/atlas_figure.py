"""The atlas to be guessed at: one entry an exit, which answers the guess that the reader makes.

Radio buttons and style sheets do all of it: no script, no kernel. Where neither styles nor
buttons are left (a terminal, a screen without them), it is a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import DataExit, MmioRead, MmioWrite, PioIn, PioOut
from kvmexit.guest.assembler import Program
from kvmexit.probe.cases import ORIGIN, Case
from kvmexit.probe.report import Report, Row
from kvmexit.probe.saves import SAVES
from kvmexit.probe.verdict import Verdict, access
from kvmexit.show.atlas_style import style

KINDS = {
    "mmio-read": "MMIO reads",
    "mmio-write": "MMIO writes",
    "pio": "ports",
    "msr": "MSRs",
    "several": "several exits",
}
"""The filters, by the classes that entries carry."""

WHEN = {
    "served": "served, then saved",
    "unserved": "saved unserved",
    "kick-once": "one entry, unserved",
    "serve-once": "one entry, served",
    "drain": "drain",
}

REASONS = {
    ("served", Verdict.FINE): "What was to be done is done, and the registers say so.",
    ("served", Verdict.REPEATED): "The registers stand before the access, and the new VM makes"
    " it again.",
    ("served", Verdict.LOST): "The registers stand behind the whole instruction, and there was"
    " more of it to come.",
    ("unserved", Verdict.FINE): "Nobody had asked the device; the new VM does.",
    ("unserved", Verdict.REPEATED): "This piece had not been asked for, but an earlier one had,"
    " and the new VM begins with the first.",
    ("unserved", Verdict.LOST): "The registers stand behind the access, and nobody had told the"
    " device.",
    ("kick-once", Verdict.FINE): "The entry came back with an access that the new VM makes again;"
    " nobody had served it.",
    ("kick-once", Verdict.REPEATED): "The entry came back with the next piece. What was served"
    " before is in no register.",
    ("kick-once", Verdict.LOST): "The entry came back with a write, and nobody served it.",
    ("serve-once", Verdict.FINE): "The entry came back with the last piece, a write, and that was"
    " served.",
    ("serve-once", Verdict.REPEATED): "The entry came back with a read. It was served, and then"
    " that was pending.",
    ("serve-once", Verdict.LOST): "The entry came back with a piece, which was served, and there"
    " was one more.",
    ("unserved", Verdict.TORN): "Reading the registers wrote back what the first half of the"
    " instruction had done, and the new VM begins with the first half again.",
    ("kick-once", Verdict.TORN): "The entry came back in the middle of the instruction, and the"
    " registers have its first half in them.",
    ("drain", Verdict.FINE): "Entries until EINTR: nothing was left to be done.",
}
ONE_ENTRY = "One entry was all that it took: it came back with EINTR."


@dataclass(frozen=True, slots=True)
class Entry:
    """Neighbouring exits of one instruction that fare alike, from ``row`` to ``last``."""

    case: Case
    of: int
    row: Row
    last: Row
    first_of_its_kind: bool

    @property
    def exits(self) -> str:
        """Which of the access's exits these are, counted from 1."""
        number = str(self.row.k + 1)
        if self.last is not self.row:
            number = f"{number} to {self.last.k + 1}"
        return f"exit {number} of {self.of}"

    @property
    def classes(self) -> str:
        """The filters that show this entry."""
        kind = access(self.row.exit)[0]
        names = [kind if kind.startswith("mmio") else "pio" if kind.startswith("pio") else "msr"]
        names += ["several"] * (self.of > 1) + ["one"] * self.first_of_its_kind
        return " ".join(names)

    def verdict(self, save: str) -> Verdict:
        """What becomes of ``save`` here."""
        verdict = self.row.save[save]
        if verdict is None:
            raise KvmExitError(
                f"{self.case.name}: the drain does not end, so {save} has no verdict"
            )
        return verdict

    def reason(self, save: str) -> str:
        """Why, in a sentence."""
        verdict = self.verdict(save)
        if save in ("kick-once", "serve-once") and self.row.drain_runs == 1:
            return ONE_ENTRY
        return REASONS.get((save, verdict), f"{verdict.meaning[:1].upper()}{verdict.meaning[1:]}.")

    def alone(self, save: str) -> str:
        """What comes of it with the registers alone, if that is something else."""
        verdict = self.row.alone.get(save)
        return verdict and f" Without the events: {verdict.value}." or ""


@dataclass(frozen=True, slots=True)
class Atlas:
    """A table of guesses. ``key`` keeps two of them on one page apart."""

    entries: tuple[Entry, ...]
    exits: int
    key: str

    def __repr__(self) -> str:
        heads = ("access", "exit", *SAVES, "entries", "RAM")
        lines = [heads, *(_cells(entry) for entry in self.entries)]
        widths = [max(len(line[n]) for line in lines) for n in range(len(heads))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in lines
        )

    def html(self) -> str:
        """Buttons for the save and the kind, and an entry each."""
        saves = _choice(f"{self.key}-s", "The save", list(WHEN.items()))
        kinds = [("one", "one of each"), *KINDS.items(), ("all", f"all {self.exits} exits")]
        shown = _choice(f"{self.key}-f", "Show", kinds)
        entries = "".join(_item(entry, f"{self.key}{n}") for n, entry in enumerate(self.entries))
        return (
            f'<div class="kvmexit-atlas"><style>{style(self.key, SAVES, KINDS, Verdict)}</style>'
            f"{saves}{shown}<ol>{entries}</ol></div>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}


def atlas(reports: Sequence[Report], key: str = "atlas") -> Atlas:
    """A table of guesses from probes of restores into a new VM.

    Raises KvmExitError for probes of another restore, whose reasons are others.
    """
    entries: list[Entry] = []
    seen = set()
    for report in reports:
        if report.restore != "new-vm":
            raise KvmExitError(f"the table explains restores into a new VM, not {report.restore}")
        for (kind, _, fate), group in groupby(report.rows, _alike):
            rows = list(group)
            new = (kind, len(rows) > 1, fate) not in seen
            seen.add((kind, len(rows) > 1, fate))
            entries.append(Entry(report.case, len(report.rows), rows[0], rows[-1], new))
    return Atlas(tuple(entries), sum(len(report.rows) for report in reports), key)


def _alike(row: Row) -> tuple[str, int, tuple[Verdict | None, ...]]:
    """What two exits must share to stand in one entry: kind, instruction and every verdict."""
    verdicts = [verdict.get(save) for verdict in (row.save, row.alone) for save in SAVES]
    return access(row.exit)[0], row.rip, tuple(verdicts)


def _cells(entry: Entry) -> tuple[str, ...]:
    verdicts = (entry.row.verdict(save) for save in SAVES)
    row = entry.row
    exits = entry.exits.removeprefix("exit ")
    runs = str(row.drain_runs)
    return entry.case.name, exits, *verdicts, runs, str(row.ram_written or "")


def code(case: Case) -> str:
    """The instructions of a case in one line, without the closing ``hlt``."""
    rows = Program(ORIGIN, case.code).rows()[:-1]
    return "; ".join(text for _, _, text in rows)


def exit_words(exit: DataExit) -> str:
    """What an exit asks for."""
    _, where, size, count = access(exit)
    many = f"{size * count} byte{'s' if size * count > 1 else ''}"
    match exit:
        case MmioRead():
            return f"MMIO read of {many} at {where:#x}"
        case MmioWrite():
            return f"MMIO write of {many} at {where:#x}"
        case PioIn():
            return f"port {where:#x} read, {many}"
        case PioOut():
            return f"port {where:#x} written, {many}"
    return f"{type(exit).__name__.lower()} of MSR {where:#x}"


def _facts(row: Row, last: Row) -> str:
    after = "" if row.rip_after is None else f", {row.rip_after:#x} after the drain"
    runs = row.drain_runs or 0
    down = f" down to {last.drain_runs}" if last.drain_runs != runs else ""
    entries = f"{runs}{down} KVM_RUN{'s' if runs > 1 else ''}"
    facts = f"rip {row.rip:#x} at the exit{after}; {entries} to EINTR"
    if row.ram_written:
        facts += f"; the drain writes {row.ram_written} bytes of RAM"
    if row.changed:
        moved = " ".join(f"{name}={value:x}" for name, value in row.changed.items())
        facts += f"; already changed: {moved}"
    return facts + "."


def _choice(name: str, legend: str, options: list[tuple[str, str]]) -> str:
    """Radio buttons before the list, whose style follows them; the first is chosen."""
    buttons = "".join(
        f'<input type="radio" name="{name}" id="{name}-{value}"'
        f' aria-describedby="{name}"{" checked" * (not n)}>'
        f'<label for="{name}-{value}">{escape(text)}</label>'
        for n, (value, text) in enumerate(options)
    )
    return f'<p id="{name}">{legend}:</p>{buttons}'


def _item(entry: Entry, name: str) -> str:
    """What is asked, the guesses, and the answers to all five saves; styles show one of them."""
    guesses = "".join(
        f'<input type="radio" name="{name}" id="{name}{v.value}" class="g-{v.value}">'
        f'<label for="{name}{v.value}">{v.value}</label>'
        for v in Verdict
    )
    answers = "".join(
        f'<p class="s-{save} v-{entry.verdict(save).value}"><b class="yes">Yes, </b>'
        f'<b class="no">No, </b><strong>{entry.verdict(save).value}</strong>.'
        f" {escape(entry.reason(save))}{entry.alone(save)}</p>"
        for save in SAVES
    )
    return (
        f'<li class="{entry.classes}"><fieldset><legend>{escape(entry.case.name)}'
        f" <small>{entry.exits}</small></legend>"
        f"<p><code>{escape(code(entry.case))}</code> {escape(exit_words(entry.row.exit))}</p>"
        f'<input type="radio" name="{name}" id="{name}none" class="g-none" checked>'
        f'<label for="{name}none">no guess</label>{guesses}'
        f'<div class="said">{answers}<p>{escape(_facts(entry.row, entry.last))}</p></div>'
        "</fieldset></li>"
    )
