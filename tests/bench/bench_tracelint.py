"""How fast is lint on strace logs, and does its memory stay flat?

Three logs: one vCPU with other ioctls in between, four vCPUs whose calls interrupt each other
(`unfinished`, `resumed`), and one vCPU that is saved every hundred exits. Lines a second of
processor time on one core, the best of five; the yardstick is the same rule with a regular
expression a line, in the same run.

    python tests/bench/bench_tracelint.py [--json] [--lines N] [--memory]

``--memory`` reads 10**5, 10**6 and 10**7 lines, each in a process of its own.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tracelint"))

import reference
from kvmexit.tracelint import lint_stream

_VCPU = "<anon_inode:kvm-vcpu:0>"
TARGET = 300_000


def one_vcpu() -> Iterator[str]:
    """A thousand lines of a VMM with one vCPU."""
    for i in range(1000):
        stamp = f"1795459781.{i * 137 % 1_000_000:06d}"
        if i % 10 == 9:
            yield f"3451  {stamp} ioctl(11<anon_inode:kvm-vm>, KVM_IRQ_LINE_STATUS, 0x7f2c) = 0\n"
        elif i % 50 == 7:
            yield f"3451  {stamp} ioctl(4</dev/pts/1>, TCGETS, 0x7f{i:04x}) = -1 ENOTTY (Not)\n"
        else:
            why = "MMIO" if i % 3 else "IO"
            yield f"3452  {stamp} ioctl(16{_VCPU}, KVM_RUN, 0) = 0 (KVM_EXIT_{why})\n"


def four_vcpus() -> Iterator[str]:
    """Four vCPUs; every other call is interrupted by another thread's line."""
    for i in range(350):
        a, b = i % 4, (i + 1) % 4
        yield f"{101 + a}   ioctl({10 + a}, KVM_RUN, 0 <unfinished ...>\n"
        yield f"{101 + b}   ioctl({10 + b}, KVM_RUN, 0) = 0 (KVM_EXIT_MMIO)\n"
        yield f"{101 + a}   <... ioctl resumed>)        = 0 (KVM_EXIT_IO)\n"


def many_saves() -> Iterator[str]:
    """A drain and eight state ioctls after each hundred exits."""
    names = "REGS SREGS FPU XSAVE XCRS VCPU_EVENTS MP_STATE DEBUGREGS".split()
    for i in range(1000):
        k = i % 110
        if k < 100:
            yield "77    ioctl(5, KVM_RUN, 0)              = 0 (KVM_EXIT_MMIO)\n"
        elif k == 100:
            yield "77    ioctl(5, KVM_RUN, 0)              = -1 EINTR (Interrupted system call)\n"
        elif k < 109:
            yield f"77    ioctl(5, KVM_GET_{names[k - 101]}, 0x7ffef274f5{i % 256:02x}) = 0\n"


LOGS: dict[str, Callable[[], Iterator[str]]] = {
    "one vCPU": one_vcpu,
    "four vCPUs": four_vcpus,
    "many saves": many_saves,
}


class Endless:
    """A log of ``lines`` lines that is never in memory as a whole."""

    def __init__(self, block: bytes, lines: int) -> None:
        count = block.count(b"\n")
        self.blocks = islice(cycle([block]), lines // count)

    def read(self, size: int = -1, /) -> bytes:
        return next(self.blocks, b"")


def rates(name: str, lines: int) -> tuple[float, float]:
    """(lines a second of lint, of the regular expression a line) on the log ``name``."""
    block = "".join(LOGS[name]()).encode()
    data = block * (lines // block.count(b"\n"))
    count = data.count(b"\n")
    ours, theirs = [], []
    for _ in range(5):
        start = time.process_time()
        lint_stream(io.BytesIO(data), name, "strace")
        ours.append(time.process_time() - start)
        start = time.process_time()
        reference.verdict(io.BytesIO(data))
        theirs.append(time.process_time() - start)
    return count / min(ours), count / min(theirs)


def peak_kib(lines: int) -> int:
    """Peak resident memory, in KiB, of a process that reads ``lines`` lines."""
    command = [sys.executable, __file__, "--peak", str(lines)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        block = "".join(one_vcpu()).encode()
        lint_stream(Endless(block, args.peak), "log", "strace")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return 0
    found = {name: rates(name, args.lines) for name in LOGS}
    peaks = {n: peak_kib(n) for n in (10**5, 10**6, 10**7)} if args.memory else {}
    if args.json:
        lint = {name: {"lint": round(a), "regex": round(b)} for name, (a, b) in found.items()}
        print(json.dumps({"lines_per_second": lint, "peak_kib": peaks}))
    else:
        for name, (ours, theirs) in found.items():
            print(f"{name:<12} {ours:>10,.0f} lines/s, a regex a line {theirs:>10,.0f}")
        for lines, kib in peaks.items():
            print(f"{lines:>10,} lines: peak {kib:,} KiB")
    return 0 if all(ours >= TARGET or ours >= 10 * theirs for ours, theirs in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
