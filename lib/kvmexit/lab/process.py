"""A student's process, as the referee has it in hand: its end, and the time that it has used.

There are two kinds: a child of this process, and one that the nursery has forked.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import time
from pathlib import Path

from kvmexit.lab.nursery import NUMBER, SIGNAL


class Child:
    """A child of this process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def signal(self, number: int) -> None:
        if self._status is None:
            os.kill(self.pid, number)

    def status(self, seconds: float) -> int | None:
        """Its wait status, if it ends within ``seconds``."""
        end = time.monotonic() + seconds
        while self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = status
            elif time.monotonic() > end:
                break
            else:
                time.sleep(0.005)
        return self._status

    def end(self) -> int:
        """Kill it, if it is still there; its wait status."""
        self.signal(signal.SIGKILL)
        while (status := self.status(10.0)) is None:
            continue
        return status

    def used(self) -> tuple[float, float]:
        """Seconds of processor time, and seconds in which it was ready and lacked a processor."""
        return used(str(self.pid))

    def sleeps(self) -> bool:
        """Does it neither compute nor wait for a processor or a disk?"""
        return _stat(str(self.pid))[:1] not in (["R"], ["D"])


class Ward(Child):
    """A child of the nursery, which is asked to send it signals, and tells how it ended."""

    def __init__(self, nursery: socket.socket, life: int) -> None:
        self._nursery, self._life = nursery, life
        number = os.read(life, NUMBER.size)
        if not number:
            raise ConnectionError("the nursery has ended")
        super().__init__(NUMBER.unpack(number)[0])

    def signal(self, number: int) -> None:
        if self._status is None:
            with contextlib.suppress(OSError):  # a nursery that has ended has taken it along
                self._nursery.send(SIGNAL + struct.pack("ii", self.pid, number))

    def status(self, seconds: float) -> int | None:
        if self._status is None and select.select([self._life], [], [], seconds)[0]:
            said = os.read(self._life, NUMBER.size)
            os.close(self._life)
            self._status = NUMBER.unpack(said)[0] if said else signal.SIGKILL
        return self._status


def used(pid: str = "thread-self") -> tuple[float, float]:
    """As :meth:`Child.used`, of any process or of this thread. Source: proc_pid_stat(5), and
    Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat, which not every kernel keeps:
    where it does not, nothing is known of what was lacked."""
    try:
        ran, lacked, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
        return int(ran) / 1e9, int(lacked) / 1e9
    except (OSError, ValueError):
        stat = _stat(pid)
        ticks = int(stat[11]) + int(stat[12]) if stat else 0
        return ticks / os.sysconf("SC_CLK_TCK"), 0.0


def _stat(pid: str) -> list[str]:
    """The fields behind the name, from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
