"""The rest of a strace log: descriptors that are closed, threads that come and go.

Whose descriptor a number is shows in calls that are no ioctl: ``clone`` says which threads are of
one process, ``close`` and the end of a process that a number means nothing any more.
"""

from __future__ import annotations

from kvmexit.tracelint.identity import Descriptors, Vcpu
from kvmexit.tracelint.strace_line import CLONE, CLOSE, KICK


class Rest:
    """What the other calls say of ``fds``. ``over``: the only program of the log has ended."""

    def __init__(self, fds: Descriptors) -> None:
        self.over = False
        self._fds = fds
        self._cloning: dict[int, bool] = {}

    def call(self, thread: int, text: bytes) -> Vcpu | None:
        """One system call, or half of one, from its name on; the vCPU that it closed, if any."""
        if text.startswith(b"execve("):
            self.over = False  # another program, from its start
        if close := CLOSE.match(text):
            return self._fds.drop(thread, int(close[1]))
        if kick := KICK.match(text):
            self._fds.threads.tell(int(kick[2]), int(kick[1]))
        elif clone := CLONE.search(text):
            together = b"CLONE_THREAD" in clone[2]
            if clone[1] != b"(":
                together = self._cloning.pop(thread, False)
            if not clone[3]:
                self._cloning[thread] = together
            elif together:
                self._fds.threads.join(thread, int(clone[3]))
            elif int(clone[3]):
                self._fds.threads.tell(int(clone[3]), int(clone[3]))
        return None

    def exited(self, thread: int) -> list[Vcpu]:
        """A thread has ended; the vCPUs of its process, if that is over with it."""
        self.over = self.over or thread == 0
        self._cloning.pop(thread, None)
        return self._fds.exited(thread)
