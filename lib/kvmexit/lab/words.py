"""What referee and student hand each other, besides exits: small frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Role:
    """Stands for one of the student's objects in a call: ``vcpu``, ``bus`` or ``memory``."""

    name: str


@dataclass(frozen=True, slots=True)
class Saved:
    """A state that the referee keeps. The student holds its ticket, and can alter nothing."""

    what: str
    ticket: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What ``suspend`` returns: the saved registers, memory and device."""

    registers: Any
    memory: Any
    device: Any


@dataclass(frozen=True, slots=True)
class Situation:
    """A suspended machine, as far as a prediction needs it.

    ``access`` is ``data read`` (bytes of the response) or ``status read``. It takes ``pieces``
    exits and the suspend lands at exit ``piece`` of them; ``phase`` is where around that exit:
    ``served`` or ``entered``. ``policy``, ``compensation`` and
    ``restore`` have the names of the book's experiments.
    """

    access: str
    piece: int
    pieces: int
    phase: str
    policy: str
    compensation: str
    restore: str


@dataclass(frozen=True, slots=True)
class Pop:
    """One exit that takes ``size`` bytes out of the FIFO; ``more`` if its access has another."""

    size: int
    more: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """One exit on some machine, and a save there, without a drain, into a new VM.

    ``access`` is ``mmio read``, ``mmio write`` or ``pio out``; ``served`` whether the device
    had done its part. The three columns say where that machine's program counter is at each
    kind of exit: ``at`` the instruction or ``past`` it.
    """

    access: str
    served: bool
    mmio_read: str
    mmio_write: str
    pio_out: str


NOT_ANSWERED = "not answered yet"
TIMED_OUT = "took too long"


class StudentError(Exception):
    """The student's code did not do its part; the text says how, for the student."""


class Hopeless(StudentError):
    """Trying again would only repeat it: the process is dead, or the answer is still a stub."""


class Blocked(StudentError):
    """What was asked of the referee is not allowed; ends the call."""
