"""What a film is made of: one step of a run, and what is to be seen after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvmexit.exits import Lane, What

PageOp = tuple[Any, ...]
"""What a step does to kvm_run: ("exit", reason, gpa, len, is_write, data), ("answer", data),
("reason", number) or ("new",); empty if nothing."""
RIP = -2
"""Its place among the registers that are seen."""
UNANSWERED = "a read, not answered yet"
"""What is pending, in words, where the answer is not there, or was dropped with the registers."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What userspace and the curious can see at one moment."""

    registers: tuple[int, ...]  # eax to edi, rip, rflags
    immediate_exit: int
    pending: str
    device: tuple[int, int, int]  # offset, status, index
    stop: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """One step, and what is to be seen after it. ``landing`` counts the steps of the
    undisturbed run before which a suspend can arrive, from 1; 0 inside a suspend. ``label`` stands
    on the lane, where it is not that of the kind of step."""

    lane: Lane
    what: What
    sentence: str
    seen: Seen
    page: PageOp = ()
    write: tuple[int, bytes] | None = None
    landing: int = 0
    about: Any = None
    label: str = ""
