"""The line between harness and guest: no byte that a VMM has seen is taken from under its hands."""

import os
import select
import threading
import time

from kvmexit.conform.line import SETTLE, Line
from patience import PATIENCE, until


class Input:
    """A thread that reads a serial port's input as crosvm's does: it looks until there is
    something, and then reads, and does not look whether that is still there."""

    def __init__(self, terminal: int, between: float) -> None:
        self.terminal, self.between, self.got = terminal, between, b""
        self.stopped, self.sees = False, threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        while not self.stopped:
            ready, _, _ = select.select([self.terminal], [], [], 0.001)
            if ready:
                self.sees.set()
                time.sleep(self.between)
                self.got += os.read(self.terminal, 16)


def test_what_a_thread_has_seen_it_finds() -> None:
    line = Line(fed=True)
    terminal, _ = line.plug()
    reader = Input(os.dup(terminal), SETTLE / 4)
    line.feed()
    assert reader.sees.wait(PATIENCE)
    line.hold()
    line.take_back(settle=PATIENCE)
    reader.stopped = True
    reader.thread.join(timeout=PATIENCE)
    waits_for_ever = reader.thread.is_alive()
    os.write(line._master, b"wake up")
    until(lambda: not reader.thread.is_alive(), "the thread has ended")
    line.unplug()
    os.close(reader.terminal)
    assert not waits_for_ever
