"""What a save does at each exit of a piece of guest code, on any kernel.

The code runs undisturbed; all else is held against that. Then comes a *walk*: entered with
``immediate_exit`` after every exit, it shows each quiet point, at which KVM_RUN says EINTR and
nothing is pending. Whatever a stop policy saves stands somewhere on this walk:

=============  ================================================================
served         the exit itself, the device asked, nothing entered
unserved       the exit itself, the device not asked
kick-once      one KVM_RUN on: a quiet point, or the next exit, not served
serve-once     one KVM_RUN on: a quiet point, or the next exit, served
drain          the next quiet point
=============  ================================================================

A second walk puts each of these states into a machine that goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

from kvmexit.exits import (
    DATA_EXITS,
    EINTR,
    GPR_NAMES,
    DataExit,
    Interrupted,
    Kernel,
    VcpuState,
    Vm,
)
from kvmexit.guest.case import ORIGIN, Case, case
from kvmexit.kernel.retirement import EMULATOR, FAST_PIO, Retirement
from kvmexit.verdict import (
    LIMIT,
    Feed,
    Undisturbed,
    Verdict,
    begin,
    follow,
    undisturbed,
)

SAVES = ("served", "unserved", "kick-once", "serve-once", "drain")


@dataclass(slots=True)
class Row:
    """One exit. ``changed`` are the registers that differ from those the code began with.

    ``drain_runs`` counts KVM_RUNs up to and with the one that says EINTR; ``ram_written`` the
    bytes of RAM that the drain changes. None, as ``rip_after``: the drain does not end.
    """

    k: int
    exit: DataExit
    rip: int
    changed: dict[str, int]
    rip_after: int | None = None
    drain_runs: int | None = None
    ram_written: int | None = None
    save: dict[str, Verdict | None] = field(default_factory=dict)


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


def probe(kernel: Kernel, case: Case, restore: str = "new-vm") -> Report:
    """Save at every exit of ``case`` in each of the five ways."""
    run = undisturbed(kernel, case)
    rows = _measure(kernel, case, run)
    attempt = RESTORES[restore](kernel, run)
    for row, verdicts in zip(rows, _saves(kernel, case, attempt), strict=True):
        row.save = verdicts
    return Report(case, kernel.name, restore, rows, run.log, run.end, run.points[-1].state)


def walk(kernel: Kernel, case: Case) -> Iterator[tuple[DataExit | Interrupted, Vm]]:
    """Each exit, not yet served, and each quiet point, of a run drained after every exit."""
    vm, feed = begin(kernel, case), Feed()
    page = vm.vcpu.kvm_run
    try:
        result = vm.vcpu.run()
        while isinstance(result, DATA_EXITS) and len(feed.log) < LIMIT:
            yield result, vm
            feed.serve(page)
            page.immediate_exit = 1
            result = vm.vcpu.run()
            page.immediate_exit = 0
            if isinstance(result, Interrupted):
                yield EINTR, vm
                result = vm.vcpu.run()
    finally:
        vm.close()


@dataclass(frozen=True, slots=True)
class Stand:
    """A place on the walk: ``served`` exits have been served, and this is what can be saved."""

    state: VcpuState
    memory: bytes
    served: int

    def restore(self, kernel: Kernel) -> Vm:
        """A new machine that stands here, with nothing pending."""
        vm = kernel.create_vm(len(self.memory))
        vm.memory[:] = self.memory
        vm.vcpu.set_state(self.state)
        return vm


def stand(vm: Vm, served: int) -> Stand:
    """What can be saved of ``vm`` now."""
    return Stand(vm.vcpu.get_state(), bytes(vm.memory), served)


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
    return {name: now[name] for name in GPR_NAMES if now[name] != before[name]}


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


class Phase(Enum):
    """What has been done about the exit at which a save is made."""

    UNSERVED = "unserved"
    SERVED = "served"
    COMPLETED = "completed"


Attempt = Callable[[Stand, Stand, Phase], Verdict]
"""Try a save: the last quiet point before the exit, what is saved, how far the exit is."""


def _saves(kernel: Kernel, case: Case, attempt: Attempt) -> Iterator[dict[str, Verdict | None]]:
    """Walk again, try each save once, and give it to the policies that make it."""
    unserved: list[Verdict] = []
    served: list[Verdict] = []
    quiet: dict[int, Verdict] = {}  # by the number of exits before it
    base = _beginning(kernel, case)
    for result, vm in walk(kernel, case):
        here = stand(vm, len(served))
        if isinstance(result, Interrupted):
            quiet[len(served)] = attempt(base, here, Phase.COMPLETED)
            base = here
            continue
        unserved.append(attempt(base, here, Phase.UNSERVED))
        served.append(attempt(base, replace(here, served=len(served) + 1), Phase.SERVED))
    drained = None
    rows: list[dict[str, Verdict | None]] = []
    for k in reversed(range(len(served))):
        then = quiet.get(k + 1)
        drained = drained if then is None else then
        last = k + 1 == len(served)
        rows.append(
            {
                "served": served[k],
                "unserved": unserved[k],
                "kick-once": then or (None if last else unserved[k + 1]),
                "serve-once": then or (None if last else served[k + 1]),
                "drain": drained,
            }
        )
    return reversed(rows)


def _beginning(kernel: Kernel, case: Case) -> Stand:
    vm = begin(kernel, case)
    try:
        return stand(vm, 0)
    finally:
        vm.close()


def _new_vm(kernel: Kernel, run: Undisturbed) -> Attempt:
    """Restore what was saved into a new VM."""

    def attempt(base: Stand, saved: Stand, phase: Phase) -> Verdict:
        vm = saved.restore(kernel)
        try:
            return follow(vm, saved.served, run)
        finally:
            vm.close()

    return attempt


def _same_vcpu(kernel: Kernel, run: Undisturbed) -> Attempt:
    """Restore what was saved into the vCPU it was saved from, whatever is pending there."""

    def attempt(base: Stand, saved: Stand, phase: Phase) -> Verdict:
        vm, feed = base.restore(kernel), run.feed(base.served)
        try:
            _arrive(vm, feed, saved.served, phase)
            vm.memory[:] = saved.memory
            vm.vcpu.set_state(saved.state)
            return follow(vm, saved.served, run)
        finally:
            vm.close()

    return attempt


def _arrive(vm: Vm, feed: Feed, served: int, phase: Phase) -> None:
    """Run ``vm`` until ``served`` exits are served, and no further than ``phase`` says."""
    page = vm.vcpu.kvm_run
    vm.vcpu.run()
    while len(feed.log) < served:
        feed.serve(page)
        if len(feed.log) < served or phase is Phase.UNSERVED:
            vm.vcpu.run()
    if phase is Phase.COMPLETED:
        page.immediate_exit = 1
        vm.vcpu.run()
        page.immediate_exit = 0


RESTORES = {"new-vm": _new_vm, "same-vcpu": _same_vcpu}


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
