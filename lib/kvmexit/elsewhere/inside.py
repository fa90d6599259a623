"""What runs inside: `python3 -m kvmexit.elsewhere.inside MACHINE FILE`, on the machine itself.

Progress goes to standard output, a line a stage; the document to FILE, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from kvmexit.elsewhere.facts import foreign_facts, x86_facts
from kvmexit.elsewhere.observe import ISAS, observe
from kvmexit.elsewhere.vmm import OneRegKernel
from kvmexit.kernel.protocol import Kernel

SUSPENDS = 10
RACE = "a race of suspends against the clock"
NO_RACE = {
    "vmx": "in Bochs an interrupt does not get the host out of a guest that has its own off,"
    " as ours have"
}
"""Where a suspend at any moment cannot be, and why."""


def say(stage: str, done: int = 0, of: int = 0) -> None:
    """A line for whoever reads the console."""
    print(f"@@ done {done} of {of}" if done else f"@@ stage {stage}", flush=True)


def main(machine: str, file: str) -> None:
    """Observe this machine's KVM and write what was seen."""
    isa, begun = ISAS.get(machine), time.monotonic()
    kernel = real_x86() if isa is None else OneRegKernel(isa)
    say("what this kernel alone shows")  # first: it is quick, and what goes wrong is seen early
    facts = x86_facts(kernel) if isa is None else foreign_facts(isa)
    document = observe(kernel, isa, say) | {"facts": facts, "release": os.uname().release}
    document["varies"] = {"seconds inside": round(time.monotonic() - begun, 1)}
    if machine in NO_RACE:
        document["not run"] = {RACE: NO_RACE[machine]}
    elif isa is None:
        say(RACE)
        document["varies"]["race"] = race_tally(kernel)
    Path(file).write_text(json.dumps(document))


def real_x86() -> Kernel:
    """/dev/kvm as the library knows it."""
    from kvmexit.kernel.real import RealKernel

    return RealKernel()


def race_tally(kernel: Any) -> dict[str, Any]:
    """Suspends at moments of chance: how many found something pending, how many lost bytes."""
    from kvmexit.packet.experiment import Scenario
    from kvmexit.packet.races import race

    return race(kernel, Scenario(policy="save-at-once"), SUSPENDS).as_dict()


if __name__ == "__main__":
    main(*sys.argv[1:])
