"""What is to be seen at one step: the frames up to it, folded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kvmexit.exits import Reason, What
from kvmexit.show.frame import Frame
from kvmexit.show.vocabulary import reason_words


@dataclass(slots=True)
class Page:
    """struct kvm_run as userspace reads it. ``stale``: nothing in it is of the last KVM_RUN."""

    reason: int = 0
    gpa: int = 0
    size: int = 0
    is_write: int = 0
    data: bytearray = field(default_factory=lambda: bytearray(8))
    stale: bool = True

    @property
    def reason_words(self) -> str:
        """``6 KVM_EXIT_MMIO (stale)``."""
        return reason_words(self.reason, self.stale)


@dataclass(slots=True)
class Scene:
    """The page and the guest's buffer after a step; the rest is in the frame."""

    page: Page
    buffer: dict[int, int]

    def bytes(self) -> list[int | None]:
        """The buffer as far as it was written; None where nothing was written."""
        return [self.buffer.get(at) for at in range(max(self.buffer, default=-1) + 1)]


def scene(frames: Sequence[Frame]) -> Scene:
    """Fold the frames of a run's beginning."""
    page, buffer = Page(), {}
    for frame in frames:
        if frame.write is not None:
            at, data = frame.write
            buffer.update({at + k: byte for k, byte in enumerate(data)})
        if frame.what is What.EINTR:
            page.stale = True
        op = frame.page
        if not op:
            continue
        if op[0] == "exit":
            _, page.reason, page.gpa, page.size, page.is_write, data = op
            page.data[: len(data)] = data
            page.stale = False
        elif op[0] == "answer":
            page.data[: len(op[1])] = op[1]
        elif op[0] == "reason":
            page.reason, page.stale = op[1], op[1] == Reason.INTR
        elif op[0] == "new":
            page = Page()
    return Scene(page, buffer)
