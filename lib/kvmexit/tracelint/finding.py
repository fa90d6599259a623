"""What lint found: one gap of one vCPU, with the lines that show it."""

from __future__ import annotations

from dataclasses import dataclass

from kvmexit.tracelint.events import Event

_WIDTH = 240


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


def line_of(event: Event, role: str) -> Line:
    """The line of ``event``, cut to a bearable width."""
    text = event.text[:_WIDTH].decode("utf-8", "replace").strip()
    return Line(event.line, role, text)
