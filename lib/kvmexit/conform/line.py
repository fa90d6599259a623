"""The line between the harness and the guest's serial port, which outlives the VMM's processes.

The serial port of a VMM can lose bytes where no vCPU has a part in it: what one process has taken
from its standard input after the save is gone with it, and one that waits for its state may take
a byte before the state arrives. So each process gets a terminal of its own. When it is paused,
what it has not taken is taken back, and given to its successor once that one runs.

Nor may a VMM take more than its device can hold: what waits in a buffer of its own, of its
standard input say, is in no snapshot. So there is never more on its way than a FIFO of 64 bytes
takes. How much that is, the values say: the guest says what it has read, and what was lost before
that is on its way no longer.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
import threading
import time
import tty

from kvmexit.conform.bodies import COUNT_BIT, FIRST, LAST

SPAN = LAST - FIRST + 1
WINDOW, CHUNK = 48, 16
"""Bytes that are on their way at most, and how many are given at a time."""
SETTLE = 0.02
"""Seconds in which a paused VMM reads what it has seen, if it reads more at all, and puts it into
its device."""
IDLE = 0.05
"""Seconds of silence after which one more chunk is given: perhaps all that was fed is lost."""


class Line:
    """Feeds a guest and keeps what it says. ``fed`` is false for a guest that only writes."""

    def __init__(self, fed: bool) -> None:
        self.fed, self.heard = fed, bytearray()
        self._value, self._left = FIRST, b""
        self._last = FIRST - 1
        """The last value that came back."""
        self._one_more = True
        self._begun = False
        self._master = self._slave = self._own = self._reads = self._writes = -1
        self._stop, self._feeding = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    # -- one process ----------------------------------------------------------------------

    def plug(self) -> tuple[int, int]:
        """A new terminal and a new pipe: standard input and output of the next process."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        flags = os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK
        self._own = os.open(os.ttyname(self._slave), flags)
        os.set_blocking(self._master, False)
        self._reads, self._writes = os.pipe()
        self._stop.clear()
        self._thread = threading.Thread(target=self._pump, name="line", daemon=True)
        self._thread.start()
        return self._slave, self._writes

    def plugged(self) -> None:
        """The process has its ends; when it is gone, the pipe says so."""
        if self._writes >= 0:
            os.close(self._writes)
            self._writes = -1

    def unplug(self) -> None:
        """The process is gone: take what it never read, hear the rest, close everything."""
        self._feeding.clear()
        if self._own >= 0:
            self._take()
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for name in ("_master", "_slave", "_own", "_reads", "_writes"):
            if (descriptor := getattr(self, name)) >= 0:
                os.close(descriptor)
                setattr(self, name, -1)

    # -- feeding --------------------------------------------------------------------------

    def feed(self) -> None:
        """Give what was taken back, then go on."""
        with self._lock:
            if self._left:
                os.write(self._master, self._left)
                self._left = b""
        if self.fed:
            self._begun = True
            self._feeding.set()

    def hold(self) -> None:
        """Give nothing more."""
        with self._lock:  # a write that is under way comes to its end
            self._feeding.clear()

    def take_back(self, settle: float = SETTLE) -> None:
        """Take what the VMM has not read and leaves unread, for ``settle`` seconds. Its guest must
        be paused, and nothing fed. Where it leaves nothing, nothing is taken: a byte that comes
        to light so late (a terminal passes them on in its own time) is the VMM's."""
        left, since = -1, time.monotonic()
        while time.monotonic() < since + (settle if left else SETTLE):
            if (now := self._unread()) != left:
                left, since = now, time.monotonic()
            time.sleep(SETTLE / 10)
        if left:
            self._take()

    def _take(self) -> None:
        with self._lock:
            try:
                while taken := os.read(self._own, 4096):
                    self._left += taken
            except BlockingIOError:
                pass

    def _unread(self) -> int:
        """Bytes that wait for the VMM to read them."""
        (waiting,) = struct.unpack("i", fcntl.ioctl(self._own, termios.FIONREAD, bytes(4)))
        return int(waiting)

    def _pump(self) -> None:
        """Hear what the guest says, and feed it, until the process is gone."""
        moved = time.monotonic()
        open_ = True
        while open_ and not (self._stop.is_set() and self._writes >= 0):
            ready, _, _ = select.select([self._reads], [], [], 0.002)
            if ready:
                said = os.read(self._reads, 1 << 16)
                open_ = bool(said)
                self._hear(said)
                moved = time.monotonic()
            idle = self._one_more and time.monotonic() - moved > IDLE
            if self._feeding.is_set() and (self._on_its_way() <= WINDOW - CHUNK or idle):
                self._give()
                self._one_more = self._one_more and not idle

    def _hear(self, said: bytes) -> None:
        self.heard += said
        self._one_more = True
        if self._begun:
            values = (byte & ~COUNT_BIT for byte in reversed(said))
            self._last = next((value for value in values if FIRST <= value <= LAST), self._last)

    def _on_its_way(self) -> int:
        """Bytes that were fed after the last that came back."""
        return (self._value - 1 - self._last) % SPAN

    def _give(self) -> None:
        with self._lock:
            if not self._feeding.is_set():
                return
            start = self._value - FIRST
            chunk = bytes(FIRST + (start + k) % SPAN for k in range(CHUNK))
            try:
                given = os.write(self._master, chunk)
            except BlockingIOError:
                given = 0
            self._value = FIRST + (start + given) % SPAN
