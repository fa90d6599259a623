"""The judge: applies the rule to the events of a log, one vCPU at a time.

Memory grows with the number of vCPUs and of findings kept, never with the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from kvmexit.tracelint import rule
from kvmexit.tracelint.events import Access, Event, Kind, Vcpu
from kvmexit.tracelint.finding import Finding, Line, line_of
from kvmexit.tracelint.rule import Gap, Ruling


class Verdict(Enum):
    """The answer to: is this VMM's save path right?"""

    CLEAN = "clean"
    FINDINGS = "findings"
    CANNOT_TELL = "cannot tell"


_KEPT_LINES = 12


class _Seat:
    """What is known of one vCPU."""

    __slots__ = (
        "access",
        "entries",
        "exit",
        "gap",
        "lines",
        "names",
        "reason",
        "running",
        "thread",
    )

    def __init__(self, gap: Gap) -> None:
        self.gap, self.running, self.entries = gap, False, 0
        self.reason: int | None = None
        self.access: Access | None = None
        self.exit: Event | None = None
        self.thread = 0
        self.names: list[str] = []
        self.lines: list[Line] = []


@dataclass(slots=True)
class Judge:
    """Takes events, yields findings, and knows the verdict at the end.

    ``keep`` bounds the findings that are kept in full; all are counted.
    """

    shows_ioctls: bool = True
    keep: int = 1000
    findings: list[Finding] = field(default_factory=list)
    count: int = 0
    fine: int = 0
    drains: int = 0
    entries: int = 0
    cuts: int = 0
    doubts: Counter[str] = field(default_factory=Counter)
    doubt_lines: dict[str, int] = field(default_factory=dict)
    _seats: dict[Vcpu, _Seat] = field(default_factory=dict)
    _closed: int = 0

    @property
    def vcpus(self) -> int:
        """How many vCPUs the log shows."""
        return self._closed + len(self._seats)

    def take(self, event: Event) -> None:
        """One event, in the order of the log."""
        kind, vcpu = event.kind, event.vcpu
        if vcpu is None:
            if kind in (Kind.CUT, Kind.LOST):
                self._lost(event, list(self._seats.values()))
            elif kind is Kind.VM_GET:
                self._vm_get(event)
            return
        seat = self._seats.get(vcpu)
        if seat is None:
            seat = self._seats[vcpu] = _Seat(Gap.UNKNOWN)
        if kind is Kind.RETURN:
            self._return(vcpu, seat, event)
        elif kind is Kind.ENTRY:
            self._entry(vcpu, seat, event)
        elif kind is Kind.GET or kind is Kind.SET:
            self._touch(seat, event)
        elif kind is Kind.CREATED:
            seat.gap = Gap.FRESH
        elif kind is Kind.CLOSED:
            self._close(vcpu, seat)
            del self._seats[vcpu]
            self._closed += 1
        elif kind is Kind.ABANDONED:
            self._abandoned(vcpu, seat, event)
        else:
            self._lost(event, [seat])

    def end(self) -> None:
        """The log is over. One that shows no ioctls says that reads were completed; of an exit
        that is pending at its end it says nothing."""
        for vcpu, seat in self._seats.items():
            self._close(vcpu, seat)
            if not self.shows_ioctls and seat.gap is Gap.PENDING and seat.exit:
                self._doubt(rule.ENDS_PENDING, seat.exit.line)

    def verdict(self) -> Verdict:
        """Findings outweigh doubts; without either, something must have been judged fine."""
        if self.count:
            return Verdict.FINDINGS
        if self.doubts or not (self.fine or (self.drains and not self.shows_ioctls)):
            return Verdict.CANNOT_TELL
        return Verdict.CLEAN

    def reasons(self) -> Iterator[str]:
        """Why the verdict is *cannot tell*, most frequent reason first."""
        for doubt, times in self.doubts.most_common():
            often = f", {times} times" if times > 1 else ""
            yield f"{doubt} (line {self.doubt_lines[doubt]}{often})"
        if self.verdict() is Verdict.CANNOT_TELL and not self.doubts:
            if not self.entries:
                yield "no KVM_RUN in this log"
            elif self.shows_ioctls:
                yield "no vCPU state was read or written after the guest had run: record a save"
            else:
                yield "no drain in this log, and it does not show ioctls: record them too"

    # ------------------------------------------------------------------ one event each

    def _entry(self, vcpu: Vcpu, seat: _Seat, event: Event) -> None:
        if seat.running:  # the return of the previous KVM_RUN is not in the log
            seat.gap = Gap.UNKNOWN
        self._close(vcpu, seat, event)
        seat.running = True
        self.entries += 1

    def _return(self, vcpu: Vcpu, seat: _Seat, event: Event) -> None:
        if not seat.running:
            if seat.names:
                self._close(vcpu, seat, event)
            self.entries += 1
        seat.running = False
        before = seat.gap
        gap = seat.gap = rule.after_run(event.result, event.reason, before)
        if event.result == rule.EINTR and before is Gap.PENDING:
            self.drains += 1
        if event.name:  # QEMU's log: KVM_RUN was called, and nothing came of it
            seat.gap = Gap.SILENT
        elif gap is before and gap is Gap.DONE:
            return
        seat.exit, seat.reason, seat.access = event, event.reason, event.access
        seat.thread = event.thread

    def _touch(self, seat: _Seat, event: Event) -> None:
        if event.result is not None and event.result < 0:
            return  # it failed: nothing was read or written
        ruling = rule.RULING[seat.gap]
        if ruling is Ruling.FINE:
            self.fine += 1
        elif ruling is Ruling.FINDING:
            self._window(seat, event)
        elif ruling is Ruling.CANNOT_TELL:
            self._doubt(rule.DOUBT[seat.gap], event.line)

    def _vm_get(self, event: Event) -> None:
        """Only the thread that runs a vCPU knows it to be stopped when it saves the VM."""
        if event.result is not None and event.result < 0:
            return
        for vcpu, seat in self._seats.items():
            if seat.gap is not Gap.PENDING or seat.running or seat.thread != event.thread:
                continue
            if event.vm is None or vcpu.vm is None or event.vm == vcpu.vm:
                self._window(seat, event)

    def _lost(self, event: Event, seats: list[_Seat]) -> None:
        if event.kind is Kind.CUT:
            self.cuts += 1
        else:
            self._doubt(event.name or "lines are missing or garbled", event.line)
        for seat in seats:
            seat.gap, seat.running = Gap.UNKNOWN, False

    def _abandoned(self, vcpu: Vcpu, seat: _Seat, event: Event) -> None:
        self._window(seat, event)
        self._close(vcpu, seat)

    # ------------------------------------------------------------------ windows

    def _doubt(self, why: str, line: int) -> None:
        self.doubts[why] += 1
        self.doubt_lines.setdefault(why, line)

    def _window(self, seat: _Seat, event: Event) -> None:
        if len(seat.names) < 64:
            seat.names.append(event.name)
        if len(seat.lines) < _KEPT_LINES:
            role = "abandoned" if event.kind is Kind.ABANDONED else "state"
            seat.lines.append(line_of(event, role))

    def _close(self, vcpu: Vcpu, seat: _Seat, entry: Event | None = None) -> None:
        """The gap ends: with the entry that completes, or with the log."""
        if not seat.names:
            return
        self.count += 1
        if len(self.findings) < self.keep:
            self.findings.append(_finding(vcpu, seat, entry))
        seat.names, seat.lines = [], []


def _finding(vcpu: Vcpu, seat: _Seat, entry: Event | None) -> Finding:
    lines = list(seat.lines)
    line = lines[0].number
    if seat.exit:
        lines.insert(0, line_of(seat.exit, "exit"))
    if entry:
        lines.append(line_of(entry, "entry"))
    access = seat.access or Access()
    return Finding(
        line=line,
        exit_line=seat.exit.line if seat.exit else line,
        vcpu=vcpu.label,
        exit=rule.exit_name(seat.reason),
        direction=access.direction,
        where=access.where,
        ioctls=tuple(seat.names),
        effect=rule.effect(seat.reason, seat.access, set(seat.names)),
        lines=tuple(lines),
    )
