"""The walk on which every stop policy lets go somewhere, and the saves tried there.

=============  ================================================================
served         the exit itself, the device asked, nothing entered
unserved       the exit itself, the device not asked
kick-once      one KVM_RUN on: a quiet point, or the next exit, not served
serve-once     one KVM_RUN on: a quiet point, or the next exit, served
drain          the next quiet point
=============  ================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum

from kvmexit.exits import DATA_EXITS, EINTR, DataExit, Events, Interrupted, VcpuState
from kvmexit.kernel.protocol import Kernel, Vm
from kvmexit.probe.cases import Case
from kvmexit.probe.verdict import LIMIT, Feed, Undisturbed, Verdict, begin, follow, unsteady
from kvmexit.vmm.bus import unhandled
from kvmexit.vmm.machine import Load, whole

SAVES = ("served", "unserved", "kick-once", "serve-once", "drain")


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
            elif not isinstance(result, DATA_EXITS):
                raise unhandled(result)
    finally:
        vm.close()


@dataclass(frozen=True, slots=True)
class Stand:
    """A place on the walk: ``served`` exits have been served, and this is what can be saved."""

    state: VcpuState
    memory: bytes
    served: int

    def restore(self, kernel: Kernel, load: Load = whole) -> Vm:
        """A new machine that stands here, with nothing pending."""
        vm = kernel.create_vm(len(self.memory))
        vm.memory[:] = self.memory
        load(vm.vcpu, self.state)
        return vm


def stand(vm: Vm, served: int) -> Stand:
    """What can be saved of ``vm`` now."""
    return Stand(vm.vcpu.get_state(), bytes(vm.memory), served)


class Phase(Enum):
    """What has been done about the exit at which a save is made."""

    UNSERVED = "unserved"
    SERVED = "served"
    COMPLETED = "completed"


Rows = list[dict[str, Verdict | None]]
"""For each exit the verdict on each of :data:`SAVES`; None: it never comes to that save."""
Attempt = Callable[[Stand, Stand, Phase], Verdict]
"""Try a save: the last quiet point before the exit, what is saved, how far the exit is."""


class Remembered:
    """An attempt that remembers its verdicts, in the order of the walk. ``events`` says whether
    any of the states had some: only then a save of the registers alone can fare otherwise."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._verdicts: list[Verdict] = []
        self.events = False

    def __call__(self, base: Stand, saved: Stand, phase: Phase) -> Verdict:
        self.events |= saved.state.events != Events()
        self._verdicts.append(self._attempt(base, saved, phase))
        return self._verdicts[-1]

    def otherwise(self, attempt: Attempt) -> Attempt:
        """On the same walk, ``attempt`` where there are events, else what is known."""
        known = iter(self._verdicts)

        def again(base: Stand, saved: Stand, phase: Phase) -> Verdict:
            if (verdict := next(known, None)) is None:
                raise unsteady()
            return attempt(base, saved, phase) if saved.state.events != Events() else verdict

        return again


class _Tried:
    """An attempt, and what became of it all along a walk."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.unserved: list[Verdict] = []
        self.served: list[Verdict] = []
        self.quiet: dict[int, Verdict] = {}
        """By the number of exits before it."""

    def by_policy(self) -> Rows:
        """The verdicts of each exit, to the policies whose saves they are."""
        drained = None
        rows: Rows = []
        for k in reversed(range(len(self.served))):
            then = self.quiet.get(k + 1)
            drained = drained if then is None else then
            last = k + 1 == len(self.served)
            rows.append(
                {
                    "served": self.served[k],
                    "unserved": self.unserved[k],
                    "kick-once": then or (None if last else self.unserved[k + 1]),
                    "serve-once": then or (None if last else self.served[k + 1]),
                    "drain": drained,
                }
            )
        return rows[::-1]


def try_saves(kernel: Kernel, case: Case, *attempts: Attempt) -> list[Rows]:
    """Walk again, try each save once with each of ``attempts``, and give the verdicts to the
    policies that make it."""
    tried, served = [_Tried(attempt) for attempt in attempts], 0
    base = _beginning(kernel, case)
    for result, vm in walk(kernel, case):
        here = stand(vm, served)
        if isinstance(result, Interrupted):
            for one in tried:
                one.quiet[served] = one.attempt(base, here, Phase.COMPLETED)
            base = here
            continue
        served += 1
        answered = replace(here, served=served)
        for one in tried:
            one.unserved.append(one.attempt(base, here, Phase.UNSERVED))
            one.served.append(one.attempt(base, answered, Phase.SERVED))
    return [one.by_policy() for one in tried]


def _beginning(kernel: Kernel, case: Case) -> Stand:
    vm = begin(kernel, case)
    try:
        return stand(vm, 0)
    finally:
        vm.close()


def _new_vm(kernel: Kernel, run: Undisturbed, load: Load) -> Attempt:
    """Restore what was saved into a new VM."""

    def attempt(base: Stand, saved: Stand, phase: Phase) -> Verdict:
        vm = saved.restore(kernel, load)
        try:
            return follow(vm, saved.served, run)
        finally:
            vm.close()

    return attempt


def _same_vcpu(kernel: Kernel, run: Undisturbed, load: Load) -> Attempt:
    """Restore what was saved into the vCPU it was saved from, whatever is pending there."""

    def attempt(base: Stand, saved: Stand, phase: Phase) -> Verdict:
        vm, feed = base.restore(kernel), run.feed(base.served)
        try:
            _arrive(vm, feed, saved.served, phase)
            vm.memory[:] = saved.memory
            load(vm.vcpu, saved.state)
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
