"""What a save does at each exit of a piece of guest code, on any kernel.

The code runs undisturbed; all else is held against that. Then comes a *walk*: entered with
``immediate_exit`` after every exit, it shows each quiet point, at which KVM_RUN says EINTR and
nothing is pending. Whatever a stop policy saves stands somewhere on this walk. A second walk
puts each of these states into a machine that goes on from there (:mod:`kvmexit.probe.saves`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from kvmexit.errors import known
from kvmexit.exits import DataExit, Interrupted, VcpuState
from kvmexit.kernel.protocol import Kernel
from kvmexit.kernel.retirement import EMULATOR, FAST_PIO, Retirement
from kvmexit.probe.cases import ORIGIN, Case, case
from kvmexit.probe.saves import RESTORES, Remembered, try_saves, walk
from kvmexit.probe.verdict import Undisturbed, Verdict, begin, undisturbed, unsteady
from kvmexit.vmm.machine import Load, load_of, registers_alone

T = TypeVar("T")


@dataclass(slots=True)
class Row:
    """One exit. ``changed`` are the registers that differ from those the code began with.

    ``drain_runs`` counts KVM_RUNs up to and with the one that says EINTR; ``ram_written`` the
    bytes of RAM that the drain changes. None, as ``rip_after``: the drain does not end.
    ``alone`` are the saves that fare otherwise if the registers are all that is saved.
    """

    k: int
    exit: DataExit
    rip: int
    changed: dict[str, int]
    rip_after: int | None = None
    drain_runs: int | None = None
    ram_written: int | None = None
    save: dict[str, Verdict | None] = field(default_factory=dict)
    alone: dict[str, Verdict] = field(default_factory=dict)

    def verdict(self, save: str) -> str:
        """In a word; in brackets that of a save of the registers alone, if it is another."""
        verdict = self.save[save]
        alone = f" ({self.alone[save].value})" if save in self.alone else ""
        return (verdict.value if verdict else "never") + alone


@dataclass(frozen=True, slots=True)
class Report:
    """All that a probe found. ``end`` is how the undisturbed run ended."""

    case: Case
    kernel: str
    restore: str
    rows: list[Row]
    log: tuple[tuple[DataExit, bytes], ...]
    end: str
    state: VcpuState


def probe(
    kernel: Kernel, case: Case, restore: str = "new-vm", saved: str | Load = "whole"
) -> Report:
    """Save at every exit of ``case`` in each of the five ways, and restore into a ``new-vm`` or the
    ``same-vcpu``. ``saved`` is how much of the vCPU's state is saved: ``whole``, ``registers``, or
    the function that loads it. KvmExitError for another name."""
    (report,) = probe_restores(kernel, case, (restore,), saved)
    return report


def probe_restores(
    kernel: Kernel, case: Case, restores: Collection[str] = RESTORES, saved: str | Load = "whole"
) -> list[Report]:
    """:func:`probe` for each of ``restores``: all of them try the saves of one walk. KvmExitError
    for a name that is no key."""
    for restore in restores:
        known("restore", restore, RESTORES)
    load = load_of(saved)
    run = undisturbed(kernel, case)
    rows = _measure(kernel, case, run)
    _paired(rows, run.log)
    attempts = {name: Remembered(RESTORES[name](kernel, run, load)) for name in restores}
    reports = []
    tried = try_saves(kernel, case, *attempts.values())
    for (restore, attempt), verdicts in zip(attempts.items(), tried, strict=True):
        mine = [replace(row, save=save) for row, save in _paired(rows, verdicts)]
        if saved == "whole" and attempt.events:
            alone = attempt.otherwise(RESTORES[restore](kernel, run, registers_alone))
            (without,) = try_saves(kernel, case, alone)
            for row, save in _paired(mine, without):
                row.alone = {name: v for name, v in save.items() if v and v != row.save[name]}
        end = run.points[-1].state
        reports.append(Report(case, kernel.name, restore, mine, run.log, run.end, end))
    return reports


def _paired(rows: Sequence[Row], others: Sequence[T]) -> Iterable[tuple[Row, T]]:
    """Each exit, and what was found there in another run, which has as many."""
    if len(rows) != len(others):
        raise unsteady()
    return zip(rows, others)


def _measure(kernel: Kernel, case: Case, run: Undisturbed) -> list[Row]:
    """Walk once for everything but the verdicts; notes in ``run`` where operations begin."""
    rows: list[Row] = []
    begun = case.state()
    memory = b""
    overwritten: list[dict[int, int]] = []  # from each exit of the operation to the next
    run.first.add(0)
    for result, vm in walk(kernel, case):
        state, before, memory = vm.vcpu.get_state(), memory, bytes(vm.memory)
        if len(rows) not in run.first:
            overwritten.append(_overwritten(before, memory))
        if isinstance(result, Interrupted):
            _close(rows[-len(overwritten) :], overwritten, state.rip, memory)
            overwritten.clear()
            run.first.add(len(rows))
        else:
            rows.append(Row(len(rows), result, state.rip, _changed(begun, state)))
    return rows


def _changed(before: VcpuState, now: VcpuState) -> dict[str, int]:
    return {name: now[name] for name in now.names if now[name] != before[name]}


def _overwritten(before: bytes, after: bytes, start: int = 0) -> dict[int, int]:
    """The bytes that changed, by address, as they were before."""
    if before == after:
        return {}
    if len(before) <= 32:
        return {start + i: a for i, (a, b) in enumerate(zip(before, after)) if a != b}
    half = len(before) // 2
    changes = _overwritten(before[:half], after[:half], start)
    return changes | _overwritten(before[half:], after[half:], start + half)


def _close(rows: list[Row], overwritten: list[dict[int, int]], rip: int, memory: bytes) -> None:
    """An operation has come to its quiet point: say of each of its exits what was left to do."""
    before: dict[int, int] = {}
    for runs, (row, changes) in enumerate(zip(reversed(rows), reversed(overwritten)), 1):
        before |= changes
        row.rip_after, row.drain_runs = rip, runs
        row.ram_written = sum(memory[address] != byte for address, byte in before.items())


def retirement_of(kernel: Kernel) -> Retirement:
    """Which of the two x86 rows ``kernel`` is: is ``out`` behind its instruction at the exit?"""
    vm = begin(kernel, OUT)
    try:
        vm.vcpu.run()
        return FAST_PIO if vm.vcpu.get_state().rip == ORIGIN else EMULATOR
    finally:
        vm.close()


OUT = case("out dx, al", "out dx, al", edx=0x5A, eax=0x05060708)
"""As it stands in the atlas, so that a recording of the atlas can be asked."""
