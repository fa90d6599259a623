"""The harness: start, stop again and again, end; what the guest has said meanwhile.

A stop is: pause, save, end the process, start a new one, load, go on. After each pause the run
looks whether it came while the guest's access was pending: so it knows how often a VMM that
saves at once would have broken its guest.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from kvmexit.conform.adapter import Adapter
from kvmexit.conform.guests import Guest
from kvmexit.conform.landing import pending_at_pause
from kvmexit.conform.limit import Overdue, call, told
from kvmexit.conform.line import Line
from kvmexit.conform.process import Process, ctrl_c_later
from kvmexit.conform.record import Recorder
from kvmexit.errors import KvmExitError

BETWEEN = (0.02, 0.06)
"""Seconds for which the guest runs before a stop, drawn evenly."""
FINAL = 64
"""Bytes that the guest is to say after the last stop."""
ENDING = 0.2
"""Seconds that a VMM gets to end, once something has failed."""
_SHOWN = 80
"""Characters of a guest's last words that are shown."""


@dataclass
class Seen:
    """What a run has seen so far. ``cuts`` are the lengths of ``heard`` at each stop.

    ``pending`` are the numbers of the stops, from 1, that came while the access was pending which
    a save must not meet; ``blind`` says why nobody could see that.
    """

    guest: Guest
    same: bool
    heard: bytes = b""
    cuts: list[int] = field(default_factory=list)
    pending: list[int] = field(default_factory=list)
    blind: str = ""

    @property
    def stops(self) -> int:
        """How many stops it has been through."""
        return len(self.cuts)


@dataclass
class Harness:
    """One VMM under test. A context manager: at its end nothing is left."""

    adapter: Adapter
    guest: Guest
    folder: Path
    same: bool = False
    random: Random = field(default_factory=Random)
    recorder: Recorder | None = None

    def __post_init__(self) -> None:
        self.line = Line(self.guest.reads)
        self._begin = 0
        self.seen = Seen(self.guest, self.same)
        self._process: Process | None = None
        self._number = 0

    def __enter__(self) -> Harness:
        try:
            self._spawn(None)
            self._wait_for_guest()
            self.line.feed()
            self._wait_for_more()
        except BaseException:
            with suppress(Overdue):
                self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        try:
            self._end()
        except Overdue:
            if kind is None:  # else there is a better reason already
                raise

    # -- one stop -------------------------------------------------------------------------

    def stop(self) -> None:
        """One stop, and what it brought. KvmExitError, with the VMM's last words, if it fails."""
        time.sleep(self.random.uniform(*BETWEEN))
        if self.recorder is not None:
            self.recorder.pausing()
        self._act(self.adapter.pause, "pausing")
        self.line.hold()
        self._look()
        if self.same:
            self._cut()
        else:
            self._renew()
        self._act(self.adapter.resume, "going on")
        self.line.feed()
        self._wait_for_more()
        self.seen.heard = self._said()

    def finish(self) -> Seen:
        """Let the guest say what is under way, and end it."""
        self._wait_for_more(FINAL)
        self._end()
        self.seen.heard = self._said()
        return self.seen

    def _renew(self) -> None:
        """Save, end the process, start anew and load."""
        self.line.take_back(self.adapter.settle)
        saved = self.folder / "saved"
        shutil.rmtree(saved, ignore_errors=True)
        saved.mkdir()
        self._act(self.adapter.save, "saving", saved)
        self._end()
        self._cut()
        self._spawn(saved)
        self._act(self.adapter.loaded, "loading")

    def _cut(self) -> None:
        self.seen.cuts.append(len(self.line.heard) - self._begin)

    def _look(self) -> None:
        """Was the guest's access pending when the pause came?"""
        if self.seen.blind or self._process is None:
            return
        try:
            if pending_at_pause(self._process.members()) in self.guest.pending:
                self.seen.pending.append(self.seen.stops + 1)
        except KvmExitError as problem:
            self._process.check()
            self.seen.blind = str(problem)

    # -- processes ------------------------------------------------------------------------

    def _spawn(self, saved: Path | None) -> None:
        """Run the command of the adapter, from the start or from what was saved."""
        home = self.folder / str(self._number)
        home.mkdir()
        adapter = self.adapter
        adapter.folder = home
        command, environment = self._command(saved)
        if self.recorder is not None:
            command = self.recorder.before(command, self._number)
        self._number += 1
        with ctrl_c_later():
            try:
                stdin, stdout = self.line.plug()
                self._process = Process(command, home, stdin, stdout, environment)
            finally:
                self.line.plugged()
        adapter.process = self._process
        self._act(adapter.started, "starting" if saved is None else "starting to load")

    def _command(self, saved: Path | None) -> tuple[list[str], dict[str, str]]:
        """The command of the next process, and what is added to its environment."""
        adapter = self.adapter
        method: Callable[..., object] = adapter.start if saved is None else adapter.load
        try:
            if saved is None:
                command = call(Process.limit, adapter.start)
            else:
                command = call(Process.limit, adapter.load, saved)
            method = adapter.environment
            return command, call(Process.limit, adapter.environment)
        except Exception as problem:  # an adapter may be the user's
            raise KvmExitError(f"the adapter has no command: {told(problem, method)}") from None

    def _end(self) -> None:
        """End the process that there is, and let its folder go. Overdue if ``close`` was it."""
        overdue: Overdue | None = None
        if self._process is not None:
            try:
                call(self._process.limit, self.adapter.close)
            except Overdue as problem:
                overdue = problem
            except Exception:  # whatever it is, the rest must be ended
                pass
            if self.recorder is not None and self.recorder.parent:
                self._process.end_gently()
            self._process.end()
            self._process = None
            if self.recorder is not None:
                self.recorder.after()
        self.line.unplug()
        shutil.rmtree(self.adapter.folder, ignore_errors=True)
        if overdue is not None:
            raise overdue

    def _act(self, act: Callable[..., None], what: str, *args: object) -> None:
        """One act of the adapter; whatever goes wrong becomes one sentence."""
        process = self._process
        assert process is not None
        try:
            call(process.limit, act, *args)
        except Overdue as problem:
            raise KvmExitError(f"{what} failed: {problem}; {process.last_words()}") from None
        except TimeoutError:
            process.check()
            raise process.silent(what) from None
        except Exception as problem:  # an adapter may be the user's
            process.ended_within(ENDING)  # then its end says more than a closed connection
            process.check()
            said = told(problem, act)
            if process.last_words() not in said:
                said = f"{said}; {process.last_words()}"
            raise KvmExitError(f"{what} failed: {said}") from None

    # -- the guest ------------------------------------------------------------------------

    def _wait_for_guest(self) -> None:
        """Until it has greeted."""
        assert self._process is not None
        greeting = self.guest.greeting
        hint = "is its serial port on stdin and stdout?"
        self._process.wait_for(
            lambda: greeting in self.line.heard,
            "its guest's first word",
            lambda: _last(self.line.heard) or hint,
            self.guest.patience,
        )
        self._begin = self.line.heard.index(greeting) + len(greeting)

    def _wait_for_more(self, bytes_more: int = 0) -> None:
        """Until the guest has said a few bytes more, ``guest.more`` at least: then it runs."""
        assert self._process is not None
        wanted = len(self.line.heard) + max(bytes_more, self.guest.more)
        stops = self.seen.stops
        what = f"its guest to go on after stop {stops}" if stops else "its guest's first bytes"
        hint = "does resume() let it go?" if stops else "does its serial port hear stdin?"
        if stops and not self.same:
            hint = f"is the load finished when started() and loaded() return? {hint}"
        self._process.wait_for(lambda: len(self.line.heard) >= wanted, what, lambda: hint)

    def _said(self) -> bytes:
        """All that the guest has said after its greeting."""
        return bytes(self.line.heard[self._begin :])


def _last(heard: bytearray) -> str:
    """What came over the serial port last, for a sentence; nothing if nothing came."""
    lines = heard.decode("latin-1").split("\n")
    said = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f"the last that came is {said[-_SHOWN:]!r}" if said else ""
