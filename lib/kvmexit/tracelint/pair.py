"""Two logs of one restore: what the destination repeats, and what is missing between the two.

A log of kernel events shows values. The source's last exit says what was pending when its state
was read; the destination's first access says how the guest goes on. A write that both show was
made twice. Of a read the source's answer is in no log (it is logged at a completion that never
came); where the reads before counted in even steps, the value between can be told all the same.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from kvmexit.errors import KvmExitError
from kvmexit.tracelint.accesses import MMIO, PIO
from kvmexit.tracelint.bare import REASON
from kvmexit.tracelint.reading import batches, check_text, opened, uncoloured
from kvmexit.tracelint.tracefs import HEADER

_STEPS = 3
"""So many values in even steps are a count."""


class Seen(NamedTuple):
    """An access of the guest in a log; ``value`` is ``None`` for a read that has no answer yet."""

    direction: str
    where: str
    value: int | None
    line: int


@dataclass(slots=True)
class _Trail:
    """One vCPU's accesses: the first, the pending, and the last values read at each place."""

    first: Seen | None = None
    asked: Seen | None = None
    pending: Seen | None = None
    values: dict[str, deque[int]] = field(default_factory=dict)

    def take(self, number: int, event: bytes) -> None:
        if exit := REASON.search(event):
            data = exit[1] in (b"KVM_EXIT_IO", b"KVM_EXIT_MMIO")
            self.pending = (self.asked or Seen("read", "", None, number)) if data else None
            self.asked = None
            return
        match = MMIO.search(event) or PIO.search(event)
        if match is None:
            return
        what = match[1].decode()
        place = match[3] if b"kvm_mmio" in event else match[2]
        where = f"{'gpa' if b'kvm_mmio' in event else 'port'} {place.decode()}"
        text = event.rpartition(b"val ")[2].split()
        value = int(text[0], 16) if b"val " in event and text else None
        seen = Seen("write" if what == "write" else "read", where, value, number)
        if what == "read":
            self.pending = None
            if value is not None:
                self.values.setdefault(where, deque(maxlen=_STEPS)).append(value)
        else:
            self.asked = seen if what == "write" else seen._replace(value=None)
        if self.first is None and what != "unsatisfied-read":
            self.first = seen


class Between(NamedTuple):
    """What one vCPU's two logs say together: ``kind`` is repeated, missing, whole or unknown."""

    vcpu: str
    kind: str
    says: str
    values: tuple[int, ...] = ()


def compare(source: str, destination: str) -> tuple[Between, ...]:
    """What lies between the end of ``source`` and the start of ``destination``, vCPU by vCPU.

    Raises :class:`~kvmexit.errors.KvmExitError` if a file cannot be read, or shows no values.
    """
    before, after = _trails(source), _trails(destination)
    found = tuple(_between(name, before[name], after[name]) for name in before if name in after)
    if not found:
        raise KvmExitError(f"{source} and {destination} have no vCPU thread of the same name")
    return found


def _trails(name: str) -> dict[str, _Trail]:
    """The trails of a log by the name of the thread."""
    trails: dict[str, _Trail] = {}
    with opened(name) as stream:
        head = stream.read(1 << 18)
        check_text(name, head)
        number = 0
        for lines, _, _ in batches(stream.read, uncoloured(head)):
            for line in lines:
                number += 1
                match = HEADER.match(line)
                if match and b"kvm_" in match["event"]:
                    task = match["task"].decode("utf-8", "replace")
                    trails.setdefault(task, _Trail()).take(number, match["event"])
    found = {task: trail for task, trail in trails.items() if trail.first or trail.pending}
    if not found:
        raise KvmExitError(
            f"{name}: shows no values of accesses; a pair needs two logs of kernel events (kvm:*),"
            " see `kvmexit lint --help`"
        )
    return found


def _between(name: str, source: _Trail, destination: _Trail) -> Between:
    last, first = source.pending, destination.first
    if last is None:
        return Between(name, "whole", "nothing was pending at the end of the source")
    if first is None or first.value is None:
        return Between(name, "unknown", "the destination's log shows no access with a value")
    if last.direction == "write":
        return _write(name, last, first)
    return _read(name, source, last, first)


def _write(name: str, last: Seen, first: Seen) -> Between:
    if (first.direction, first.where, first.value) == ("write", last.where, last.value):
        return Between(
            name,
            "repeated",
            f"{first.value:#x} is written to {first.where} twice: pending in the source (line"
            f" {last.line}), and the first access of the destination (line {first.line})",
            (first.value or 0,),
        )
    return Between(
        name,
        "whole",
        f"the source's pending write to {last.where} (line {last.line}) is not repeated: the"
        f" destination begins with a {first.direction} of {first.where} (line {first.line})",
    )


def _read(name: str, source: _Trail, last: Seen, first: Seen) -> Between:
    if first.direction != "read" or (last.where and last.where != first.where):
        says = f"the destination does not begin with the read that was pending (line {last.line})"
        return Between(name, "unknown", says)
    value = first.value or 0
    seen = list(source.values.get(first.where, ()))
    steps = {(b - a) & 0xFF for a, b in zip(seen, seen[1:])}
    asks_again = (
        f"the read of {first.where} that was pending in the source (line {last.line}) is made"
        f" again by the destination and answered {value:#x} (line {first.line})"
    )
    if len(seen) < _STEPS or len(steps) != 1 or steps == {0}:
        return Between(name, "repeated", f"{asks_again}; what the source answered is in no log")
    step = steps.pop()
    due = (seen[-1] + step) & 0xFF
    if value == due:
        return Between(name, "whole", f"{asks_again}, which is what follows {seen[-1]:#x}")
    missing = [(seen[-1] + step * (i + 1)) & 0xFF for i in range(256)]
    lost = tuple(missing[: missing.index(value)]) if value in missing else (due,)
    names = ", ".join(f"{one:#x}" for one in lost[:4]) + (" and more" if len(lost) > 4 else "")
    says = f"{names} is missing: {asks_again}; before, it had answered {seen[-1]:#x}"
    return Between(name, "missing", says, lost)
