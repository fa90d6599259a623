"""Where jailed processes come from: one clean interpreter that has loaded what answers may use.

To start an interpreter takes a third of a second; to fork one that stands ready, milliseconds.
No student's code ever runs in the nursery. Who wants a process sends a datagram with three
descriptors: the two of the process, and one on which the nursery tells its number, and at its end
how it ended. If nobody is left to hear that, the process is ended.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable

NUMBER = struct.Struct("i")
FORK, SIGNAL = b"f", b"s"


def main() -> None:
    """Serve requests until nobody is left who could send one."""
    from kvmexit.lab import worker
    from kvmexit.lab.imports import BEHIND, OPEN_MODULES, STANDARD

    for name in (*STANDARD, *BEHIND, *OPEN_MODULES):
        with contextlib.suppress(ImportError):  # what this Python does not have
            __import__(name)
    requests = socket.socket(fileno=int(sys.argv[1]))
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asked
    lives: dict[int, int] = {}
    while True:
        poll = select.poll()
        poll.register(requests, select.POLLIN)
        poll.register(wake, select.POLLIN)
        for life in lives.values():
            poll.register(life, 0)  # an error there: nobody reads
        events = dict(poll.poll())
        if wake in events:
            os.read(wake, 4096)
        for pid, life in lives.items():
            if life in events:
                os.kill(pid, signal.SIGKILL)
        _reap(lives)
        if requests.fileno() not in events:
            continue
        message, fds, _, _ = socket.recv_fds(requests, 64, 3)
        if not message:
            for pid in lives:
                os.kill(pid, signal.SIGKILL)
            return
        if message[:1] == SIGNAL:
            pid, number = struct.unpack("ii", message[1:])
            if pid in lives:
                os.kill(pid, number)
            continue
        reading, writing, life = fds
        pid = os.fork()
        if pid == 0:
            _be_child(worker.jailed, reading, writing)
        lives[pid] = life
        os.write(life, NUMBER.pack(pid))
        os.close(reading)
        os.close(writing)


def _be_child(work: Callable[[int, int], None], reading: int, writing: int) -> None:
    from kvmexit.lab import jail

    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.setsid()
        jail.close_all_but(reading, writing)
        work(reading, writing)
    finally:
        os._exit(1)


def _reap(lives: dict[int, int]) -> None:
    """Tell how those ended that have."""
    while lives:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        life = lives.pop(pid)
        with contextlib.suppress(OSError):  # who asked has gone
            os.write(life, NUMBER.pack(status))
        os.close(life)


if __name__ == "__main__":
    main()
