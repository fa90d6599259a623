"""How fast is an exit? The binding against C, and the simulation against the binding.

All of them run the same guest, a loop that reads one byte of MMIO, and serve each exit. Each
clock counts the time of its own thread on one processor, so that other programs count as
little as can be; rounds are interleaved, and the ratio is the median of the rounds' ratios.

    python tests/bench/bench_kernel.py [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kvmexit.exits import MmioRead, VcpuState
from kvmexit.kernel.protocol import Kernel, Vm
from kvmexit.kernel.real import RealKernel
from kvmexit.kernel.simulated import SimulatedKernel

HERE = Path(__file__).parent
GUEST = bytes.fromhex("a02400d4fe ebf9")  # again: mov al, [0xfed40024]; jmp again
START = 0x1000
ROUNDS = 150
EXITS = 500

Clock = Callable[[int], float]
"""Makes so many exits and returns the seconds of processor time that they took."""


def python_loop(kernel: Kernel) -> tuple[Vm, Clock]:
    """The loop through the library: typed exit, answer, entry."""
    vm = kernel.create_vm(0x10000)
    vm.memory[START : START + len(GUEST)] = GUEST
    vm.vcpu.set_state(VcpuState(rip=START))
    run, answer = vm.vcpu.run, vm.vcpu.kvm_run.answer

    def clock(exits: int) -> float:
        start = time.thread_time()
        for _ in range(exits):
            exit = run()
            answer(b"\x55")
        seconds = time.thread_time() - start
        assert exit == MmioRead(0xFED40024, 1)
        return seconds

    return vm, clock


class CLoop:
    """``kvm_loop.c``, compiled and waiting for work."""

    def __init__(self, folder: str) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise SystemExit("no C compiler: install gcc to compare with C")
        program = Path(folder) / "kvm_loop"
        subprocess.run([compiler, "-O2", "-o", program, HERE / "kvm_loop.c"], check=True)
        self.process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def clock(self, exits: int) -> float:
        """Seconds for ``exits`` exits, measured inside the program."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{exits}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline()) / 1e9

    def close(self) -> None:
        """End the program."""
        self.process.communicate()


def measure(rounds: int = ROUNDS, exits: int = EXITS) -> dict[str, float]:
    """Exits a second of each loop, and the two ratios that the book promises."""
    # One processor for all: what is compared must not depend on where the scheduler puts it.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder:
        c = CLoop(folder)
        real_vm, real = python_loop(RealKernel())
        simulated_vm, simulated = python_loop(SimulatedKernel())
        try:
            against_c = rates(c.clock, real, rounds, exits)
            against_real = rates(real, simulated, rounds, exits)
        finally:
            c.close()
            real_vm.close()
            simulated_vm.close()
    return {
        "c_exits_per_s": statistics.median(base for base, _ in against_c),
        "real_exits_per_s": statistics.median(real for _, real in against_c),
        "simulated_exits_per_s": statistics.median(fast for _, fast in against_real),
        "real_over_c": statistics.median(real / base for base, real in against_c),
        "simulated_over_real": statistics.median(fast / base for base, fast in against_real),
    }


def rates(base: Clock, other: Clock, rounds: int, exits: int) -> list[tuple[float, float]]:
    """Exits a second of both, round by round; who goes first changes with each round."""
    base(4 * exits), other(4 * exits)  # warm caches and tables
    found = []
    for number in range(rounds):
        if number % 2:
            found.append((exits / base(exits), exits / other(exits)))
        else:
            found.append((exits / other(exits), exits / base(exits))[::-1])
    return found


def main() -> int:
    """Print the measurement; status 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found = measure()
    kept = found["real_over_c"] >= 0.9 and found["simulated_over_real"] >= 1
    if args.json:
        print(json.dumps({**found, "kept": kept}, indent=1))
    else:
        for name in ("c", "real", "simulated"):
            print(f"{name:>10}  {found[f'{name}_exits_per_s']:10,.0f} MMIO exits/s")
        print(f"real / C          {found['real_over_c']:.3f}  (promised: at least 0.9)")
        print(f"simulated / real  {found['simulated_over_real']:.3f}  (promised: at least 1)")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
