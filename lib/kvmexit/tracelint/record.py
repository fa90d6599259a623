"""Runs a command under strace and reads the log as it is written, through a pipe."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from typing import IO

from kvmexit.errors import KvmExitError
from kvmexit.tracelint.report import Report, lint_stream

OPTIONS = ("-f", "-y", "-e", "trace=ioctl", "-e", "kvm=vcpu", "-e", "signal=none")
"""What strace must show: every thread, whose descriptor it is, why KVM_RUN returned."""


def record(command: Sequence[str], stdout: IO[str] | None = None) -> tuple[Report, int]:
    """Run ``command`` under strace; its report, and the exit status strace passes on.

    What the command prints goes to ``stdout``, or where it would go without strace.
    Raises :class:`~kvmexit.errors.KvmExitError` if strace or the command is missing, or if
    tracing is not permitted.
    """
    if not command:
        raise KvmExitError("--strace needs a command: kvmexit lint --strace -- COMMAND ARGUMENT…")
    strace = shutil.which("strace")
    if not strace:
        raise KvmExitError("strace is not installed; install it, or lint a log made elsewhere")
    if not shutil.which(command[0]):
        raise KvmExitError(f"{command[0]}: no such command")
    reads, writes = os.pipe()
    try:
        arguments = [strace, *OPTIONS, "-o", f"/proc/self/fd/{writes}", "--", *command]
        process = subprocess.Popen(arguments, stdout=stdout, pass_fds=(writes,))
    finally:
        os.close(writes)
    interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the command, not us
    try:
        report = _read(reads, process, " ".join(command))
    finally:
        signal.signal(signal.SIGINT, interrupt)
    return report, process.returncode


def _read(reads: int, process: subprocess.Popen[bytes], name: str) -> Report:
    with os.fdopen(reads, "rb") as log:
        try:
            return lint_stream(log, name, "strace")
        except KvmExitError as problem:
            status = process.wait()
            raise KvmExitError(f"strace wrote no log (status {status}): {problem}") from None
        finally:
            while log.read(1 << 16):  # never leave the command blocked on a full pipe
                pass
            process.wait()
