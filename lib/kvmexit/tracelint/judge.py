"""The judge: applies the rule to the events of a log, one vCPU at a time.

Memory grows with the number of vCPUs and of findings kept, never with the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from kvmexit.tracelint import doubts, rule
from kvmexit.tracelint.doubts import Doubt
from kvmexit.tracelint.effects import ABANDONED
from kvmexit.tracelint.events import Event, Kind
from kvmexit.tracelint.finding import Finding, Window, line_of
from kvmexit.tracelint.identity import Vcpu
from kvmexit.tracelint.rule import Gap, Ruling

_MOST_DOUBTS = 32


class Verdict(Enum):
    """The answer to: is this VMM's save path right?"""

    CLEAN = "clean"
    FINDINGS = "findings"
    CANNOT_TELL = "cannot tell"


class _Seat:
    """What is known of one vCPU.

    ``open`` are the state ioctls that have begun, each with the gaps it may have been in;
    ``late`` those that ended while another thread was in KVM_RUN: the gap behind it counts too.
    """

    __slots__ = ("doubt", "exit", "gap", "late", "open", "running", "thread", "window")

    def __init__(self, gap: Gap) -> None:
        self.gap, self.doubt, self.running = gap, doubts.UNKNOWN, False
        self.exit: Event | None = None
        self.thread = 0
        self.window: Window | None = None
        self.open: dict[int, set[Gap]] = {}
        self.late: list[tuple[Event, set[Gap]]] = []


class Machine(Protocol):
    """Who knows the architecture of a log: ``machine``, in the words of the table of exits."""

    machine: str

    @property
    def single(self) -> bool: ...


@dataclass(slots=True)
class Judge:
    """Takes events, yields findings, and knows the verdict at the end.

    ``keep`` bounds the findings that are kept in full; all are counted. ``source`` is the reader,
    which knows the architecture, sooner or later.
    """

    shows_ioctls: bool = True
    keep: int = 1000
    source: Machine | None = None
    count: int = 0
    fine: int = 0
    drains: int = 0
    entries: int = 0
    cuts: int = 0
    doubts: Counter[Doubt] = field(default_factory=Counter)
    doubt_lines: dict[Doubt, int] = field(default_factory=dict)
    disorder: bool = False
    _kinds: dict[str, Doubt] = field(default_factory=dict)
    needs: dict[str, int] = field(default_factory=dict)
    _windows: list[Window] = field(default_factory=list)
    _seats: dict[Vcpu, _Seat] = field(default_factory=dict)
    _closed: int = 0
    _mixed: bool = False
    _guessed: list[int] = field(default_factory=list)  # lines of touches by unrelated threads
    _first: int = 0  # a garbled first line: told only if the rest has nothing to judge

    @property
    def machine(self) -> str:
        """The architecture, as far as the log has shown it."""
        return self.source.machine if self.source else ""

    @property
    def vcpus(self) -> int:
        """How many vCPUs the log shows."""
        return self._closed + len(self._seats)

    def take(self, event: Event) -> None:
        """One event, in the order of the log."""
        kind, vcpu = event.kind, event.vcpu
        if vcpu is None:
            self._of_all(event)
            return
        seat = self._seats.get(vcpu)
        if seat is None:
            seat = self._seats[vcpu] = _Seat(Gap.HIDDEN)
        if kind is Kind.RETURN:
            self._return(vcpu, seat, event)
        elif kind is Kind.ENTRY:
            self._entry(vcpu, seat, event)
        elif kind is Kind.GET or kind is Kind.SET:
            self._touch(vcpu, seat, event)
        elif kind is Kind.BEGUN:
            seat.open[event.thread] = self._gaps(vcpu, seat, event.thread)
        elif kind is Kind.CREATED:
            seat.gap = Gap.FRESH
        elif kind is Kind.CLOSED:
            self._settle(vcpu, seat)
            self._close(vcpu, seat)
            del self._seats[vcpu]
            self._closed += 1
        elif kind is Kind.ABANDONED:
            self._window(vcpu, seat, event)
            self._close(vcpu, seat)
        else:
            self._lost(event, [seat])

    def _of_all(self, event: Event) -> None:
        if event.kind is Kind.CUT or event.kind is Kind.LOST:
            self._lost(event, list(self._seats.values()))
        elif event.kind is Kind.VM_GET:
            self._vm_get(event)
        elif event.kind is Kind.DISORDER and event.doubt:
            self.disorder = True
            self._doubt(event.doubt, event.line)

    def end(self, recorded: frozenset[str] | None = None) -> None:
        """The log is over; ``recorded`` are the event classes that it has, if that matters.

        One that shows no ioctls says that reads were completed; of an exit that is pending at its
        end it says nothing.
        """
        for vcpu, seat in self._seats.items():
            self._settle(vcpu, seat)
            self._close(vcpu, seat)
            if not self.shows_ioctls and seat.gap is Gap.PENDING and seat.exit:
                self._doubt(doubts.ENDS_PENDING, seat.exit.line)
        if recorded is not None:
            self._unrecorded(recorded)
        if self._mixed:
            for line in self._guessed:
                self._doubt(doubts.WHOSE, line)
            self.count -= sum(1 for window in self._windows if window.guessed)
            self._windows = [window for window in self._windows if not window.guessed]
        if self.disorder:
            self.count, self._windows = 0, []

    def _unrecorded(self, recorded: frozenset[str]) -> None:
        """What was told from the absence of an event that the log has nowhere is not so."""
        for name, line in self.needs.items():
            if name not in recorded:
                self._doubt(doubts.unrecorded(name), line)
                self.drains = 0
        if "kvm_pio" not in recorded and doubts.STALE in self.doubts:
            why = doubts.unrecorded("kvm_pio")  # with it, port input shows when it is completed
            self.doubts[why] += self.doubts.pop(doubts.STALE)
            self.doubt_lines.setdefault(why, self.doubt_lines.pop(doubts.STALE))
        for window in list(self._windows):
            window.forget_direction(recorded)
            if window.untold(recorded) and window.names[0] == ABANDONED:
                self.count -= 1
                self._windows.remove(window)
                self._doubt(doubts.unrecorded(window.needs), window.lines[0].number)

    def findings(self) -> tuple[Finding, ...]:
        """The findings that were kept, as they are known at the end of the log."""
        return tuple(window.finding(self.machine) for window in self._windows)

    def verdict(self) -> Verdict:
        """Findings outweigh doubts; without either, something must have been judged fine."""
        if self.count:
            return Verdict.FINDINGS
        if self.doubts or not (self.fine or (self.drains and not self.shows_ioctls)):
            return Verdict.CANNOT_TELL
        return Verdict.CLEAN

    def reasons(self) -> Iterator[str]:
        """Why the verdict is *cannot tell*, most frequent reason first, and what would decide."""
        for doubt, times in self.doubts.most_common():
            often = f", {times} times" if times > 1 else ""
            yield f"{doubt.why} (line {self.doubt_lines[doubt]}{often}); to decide: {doubt.command}"
        if self.verdict() is Verdict.CANNOT_TELL and not self.doubts:
            doubt = doubts.NO_SAVE if self.shows_ioctls else doubts.NO_IOCTLS
            if not self.entries:
                doubt = doubts.NO_RUN
            if self.source and self.source.single:
                doubt = doubts.of_one_file(doubt)
            also = f"; line {self._first} is garbled" if self._first else ""
            yield f"{doubt.why}{also}; to decide: {doubt.command}"

    # ------------------------------------------------------------------ one event each

    def _entry(self, vcpu: Vcpu, seat: _Seat, event: Event) -> None:
        if seat.running:  # the return of the previous KVM_RUN is not in the log
            seat.gap, seat.doubt = Gap.HIDDEN, doubts.UNKNOWN
            self._settle(vcpu, seat)
        self._close(vcpu, seat, event)
        seat.running, seat.thread = True, event.thread
        self.entries += 1

    def _return(self, vcpu: Vcpu, seat: _Seat, event: Event) -> None:
        if not seat.running:
            if seat.window:
                self._close(vcpu, seat, event)
            self.entries += 1
        before = seat.gap
        gap, doubt = rule.after_run(event, before, self.machine)
        same = gap is before and (gap is Gap.DONE or rule.never_ran(event.result))
        if not (same and gap is Gap.HIDDEN):
            seat.doubt = doubt
        seat.running, seat.gap, seat.thread = False, gap, event.thread
        group = vcpu.group
        group.latest = vcpu
        if len(group.members) > 1 and not group.apart:
            self._mixed = True
        if event.needs:
            self.needs.setdefault(event.needs, event.line)
        if event.result == rule.EINTR and before is Gap.PENDING:
            self.drains += 1
        if seat.open or seat.late:
            for gaps in seat.open.values():
                gaps.add(gap)
            self._settle(vcpu, seat, gap)
        if len(group.members) > 1:
            self._tell_others(vcpu, gap)
        if not same:
            seat.exit = event

    def _tell_others(self, vcpu: Vcpu, gap: Gap) -> None:
        """State ioctls that have begun on what is called another vCPU, and may mean this one."""
        for one in vcpu.group.members:
            other = self._seats.get(one) if one is not vcpu else None
            for thread, gaps in other.open.items() if other else ():
                if vcpu in vcpu.group.may_mean(thread):
                    gaps.add(gap)

    def _gaps(self, vcpu: Vcpu, seat: _Seat, thread: int) -> set[Gap]:
        """The gaps that a touch by ``thread`` may be in now."""
        if len(vcpu.group.members) < 2:
            return {seat.gap}
        found = set()
        for one in vcpu.group.may_mean(thread):
            other = self._seats.get(one)
            found.add(other.gap if other else Gap.HIDDEN)
        return found or {seat.gap}

    def _touch(self, vcpu: Vcpu, seat: _Seat, event: Event) -> None:
        gaps = seat.open.pop(event.thread, None) if seat.open else None
        if event.result is not None and event.result < 0:
            return  # it failed: nothing was read or written
        if gaps is None:
            alone = len(vcpu.group.members) == 1 and not seat.running
            if alone and seat.gap is Gap.DONE and event.thread in (vcpu.runner, vcpu.maker):
                self.fine += 1  # what nearly all of them are
                return
            gaps = self._gaps(vcpu, seat, event.thread)
        if len(vcpu.group.members) > 1 and self._others_run(vcpu, event.thread):
            gaps.add(Gap.HIDDEN)
        if seat.running and seat.thread != event.thread:
            seat.late.append((event, gaps))
            return
        self._rule(vcpu, seat, event, gaps)

    def _others_run(self, vcpu: Vcpu, thread: int) -> bool:
        """Whether another vCPU that ``thread`` may mean is in another thread's KVM_RUN."""
        others = [self._seats.get(one) for one in vcpu.group.may_mean(thread) if one is not vcpu]
        return any(other and other.running and other.thread != thread for other in others)

    def _settle(self, vcpu: Vcpu, seat: _Seat, gap: Gap | None = None) -> None:
        """State ioctls that overlapped a KVM_RUN, now that it has returned."""
        late, seat.late = seat.late, []
        for event, gaps in late:
            self._rule(vcpu, seat, event, gaps | ({gap} if gap else set()))

    def _rule(self, vcpu: Vcpu, seat: _Seat, event: Event, gaps: set[Gap]) -> None:
        rulings = {rule.RULING[gap] for gap in gaps}
        if len(vcpu.group.members) > 1 and Ruling.SETUP in rulings and len(rulings) > 1:
            rulings.add(Ruling.CANNOT_TELL)
        reason = seat.exit.reason if seat.exit else None
        if rulings == {Ruling.FINDING} and rule.by_machine(reason, event.name, self.machine):
            self._doubt(doubts.depends(rule.exit_name(reason)), event.line)
        elif rulings == {Ruling.FINDING}:
            self._window(vcpu, seat, event)
        elif rulings <= {Ruling.SETUP, Ruling.FINE}:
            self.fine += Ruling.FINE in rulings
        elif len(vcpu.group.members) > 1 and len(rulings) > 1:
            self._doubt(doubts.WHOSE, event.line)
        elif len(rulings) > 1:
            self._doubt(doubts.OVERLAP, event.line)
        else:
            self._doubt(seat.doubt, event.line)
        if vcpu.group.strangers(event.thread, vcpu) and len(self._guessed) < self.keep:
            self._guessed.append(event.line)

    def _vm_get(self, event: Event) -> None:
        """Only the thread that runs a vCPU knows it to be stopped when it saves the VM."""
        if event.result is not None and event.result < 0:
            return
        for vcpu, seat in self._seats.items():
            if seat.gap is not Gap.PENDING or seat.running or seat.thread != event.thread:
                continue
            if len(vcpu.group.members) > 1 and not vcpu.group.apart:
                continue
            if event.vm is None or vcpu.vm is None or event.vm == vcpu.vm:
                self._window(vcpu, seat, event)

    def _lost(self, event: Event, seats: list[_Seat]) -> None:
        if event.kind is Kind.CUT:
            self.cuts += 1
        elif event.line == 1:
            self._first = 1
        else:
            self._doubt(event.doubt or doubts.GARBLED, event.line)
        for seat in seats:
            seat.gap, seat.doubt, seat.running = Gap.HIDDEN, doubts.UNKNOWN, False
            for gaps in seat.open.values():
                gaps.add(Gap.HIDDEN)

    # ------------------------------------------------------------------ windows

    def _doubt(self, why: Doubt, line: int) -> None:
        """One more doubt. Of a kind the first is told; of very many kinds, not all."""
        if why.kind:
            why = self._kinds.setdefault(why.kind, why)
        if why not in self.doubts and len(self.doubts) >= _MOST_DOUBTS:
            why = doubts.OTHERS
        self.doubts[why] += 1
        self.doubt_lines.setdefault(why, line)

    def _window(self, vcpu: Vcpu, seat: _Seat, event: Event) -> None:
        if seat.window is None:
            seat.window = Window(vcpu.label, seat.exit, event.needs)
            seat.window.guessed = vcpu.group.strangers(event.thread, vcpu)
        role = "abandoned" if event.kind is Kind.ABANDONED else "state"
        seat.window.add(event, role)

    def _close(self, vcpu: Vcpu, seat: _Seat, entry: Event | None = None) -> None:
        """The gap ends: with the entry that completes, or with the log."""
        window, seat.window = seat.window, None
        if window is None:
            return
        self.count += 1
        if len(self._windows) < self.keep:
            if entry:
                window.lines.append(line_of(entry, "entry"))
            self._windows.append(window)
