"""Recording a process: strace, and tracefs in an instance of its own that is removed again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from patience import PATIENCE

EVENTS = ("kvm", "syscalls/sys_enter_ioctl", "syscalls/sys_exit_ioctl")
_MOUNTED = Path("/sys/kernel/tracing")


def _output(command: Sequence[str]) -> str:
    """What ``command`` prints; it must end well."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout


def strace(command: Sequence[str], log: Path, *options: str) -> str:
    """Run ``command`` under strace; its standard output. The log is left in ``log``."""
    arguments = ["strace", "-f", "-e", "trace=ioctl", *options, "-o", str(log), *command]
    return _output(arguments)


def can_strace() -> bool:
    """Whether strace is here, permitted, and knows ``-e kvm=vcpu``."""
    if not shutil.which("strace"):
        return False
    probe = ["strace", "-o", "/dev/null", "-e", "kvm=vcpu", "true"]
    return subprocess.run(probe, capture_output=True, timeout=PATIENCE).returncode == 0


@contextmanager
def tracefs(mount_point: Path) -> Iterator[Path | None]:
    """An instance of tracefs, mounted if it is not; ``None`` if that is not permitted."""
    mounted = os.path.exists(_MOUNTED / "instances")  # nobody but root may look
    root = _MOUNTED if mounted else mount_point
    if not mounted and os.geteuid():
        yield None
        return
    if not mounted:
        root.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tracefs", "tracefs", str(root)]
        if subprocess.run(mount, capture_output=True).returncode:
            yield None
            return
    instance = root / "instances" / f"kvmexit-{os.getpid()}"
    try:
        instance.mkdir(exist_ok=True)  # of a process of this number, which was killed
    except OSError:
        yield None
    else:
        try:
            yield instance
        finally:
            (instance / "tracing_on").write_text("0")
            (instance / "set_event").write_text("")
            with suppress(OSError):
                instance.rmdir()
    finally:
        if not mounted:
            subprocess.run(["umount", str(root)], check=True)


def trace(command: Sequence[str], instance: Path, log: Path) -> str:
    """Run ``command`` with kvm and ioctl events recorded; its standard output."""
    (instance / "tracing_on").write_text("1")
    (instance / "buffer_size_kb").write_text("32768")
    (instance / "trace").write_text("")
    for event in EVENTS:
        (instance / "events" / event / "enable").write_text("1")
    script = f'echo $$ > "{instance}/set_event_pid" && exec "$@"'
    out = _output(["sh", "-c", script, "sh", *command])
    (instance / "tracing_on").write_text("0")
    log.write_bytes((instance / "trace").read_bytes())
    return out


def runs(log: bytes, mark: bytes) -> list[bytes]:
    """The log cut at the lines that match ``mark``; what comes before the first is dropped."""
    pieces: list[list[bytes]] = []
    pattern = re.compile(mark)
    for line in log.splitlines(keepends=True):
        if pattern.search(line):
            pieces.append([])
        if pieces:
            pieces[-1].append(line)
    return [b"".join(piece) for piece in pieces]
