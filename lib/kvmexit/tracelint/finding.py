"""What lint found: one gap of one vCPU, with the lines that show it."""

from __future__ import annotations

from dataclasses import dataclass

from kvmexit.tracelint import rule
from kvmexit.tracelint.effects import effect
from kvmexit.tracelint.events import Access, Event

_WIDTH = 240
_KEPT_LINES = 12
_KEPT_NAMES = 64


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log that matters to a finding."""

    number: int
    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A vCPU was touched while half an instruction was pending.

    ``line`` is that of the first state ioctl, ``exit_line`` that of the exit. ``ioctls`` are
    the names in order; ``lines`` the lines of this vCPU around them.
    """

    line: int
    exit_line: int
    vcpu: str
    exit: str
    direction: str
    where: str
    ioctls: tuple[str, ...]
    effect: str
    lines: tuple[Line, ...]


class Window:
    """A finding in the making: a gap that is still open, or a log that still goes on.

    ``guessed``: nothing but the number connects the thread with the vCPU. ``needs`` is the event
    class that the log must have for this to be so.
    """

    __slots__ = ("access", "exit", "guessed", "lines", "names", "needs", "vcpu")

    def __init__(self, vcpu: str, exit: Event | None, needs: str = "") -> None:
        self.vcpu = vcpu
        self.exit = exit
        self.access = exit.access if exit else None
        self.needs = needs
        self.guessed = False
        self.names: list[str] = []
        self.lines: list[Line] = []

    def add(self, event: Event, role: str) -> None:
        """One more state ioctl in this gap."""
        if len(self.names) < _KEPT_NAMES:
            self.names.append(event.name)
        if len(self.lines) < _KEPT_LINES:
            self.lines.append(line_of(event, role))

    def untold(self, recorded: frozenset[str]) -> bool:
        """Whether this was told from the absence of an event that was never recorded."""
        return bool(self.needs) and self.needs not in recorded

    def forget_direction(self, recorded: frozenset[str]) -> None:
        """The direction was told from such an absence: it is not known."""
        if self.access and self.access.needs and self.access.needs not in recorded:
            self.access = None

    def finding(self, machine: str) -> Finding:
        """What was found, on ``machine``."""
        lines = list(self.lines)
        line = lines[0].number
        if self.exit:
            lines.insert(0, line_of(self.exit, "exit"))
        access = self.access or Access()
        reason = self.exit.reason if self.exit else None
        return Finding(
            line=line,
            exit_line=self.exit.line if self.exit else line,
            vcpu=self.vcpu,
            exit=rule.exit_name(reason),
            direction=access.direction,
            where=access.where,
            ioctls=tuple(self.names),
            effect=effect(reason, self.access, set(self.names), machine),
            lines=tuple(lines),
        )


def line_of(event: Event, role: str) -> Line:
    """The line of ``event``, cut to a bearable width."""
    text = event.text[:_WIDTH].decode("utf-8", "replace").strip()
    return Line(event.line, role, text)
