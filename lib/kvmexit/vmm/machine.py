"""The virtual machine monitor: one run loop over any kernel, and five ways to stop it.

The loop is a generator of :class:`Step`. Each step is yielded *before* it happens, so whoever
drives the loop can let the request to suspend arrive at any point, and decides what time
means: a list, a landing, a simulated clock, the clock on the wall.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from kvmexit.errors import KvmExitError, known, said
from kvmexit.exits import DATA_EXITS, EINTR, Hlt, Interrupted, Lane, Step, VcpuExit, VcpuState, What
from kvmexit.kernel.protocol import Kernel, KvmRun, Vcpu, Vm
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.devices import TisState

# ------------------------------------------------------------------------ stop policies


def save_at_once(vcpu: Vcpu, bus: Bus) -> None:
    """The bug: whatever is pending stays pending."""
    vcpu.kvm_run.immediate_exit = 0


def skip_entry(vcpu: Vcpu, bus: Bus) -> None:
    """Take ``immediate_exit`` as a reason not to enter at all. Nothing is completed."""
    vcpu.kvm_run.immediate_exit = 0


def kick_once(vcpu: Vcpu, bus: Bus) -> None:
    """Enter once, and do not look at what comes back."""
    vcpu.kvm_run.immediate_exit = 1
    vcpu.run()
    vcpu.kvm_run.immediate_exit = 0


def serve_once(vcpu: Vcpu, bus: Bus) -> None:
    """Enter once, and serve what comes back. Its own completion is still to come."""
    vcpu.kvm_run.immediate_exit = 1
    if vcpu.run() is not EINTR:
        bus.serve(vcpu.kvm_run)
    vcpu.kvm_run.immediate_exit = 0


def drain(vcpu: Vcpu, bus: Bus) -> None:
    """The fix: enter and serve until there is nothing left but EINTR."""
    vcpu.kvm_run.immediate_exit = 1
    while vcpu.run() is not EINTR:
        bus.serve(vcpu.kvm_run)
    vcpu.kvm_run.immediate_exit = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """What a VMM does between the request to stop and the save.

    ``stop`` is called with the vCPU outside KVM_RUN. ``looks_before_serving`` is true of a
    VMM that checks for the request as soon as KVM_RUN has returned, before the device.
    """

    name: str
    stop: Callable[[Vcpu, Bus], None]
    looks_before_serving: bool = False


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("save-at-once", save_at_once, looks_before_serving=True),
        Policy("skip-entry", skip_entry),
        Policy("kick-once", kick_once),
        Policy("serve-once", serve_once),
        Policy("drain", drain),
    )
}

# ------------------------------------------------------------------------ compensations


def no_compensation(state: Any) -> Any:
    """Load what was saved."""
    return state


def rewind(state: Any) -> Any:
    """The report's attempt: inside a response, step the FIFO back by one."""
    if isinstance(state, TisState) and 0 < state.offset < len(state.response):
        return replace(state, offset=state.offset - 1)
    return state


COMPENSATIONS: dict[str, Callable[[Any], Any]] = {"none": no_compensation, "rewind": rewind}
RESTORES = ("new-vm", "same-vcpu")

# ------------------------------------------------------------------------ what is saved


def whole(vcpu: Vcpu, state: VcpuState) -> None:
    """All that can be saved, the events after the registers."""
    vcpu.set_state(state)


def registers_alone(vcpu: Vcpu, state: VcpuState) -> None:
    """A VMM that saves registers, segments and vectors, and no events."""
    vcpu.set_state(replace(state, events=None))


Load = Callable[[Vcpu, VcpuState], None]
"""Put what was saved into a vCPU."""
SAVED: dict[str, Load] = {"whole": whole, "registers": registers_alone}
"""How much of a vCPU's state a VMM saves."""


def load_of(saved: str | Load) -> Load:
    """A key of :data:`SAVED`, or the function itself. KvmExitError if there is no such key."""
    known("way to save", saved, SAVED, callable(saved))
    return SAVED[saved] if isinstance(saved, str) else saved


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a VMM can save. Nothing that is pending is in it."""

    state: VcpuState
    memory: bytes
    device: Any


Call = tuple[str, VcpuExit | Interrupted | None]
"""An ioctl as the VMM made it: its name, and for KVM_RUN what came back."""


class Journal:
    """A vCPU that writes down what is asked of it. ``tell`` hears each step as it happens."""

    def __init__(self, vcpu: Vcpu, calls: list[Call], tell: Callable[[Step], None]) -> None:
        self._vcpu, self._calls, self._tell = vcpu, calls, tell

    @property
    def kvm_run(self) -> KvmRun:
        return self._vcpu.kvm_run

    def run(self) -> VcpuExit | Interrupted:
        self._tell(Step(Lane.VMM, What.ENTRY))
        result = self._vcpu.run()
        self._calls.append(("KVM_RUN", result))
        self._tell(returned(result))
        return result

    def walk(self) -> Any:
        return self._vcpu.walk()

    def get_state(self) -> VcpuState:
        self._calls.append(("KVM_GET_REGS", None))
        return self._vcpu.get_state()

    def set_state(self, state: VcpuState) -> None:
        self._calls.append(("KVM_SET_REGS", None))
        self._vcpu.set_state(state)

    def kick(self) -> None:
        self._vcpu.kick()


def returned(result: VcpuExit | Interrupted) -> Step:
    """The step in which KVM_RUN comes back with ``result``."""
    if isinstance(result, Interrupted):
        return Step(Lane.KERNEL, What.EINTR)
    return Step(Lane.KERNEL, What.EXIT, result)


def _nobody(step: Step) -> None:
    """Hears steps when nobody else does."""


class Machine:
    """A VM, its loop, and its way to be suspended and to go on.

    ``steps()`` runs it. ``request_stop()`` may be called between two steps; the machine is
    then stopped by ``policy``, saved, restored (``new-vm`` or ``same-vcpu``) and goes on with as
    much as was ``saved``. ``calls`` lists the ioctls, ``saves`` what was saved, ``tell`` hears the
    steps inside a stop policy.
    """

    SPURIOUS = 3
    """EINTRs in a row that nobody asked for, after which the machine is given up."""

    def __init__(
        self,
        kernel: Kernel,
        bus: Bus,
        vm: Vm,
        policy: Policy,
        compensation: Callable[[Any], Any] = no_compensation,
        restore: str = "new-vm",
        saved: str | Load = "whole",
    ) -> None:
        self.kernel, self.bus, self.vm = kernel, bus, vm
        known("restore", restore, RESTORES)
        if not isinstance(policy, Policy):
            raise KvmExitError(
                f"a machine stops by a Policy, not by {said(policy)}: POLICIES has some"
            )
        self.policy, self.compensation, self.restore_into = policy, compensation, restore
        self.load = load_of(saved)
        self.stop_requested = False
        self.calls: list[Call] = []
        self.saves: list[Snapshot] = []
        self.tell: Callable[[Step], None] = _nobody

    def request_stop(self) -> None:
        """The host wants this machine suspended: set the flag, then kick the vCPU."""
        self.stop_requested = True
        self.vm.vcpu.kick()

    def steps(self) -> Iterator[Step]:
        """Run until the guest halts. Raises KvmExitError if it ends in any other way."""
        spurious = 0
        while True:
            yield ENTRY
            result = yield from self.vm.vcpu.walk()
            self.calls.append(("KVM_RUN", result))
            yield returned(result)
            if isinstance(result, DATA_EXITS):
                spurious = 0
                if self.policy.looks_before_serving:
                    yield LOOK
                    if self.stop_requested:
                        yield from self._suspend()
                        continue
                yield Step(Lane.DEVICE, What.SERVE, result)
                self.bus.serve(self.vm.vcpu.kvm_run)
            elif isinstance(result, Interrupted):
                spurious += 1
            elif isinstance(result, Hlt):
                yield Step(Lane.GUEST, What.HALT)
                return
            else:
                raise KvmExitError(f"the guest ended with {result!r} instead of hlt")
            yield LOOK
            if self.stop_requested:
                spurious = 0
                yield from self._suspend()
            elif spurious >= self.SPURIOUS:
                raise KvmExitError(
                    "KVM_RUN returns EINTR again and again: immediate_exit is still set;"
                    " clear it when the stop is done"
                )

    def _suspend(self) -> Iterator[Step]:
        """Stop by the policy, save, and go on elsewhere."""
        yield Step(Lane.VMM, What.STOP)
        self.stop_requested = False  # this one is taken; the next may come at any step
        journal = Journal(self.vm.vcpu, self.calls, self.tell)
        self.policy.stop(journal, self.bus)
        yield Step(Lane.VMM, What.SAVE)
        snapshot = Snapshot(journal.get_state(), bytes(self.vm.memory), self.bus.device.save())
        self.saves.append(snapshot)
        yield Step(Lane.VMM, What.RESTORE)
        self.restore(snapshot)

    def restore(self, snapshot: Snapshot) -> None:
        """Load ``snapshot`` into a new VM, or into the vCPU that is there."""
        if self.restore_into == "new-vm":
            watched = getattr(self.vm.vcpu, "watched", None)
            self.vm.close()
            self.vm = self.kernel.create_vm(len(snapshot.memory))
            if watched is not None:
                self.vm.vcpu.watched = watched  # type: ignore[attr-defined]  # it has one
        self.vm.memory[:] = snapshot.memory
        self.load(Journal(self.vm.vcpu, self.calls, self.tell), snapshot.state)
        self.bus.device.load(self.compensation(snapshot.device))


ENTRY = Step(Lane.VMM, What.ENTRY)
LOOK = Step(Lane.VMM, What.LOOK)
