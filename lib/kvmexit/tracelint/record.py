"""Runs a command under strace, or follows a running VMM, and reads the log as it is written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from kvmexit.errors import KvmExitError
from kvmexit.tracelint.report import Progress, Report, lint_stream

OPTIONS = ("-f", "-y", "-e", "trace=ioctl", "-e", "kvm=vcpu", "-e", "signal=none")
"""What strace must show: every thread, whose descriptor it is, why KVM_RUN returned."""


def record(
    command: Sequence[str], stdout: IO[str] | None = None, progress: Progress | None = None
) -> tuple[Report, int]:
    """Run ``command`` under strace; its report, and the exit status strace passes on.

    What the command prints goes to ``stdout``, or where it would go without strace.
    Raises :class:`~kvmexit.errors.KvmExitError` if strace or the command is missing, or if
    tracing is not permitted.
    """
    if not command:
        raise KvmExitError("--strace needs a command: kvmexit lint --strace -- COMMAND ARGUMENT…")
    strace = _strace()
    if not shutil.which(command[0]):
        raise KvmExitError(f"{command[0]}: no such command")
    return _follow([strace, *OPTIONS], ["--", *command], " ".join(command), stdout, progress)


def attach(pid: int, progress: Progress | None = None) -> Report:
    """Follow the process ``pid`` until it ends, or until Ctrl-C, which leaves it running.

    Raises :class:`~kvmexit.errors.KvmExitError` if there is no such process, or if tracing it is
    not permitted.
    """
    strace = _strace()
    if not Path(f"/proc/{pid}").exists():
        raise KvmExitError(f"--pid {pid}: no such process")
    report, _ = _follow([strace, *OPTIONS], ["-p", str(pid)], f"process {pid}", None, progress)
    return report


def _strace() -> str:
    strace = shutil.which("strace")
    if not strace:
        raise KvmExitError("strace is not installed; install it, or lint a log made elsewhere")
    return strace


def _follow(
    strace: list[str], what: list[str], name: str, stdout: IO[str] | None, progress: Progress | None
) -> tuple[Report, int]:
    reads, writes = os.pipe()
    try:
        arguments = [*strace, "-o", f"/proc/self/fd/{writes}", *what]
        process = subprocess.Popen(arguments, stdout=stdout, pass_fds=(writes,))
    finally:
        os.close(writes)
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends strace, not us
    try:
        report = _read(reads, process, name, progress)
    finally:
        signal.signal(signal.SIGINT, interrupt)
    return report, process.returncode


def _read(
    reads: int, process: subprocess.Popen[bytes], name: str, progress: Progress | None
) -> Report:
    with os.fdopen(reads, "rb", buffering=0) as log:  # what is there, not a whole block
        try:
            return lint_stream(log, name, "strace", progress)
        except KvmExitError as problem:
            status = process.wait()
            raise KvmExitError(f"strace wrote no log (status {status}): {problem}") from None
        finally:
            while log.read(1 << 16):  # never leave the command blocked on a full pipe
                pass
            process.wait()
