"""Everything that is observed of one machine, on whichever kernel: the real one inside an emulator,
or the simulated one here. The two documents are then held against each other.

A document has four parts: ``atlas`` (a report for every access, by where it was restored),
``pending`` (the experiments of :mod:`kvmexit.elsewhere.pending`), ``packet``, and, from real
kernels alone, ``facts``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvmexit.elsewhere.guests.arm64 import ARM64
from kvmexit.elsewhere.guests.isa import Isa
from kvmexit.elsewhere.guests.powerpc import POWERPC
from kvmexit.elsewhere.guests.riscv import RISCV
from kvmexit.elsewhere.packet import packet
from kvmexit.elsewhere.pending import experiments, foreign_cases, x86_cases
from kvmexit.elsewhere.simulated import ForeignKernel
from kvmexit.errors import KvmExitError
from kvmexit.kernel.protocol import Kernel
from kvmexit.kernel.retirement import MACHINES, Retirement
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Phase, Scenario, response_of
from kvmexit.packet.sweeps import sweep
from kvmexit.probe.as_data import as_data
from kvmexit.probe.atlas import atlas_cases
from kvmexit.probe.cases import Case
from kvmexit.probe.report import probe

ISAS = {isa.name: isa for isa in (ARM64, RISCV, POWERPC)}
"""The machines with guests of their own, by the name that `kvmexit elsewhere` takes."""
ROWS = {"svm": "x86-svm", "vmx": "x86-fast-out"} | {isa.name: isa.row for isa in ISAS.values()}
"""The row of :data:`MACHINES` that each machine is held against."""
RESTORES = ("new-vm", "same-vcpu")
PACKET_LENGTH = 20
SWEEPS = (("save-at-once", "new-vm"), ("save-at-once", "same-vcpu"), ("drain", "new-vm"))
"""Policies, and where they restore into."""

Progress = Callable[[str], None]


ALIVE = ""
"""Said now and then in a long stage, so that nobody takes it for stuck."""


def silent(what: str) -> None:
    """Nobody listens."""


def cases_of(isa: Isa | None) -> list[Case]:
    """The accesses of a machine; None is x86."""
    return atlas_cases() if isa is None else [*isa.cases()]


def observe(kernel: Kernel, isa: Isa | None, say: Progress = silent) -> dict[str, Any]:
    """The document of ``kernel``, without facts. ``say`` hears what is being done."""
    atlas: dict[str, list[dict[str, Any]]] = {}
    for restore in RESTORES:
        say(f"the atlas, restored into {restore}")
        atlas[restore] = []
        for one in cases_of(isa):
            atlas[restore].append(reported(kernel, one, restore))
            say(ALIVE)
    say("registers and page written while an exit is pending")
    pending = experiments(kernel, x86_cases() if isa is None else foreign_cases(isa))
    say("the packet, saved at every byte")
    read = x86_packet(kernel, say) if isa is None else packet(kernel, isa)
    return {"atlas": atlas, "pending": pending, "packet": read}


def reported(kernel: Kernel, one: Case, restore: str) -> dict[str, Any]:
    """A report as data, by the name of its access; whose kernel it was is said elsewhere."""
    try:
        report = as_data(probe(kernel, one, restore))
    except KvmExitError as problem:
        raise KvmExitError(f"{one.name}: {problem}") from None
    return {"name": one.name} | {
        key: value for key, value in report.items() if key not in ("kernel", "restore")
    }


def x86_packet(kernel: Kernel, say: Progress = silent) -> dict[str, Any]:
    """The report's driver and its TPM, suspended at every landing: a letter each."""
    found: dict[str, Any] = {"packet": response_of(PACKET_LENGTH).hex()}
    for policy, restore in SWEEPS:
        scenario = Scenario(response_of(PACKET_LENGTH), policy=policy, restore=restore)
        swept = sweep(kernel, scenario)
        say(ALIVE)
        found[f"{policy}, {restore}"] = {
            phase.value: "".join(o.kind.letter for _, o in swept.at(phase)) for phase in Phase
        }
    return found


def simulation_of(machine: str, row: Retirement | None = None) -> dict[str, Any]:
    """The document of the simulator for ``machine``, after the rules of its own row or ``row``."""
    row = row or MACHINES[ROWS[machine]]
    isa = ISAS.get(machine)
    return observe(SimulatedKernel(row) if isa is None else ForeignKernel(isa, row), isa)
