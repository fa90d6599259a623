"""Everything that is observed of one machine, on whichever kernel: the real one inside an emulator,
or the simulated one here. The two documents are then held against each other.

A document has four parts: ``atlas`` (a report for every access, by where it was restored),
``pending`` (the experiments of :mod:`kvmexit.elsewhere.pending`), ``packet``, and, from real
kernels alone, ``facts``.
"""

from __future__ import annotations

from typing import Any, Protocol

from kvmexit.elsewhere.guests.arm64 import ARM64
from kvmexit.elsewhere.guests.isa import Isa
from kvmexit.elsewhere.guests.powerpc import POWERPC
from kvmexit.elsewhere.guests.riscv import RISCV
from kvmexit.elsewhere.packet import packet
from kvmexit.elsewhere.pending import experiments, foreign_cases, x86_cases
from kvmexit.elsewhere.simulated import ForeignKernel
from kvmexit.errors import KvmExitError, known
from kvmexit.kernel.protocol import Kernel
from kvmexit.kernel.retirement import MACHINES, Retirement
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Phase, Scenario, response_of
from kvmexit.packet.sweeps import sweep
from kvmexit.probe.as_data import as_data
from kvmexit.probe.atlas import atlas_cases
from kvmexit.probe.cases import Case
from kvmexit.probe.report import probe_restores
from kvmexit.probe.saves import RESTORES

ISAS = {isa.name: isa for isa in (ARM64, RISCV, POWERPC)}
"""The machines with guests of their own, by the name that `kvmexit elsewhere` takes."""
ROWS = {"svm": "x86-svm", "vmx": "x86-fast-out"} | {isa.name: isa.row for isa in ISAS.values()}
"""The row of :data:`MACHINES` that each machine is held against."""
ATLAS = "the atlas, restored into a new VM and into the same vCPU"
PACKET = "the packet, saved at every byte"
PACKET_LENGTH = 20
SWEEPS = (("save-at-once", "new-vm"), ("save-at-once", "same-vcpu"), ("drain", "new-vm"))
"""Policies, and where they restore into."""


class Progress(Protocol):
    """Hears which stage has begun and, in a long one, how much of it is ``done``."""

    def __call__(self, stage: str, done: int = 0, of: int = 0) -> None: ...


def silent(stage: str, done: int = 0, of: int = 0) -> None:
    """Nobody listens."""


def cases_of(isa: Isa | None) -> list[Case]:
    """The accesses of a machine; None is x86."""
    return atlas_cases() if isa is None else [*isa.cases()]


def observe(kernel: Kernel, isa: Isa | None, say: Progress = silent) -> dict[str, Any]:
    """The document of ``kernel``, without facts. ``say`` hears what is being done."""
    atlas: dict[str, list[dict[str, Any]]] = {restore: [] for restore in RESTORES}
    cases = cases_of(isa)
    say(ATLAS)
    for done, one in enumerate(cases, 1):
        for restore, report in reported(kernel, one).items():
            atlas[restore].append(report)
        say(ATLAS, done, len(cases))
    say("registers and page written while an exit is pending")
    pending = experiments(kernel, x86_cases() if isa is None else foreign_cases(isa))
    say(PACKET)
    read = x86_packet(kernel, say) if isa is None else packet(kernel, isa)
    return {"atlas": atlas, "pending": pending, "packet": read}


def reported(kernel: Kernel, one: Case) -> dict[str, dict[str, Any]]:
    """Reports as data, by where what was saved is restored; whose kernel it was is said
    elsewhere."""
    try:
        reports = {report.restore: as_data(report) for report in probe_restores(kernel, one)}
    except KvmExitError as problem:
        raise KvmExitError(f"{one.name}: {problem}") from None
    return {
        restore: {"name": one.name}
        | {key: value for key, value in data.items() if key not in ("kernel", "restore")}
        for restore, data in reports.items()
    }


def x86_packet(kernel: Kernel, say: Progress = silent) -> dict[str, Any]:
    """The report's driver and its TPM, suspended at every landing: a letter each."""
    found: dict[str, Any] = {"packet": response_of(PACKET_LENGTH).hex()}
    for done, (policy, restore) in enumerate(SWEEPS, 1):
        scenario = Scenario(response_of(PACKET_LENGTH), policy=policy, restore=restore)
        swept = sweep(kernel, scenario)
        say(PACKET, done, len(SWEEPS))
        found[f"{policy}, {restore}"] = {
            phase.value: "".join(o.kind.letter for _, o in swept.at(phase)) for phase in Phase
        }
    return found


def simulation_of(machine: str, row: Retirement | None = None) -> dict[str, Any]:
    """The document of the simulator for ``machine``, after the rules of its own row or ``row``.
    KvmExitError if there is no machine of that name."""
    known("machine", machine, ROWS)
    row = row or MACHINES[ROWS[machine]]
    isa = ISAS.get(machine)
    return observe(SimulatedKernel(row) if isa is None else ForeignKernel(isa, row), isa)
