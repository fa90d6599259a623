"""One run from end to end: as many stops as the verdict asks for, or as were asked for."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from kvmexit.conform.adapter import Adapter
from kvmexit.conform.guests import Boot, Guest
from kvmexit.conform.harness import Harness
from kvmexit.conform.limit import call, told
from kvmexit.conform.process import Process, program
from kvmexit.conform.record import RECORDERS, Log, Recorder, read
from kvmexit.conform.retired import out_is_repeated
from kvmexit.conform.verdict import Judgement, Verdict, judge
from kvmexit.conform.window import Foretold, foretell
from kvmexit.errors import KvmExitError

SECONDS = 120.0
"""How long a run takes at most; the stop that is under way is brought to its end."""
FEW = 6
"""Stops, if nobody says how many, of a run that is recorded or whose guest cannot tell."""


@dataclass(frozen=True)
class Plan:
    """What is to be done. ``stops`` None: until the verdict is there, or time is up."""

    adapter: type[Adapter]
    binary: str
    guest: Guest
    same: bool = False
    stops: int | None = None
    seed: int = 1
    seconds: float = SECONDS
    trace: str | None = None
    keep: Path | None = None
    """A folder in which the logs stay."""
    on: str | None = None
    """The machine of another processor that it is run on, as the command line names it."""


@dataclass(frozen=True)
class Result:
    """What came of a plan. ``logs`` are those of the processes, in their order.
    ``foretold`` is what logs of tracefs say of where pauses land."""

    plan: Plan
    judgement: Judgement
    seconds: float
    version: str
    logs: list[Log] = field(default_factory=list)
    foretold: Foretold | None = None

    @property
    def found(self) -> bool:
        """Did lint find a save that came too early?"""
        return any(log.found for log in self.logs)

    @property
    def stopped_logs(self) -> list[Log]:
        """Those of processes that were stopped: nobody has saved the last one of a row."""
        return self.logs if self.plan.same else self.logs[: self.judgement.seen.stops]


Progress = Callable[[Judgement], None]


def conform(plan: Plan, progress: Progress | None = None) -> Result:
    """Do what ``plan`` says. KvmExitError, with the VMM's last words, if it cannot be done."""
    binary, began = program(plan.binary), time.monotonic()
    forgives = plan.guest.forgives or ("" if plan.guest.reads else _forgiven())
    if plan.trace is not None:
        forgives = forgives.replace(" (--trace)", "")  # it has one
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kvmexit-")))
        boot = plan.guest.boot(folder, plan.adapter.linux)
        adapter, version = _made(plan.adapter, binary, boot)
        recorder: Recorder | None = None
        if plan.trace is not None:
            recorder = RECORDERS[plan.trace](_kept(plan.keep) if plan.keep else folder)
            stack.callback(recorder.close)
        harness = Harness(adapter, plan.guest, folder, plan.same, Random(plan.seed), recorder)
        with harness:
            judgement = _stops(harness, plan, forgives, began + plan.seconds, progress)
            judgement = judge(harness.finish(), forgives)
        said = read(recorder) if recorder is not None else []
        foretold = None
        if recorder is not None and plan.trace == "tracefs" and not plan.same:
            foretold = foretell(recorder.logs[: judgement.seen.stops], plan.guest.pending)
    return Result(plan, judgement, time.monotonic() - began, version, said, foretold)


def _kept(folder: Path) -> Path:
    """A folder of the user's, made if it is not there. KvmExitError if that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise KvmExitError(
            f"no log can be kept in {folder}: {problem.strerror}; give another folder"
        ) from None
    return folder


def _made(kind: type[Adapter], binary: str, boot: Boot) -> tuple[Adapter, str]:
    """The adapter, and what it says of the VMM's version."""
    method: Callable[..., object] = kind
    try:
        adapter = call(Process.limit, kind, binary, boot.kernel)
        adapter.initrd, adapter.command_line = boot.initrd, boot.command_line
        adapter.memory = boot.memory
        method = adapter.version
        return adapter, call(Process.limit, adapter.version)
    except Exception as problem:  # an adapter may be the user's
        said = told(problem, method)
        raise KvmExitError(f"the adapter {kind.__name__} cannot be made: {said}") from None


def _stops(
    harness: Harness, plan: Plan, forgives: str, end: float, progress: Progress | None
) -> Judgement:
    """Stop until there are enough stops; the judgement so far."""
    wanted = plan.stops or (FEW if plan.trace or forgives else None)
    while True:
        harness.stop()
        judgement = judge(harness.seen, forgives)
        if progress is not None:
            progress(judgement)
        decided = judgement.verdict is not Verdict.CANNOT_TELL or bool(judgement.broken)
        if time.monotonic() > end or (harness.seen.stops >= wanted if wanted else decided):
            return judgement


def _forgiven() -> str:
    """Why a save at once would show nothing of a plain write here, or nothing."""
    if out_is_repeated():
        return ""
    return (
        "on this KVM a plain out has retired at its exit, so that even a VMM which saves at once"
        " makes none twice: run this guest on a machine with SVM or VMX"
    )
