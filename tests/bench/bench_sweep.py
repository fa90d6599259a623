"""What a sweep costs in processor time, and how the cost grows with the response."""

import math
import sys
import time

from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Scenario, response_of
from kvmexit.packet.sweeps import sweep_policies
from kvmexit.vmm.machine import POLICIES


def seconds(length: int) -> float:
    scenarios = [Scenario(response_of(length), policy=policy) for policy in POLICIES]
    begin = time.process_time()
    sweep_policies(SimulatedKernel(), scenarios)
    return time.process_time() - begin


def main() -> int:
    """Print the measurement; status 1 if a promise is not kept."""
    seconds(64)  # decode once
    times = {length: min(seconds(length) for _ in range(3)) for length in (64, 256)}
    times[4096] = seconds(4096)
    exponent = math.log(times[4096] / times[64]) / math.log(4096 / 64)
    for length, duration in times.items():
        print(f"all landings, five policies, {length:>4} bytes: {duration:7.3f} s")
    print(f"from 64 to 4096 bytes the time grows with exponent {exponent:.2f}  (promised: 1.2)")
    return 0 if times[64] < 1 and exponent <= 1.2 else 1


if __name__ == "__main__":
    sys.exit(main())
