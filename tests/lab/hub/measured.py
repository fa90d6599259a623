"""What processes there are, and how much memory is theirs."""

import ctypes
import os
import platform
import signal
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """From now on whatever this process has started, and nobody waits for, is its child: so it can
    be ended. Source: prctl(2)."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def below(pid: int, having: str = "") -> list[int]:
    """All processes below ``pid``; with ``having`` those whose environment holds that, and all
    below them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    left, every = list(children.get(pid, ())), []
    while left:
        one = left.pop()
        if not having or having.encode() in _environment(one):
            every.append(one)
            every += below(one)
        else:
            left += children.get(one, [])
    return every


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def memory_of(pids: list[int]) -> int:
    """Bytes: of what they share with others each has its part (PSS). Source: proc_pid_smaps(5)."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total << 10


def computed(pids: list[int]) -> float:
    """Seconds of processor time, with that of children that have ended. Source:
    proc_pid_stat(5)."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def end_all(seconds: float = 30.0) -> list[int]:
    """End what this process has started and adopted; which were still there, to be told to."""
    told: set[int] = set()
    end = time.monotonic() + seconds
    while left := below(os.getpid()):
        for pid in left:
            try:
                if os.waitpid(pid, os.WNOHANG)[0]:
                    continue
            except ChildProcessError:  # a child of a child
                pass
            is_late = time.monotonic() > end
            if pid not in told or is_late:
                told.add(pid)
                os.kill(pid, signal.SIGKILL if is_late else signal.SIGTERM)
        time.sleep(0.05)
    return sorted(told)


def machine() -> dict[str, str | int]:
    """What it ran on."""
    about = Path("/proc/cpuinfo").read_text().splitlines()
    names = {line.partition(":")[2].strip() for line in about if line.startswith("model name")}
    return {
        "processor": " and ".join(sorted(names)) or platform.machine(),
        "processors": os.cpu_count() or 1,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
