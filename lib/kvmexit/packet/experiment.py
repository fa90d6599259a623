"""Experiments: a scenario, a landing, an outcome.

A *scenario* says which machine runs and how its VMM stops; a *landing* is where in the run the
request to suspend arrives; the *result* is what guest and device ended with, held against the
undisturbed run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

from kvmexit.errors import KvmExitError, known, said
from kvmexit.exits import DATA_EXITS, EINTR, Interrupted, OtherExit, Step, VcpuState, What
from kvmexit.guest import driver as tis_driver
from kvmexit.kernel.arguments import whole
from kvmexit.kernel.protocol import Kernel, Vm
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.outcome import Ending, Kind, Outcome, classify
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.devices import DEVICES, Tis
from kvmexit.vmm.machine import (
    COMPENSATIONS,
    POLICIES,
    RESTORES,
    SAVED,
    Call,
    Load,
    Machine,
    Policy,
)

LONGEST = tis_driver.BUFFER_SIZE


def response_of(length: int) -> bytes:
    """A TPM 2.0 response of ``length`` bytes: header with its own size, success, then a body
    in which all neighbours differ.

    A response shorter than its header is that header, cut.
    """
    if not whole(length) or not 1 <= length <= LONGEST:
        raise KvmExitError(f"a response has 1 to {LONGEST} bytes, not {said(length)}")
    header = b"\x80\x01" + length.to_bytes(4, "big") + bytes(4)
    body = bytes((0x11 + i * 7) % 251 + 1 for i in range(max(0, length - len(header))))
    return (header + body)[:length]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A machine and how its VMM stops it.

    ``policy``, ``compensation`` and ``device`` are names, or the thing itself: a
    :class:`Policy`, a function on device states, a function from a response to a device. ``saved``
    is how much of the vCPU's state the VMM saves: a name, or the function that loads it.
    """

    response: bytes = field(default_factory=lambda: response_of(64))
    device: str | Callable[[bytes], Tis] = "tis-2011"
    policy: str | Policy = "save-at-once"
    compensation: str | Callable[[Any], Any] = "none"
    restore: str = "new-vm"
    program: str = "driver"
    saved: str | Load = "whole"

    def __post_init__(self) -> None:
        known("device", self.device, DEVICES, callable(self.device))
        if callable(self.policy):
            raise KvmExitError(
                f"a policy is a name or a Policy, not {said(self.policy)}: a function becomes one"
                " by Policy('mine', function)"
            )
        known("policy", self.policy, POLICIES, isinstance(self.policy, Policy))
        known("compensation", self.compensation, COMPENSATIONS, callable(self.compensation))
        known("restore", self.restore, RESTORES)
        if isinstance(self.device, str) or self.program not in tis_driver.PAGED:
            known("program", self.program, tis_driver.PROGRAMS)
        known("saved", self.saved, SAVED, callable(self.saved))
        if not isinstance(self.response, bytes):
            raise KvmExitError(f"a response is bytes, not {said(self.response)}")
        if not 1 <= len(self.response) <= LONGEST:
            raise KvmExitError(
                f"a response has 1 to {LONGEST} bytes, this one has {len(self.response)}"
            )
        if self.device == "tis-indexed" and self.program != "driver":
            raise KvmExitError(
                f"device tis-indexed has a driver of its own: program {self.program!r} cannot"
                " read it; leave the program out"
            )

    def make_device(self) -> Tis:
        """The device, with the response in it."""
        make = DEVICES[self.device] if isinstance(self.device, str) else self.device
        return make(self.response)

    def make_policy(self) -> Policy:
        """The stop policy."""
        return POLICIES[self.policy] if isinstance(self.policy, str) else self.policy

    def make_compensation(self) -> Callable[[Any], Any]:
        """The device's post-load correction."""
        if isinstance(self.compensation, str):
            return COMPENSATIONS[self.compensation]
        return self.compensation

    @property
    def variant(self) -> str:
        """Which variant of the driver the guest runs."""
        return "indexed" if self.device == "tis-indexed" else self.program


class Phase(Enum):
    """Where, around an exit, the request arrives."""

    UNSERVED = "unserved"  # KVM_RUN has returned, the device has not been asked
    SERVED = "served"  # the device has answered, nothing has been entered
    ENTERED = "entered"  # after the VMM's last look, before the kernel's


def phase_of(name: str) -> Phase:
    """The phase of that name. KvmExitError if there is none."""
    known("phase", name, [phase.value for phase in Phase])
    return Phase(name)


@dataclass(frozen=True, slots=True)
class Landing:
    """The ``exit``-th exit (from 1) that asks userspace for something, and the phase there.

    With ``data_only`` the reads of the response are counted and nothing else. KvmExitError for an
    exit before the first, and for a phase that is none.
    """

    exit: int
    phase: Phase = Phase.SERVED
    data_only: bool = False

    def __post_init__(self) -> None:
        if not whole(self.exit) or self.exit < 1:
            raise KvmExitError(f"landings count from 1, not {said(self.exit)}")
        if not isinstance(self.phase, Phase):
            phases = ", ".join(str(phase) for phase in Phase)
            raise KvmExitError(f"a phase is one of {phases}, not {said(self.phase)}")


@dataclass(frozen=True, slots=True)
class Result:
    """What an experiment showed. ``exits`` is how many data exits the run had in all."""

    scenario: Scenario
    kernel: str
    landing: Landing | None
    outcome: Outcome
    ending: Ending
    undisturbed: Ending
    calls: tuple[Call, ...]
    exits: int

    @property
    def pattern(self) -> str | None:
        """``bad`` if the last KVM_RUN before the save came back with an exit to complete."""
        names = [name for name, _ in self.calls]
        if "KVM_GET_REGS" not in names:
            return None
        runs = [result for name, result in self.calls[: names.index("KVM_GET_REGS")] if result]
        return "bad" if runs and isinstance(runs[-1], DATA_EXITS) else "good"

    @property
    def ioctls(self) -> list[str]:
        """The calls as strace would show them, from the landing to the next KVM_RUN."""
        return [call_text(call) for call in self.calls]


def call_text(call: Call) -> str:
    """``KVM_RUN = 0 (KVM_EXIT_MMIO)`` or ``KVM_RUN = -1 EINTR`` or the name alone."""
    name, result = call
    if result is None:
        return name
    if result is EINTR:
        return f"{name} = -1 EINTR"
    if isinstance(result, OtherExit | Interrupted):
        return f"{name} = 0 ({result!r})"
    return f"{name} = 0 ({result.reason.c_name})"


def make_machine(kernel: Kernel, scenario: Scenario) -> Machine:
    """A machine at the driver's first instruction, the response waiting in the device."""
    vm = kernel.create_vm(tis_driver.RAM)
    start = tis_driver.load(vm.memory, scenario.variant)
    vm.vcpu.set_state(VcpuState(rip=start, rest=vm.vcpu.get_state().rest))
    return Machine(
        kernel,
        Bus(scenario.make_device()),
        vm,
        scenario.make_policy(),
        scenario.make_compensation(),
        scenario.restore,
        scenario.saved,
    )


class Arrival:
    """Lets the request to suspend arrive at a landing: hears each step, says when."""

    def __init__(self, landing: Landing | None, bus: Bus) -> None:
        if landing is not None:
            _some(landing)
        self.landing, self.bus = landing, bus
        self.exits = self.counted = 0
        self.arrived = landing is None
        self._here = self._served = False

    def due(self, step: Step) -> bool:
        """Does the request arrive before ``step``? True once at most."""
        if step.what is What.EXIT:
            self._note_exit(step.about)
        elif step.what is What.SERVE:
            self._served = True
        if self.arrived or not self._here:
            return False
        assert self.landing is not None
        match self.landing.phase:
            case Phase.UNSERVED:
                now = step.what is What.EXIT
            case Phase.SERVED:
                now = self._served and step.what is What.LOOK
            case Phase.ENTERED:
                now = self._served and step.what is What.ENTRY
        self.arrived = now
        return now

    def past_end(self) -> KvmExitError:
        """What to raise if the run has ended and the request has not arrived."""
        assert self.landing is not None
        what = "reads of the response" if self.landing.data_only else "exits"
        return KvmExitError(
            f"landing {self.landing.exit} lies past the end: the run has {self.counted} {what}"
        )

    def _note_exit(self, exit: Any) -> None:
        if not isinstance(exit, DATA_EXITS):
            return
        self.exits += 1
        self._served = False
        if not self.arrived and self.landing is not None:
            if not self.landing.data_only or self.bus.is_data_read(exit):
                self.counted += 1
            self._here = self.counted == self.landing.exit


def run(
    kernel: Kernel, scenario: Scenario, landing: Landing | None = None, *, limit: int = 50_000
) -> Result:
    """Run ``scenario`` once, suspended at ``landing`` or undisturbed.

    ``limit`` bounds the number of steps. Raises KvmExitError if the landing lies past the end,
    or if the machine does not come to one.
    """
    undisturbed = reference(scenario)
    machine = make_machine(kernel, scenario)
    arrival = Arrival(landing, machine.bus)
    mark = 0
    try:
        for count, step in enumerate(machine.steps()):
            if arrival.due(step):
                mark = max(0, len(machine.calls) - 1)
                machine.request_stop()
            if count > limit + 60 * len(scenario.response):
                raise KvmExitError(f"the machine did not halt within {count} steps")
        if not arrival.arrived:
            raise arrival.past_end()
        ending = ending_of(machine.vm, machine.bus.device)
    finally:
        machine.vm.close()
    calls = tuple(machine.calls) if landing is None else window(machine.calls, mark)
    outcome = classify(undisturbed, ending)
    return Result(
        scenario, kernel.name, landing, outcome, ending, undisturbed, calls, arrival.exits
    )


def machine_at(kernel: Kernel, scenario: Scenario, landing: Landing) -> Machine:
    """``scenario``'s machine, halted at ``landing``: there the request would arrive.

    Nobody has asked it to stop. The caller closes ``machine.vm``. Raises KvmExitError if the
    landing lies past the end.
    """
    _some(landing)
    machine = make_machine(kernel, scenario)
    arrival = Arrival(landing, machine.bus)
    for step in machine.steps():
        if arrival.due(step):
            return machine
    machine.vm.close()
    raise arrival.past_end()


def _some(landing: Any) -> None:
    if not isinstance(landing, Landing):
        raise KvmExitError(f"a landing is Landing(exit, phase), not {said(landing)}")


def window(calls: list[Call], mark: int) -> tuple[Call, ...]:
    """The ioctls from the landing to the first KVM_RUN after the restore."""
    for end in range(mark, len(calls)):
        if calls[end][0] == "KVM_SET_REGS":
            return tuple(calls[mark : end + 2])
    return tuple(calls[mark:])


def ending_of(vm: Vm, device: Any) -> Ending:
    """Read the driver's result out of a halted guest."""
    state = vm.vcpu.get_state()
    size = min(state["ecx"], tis_driver.BUFFER_SIZE)
    returned = state["eax"] - (1 << 32 if state["eax"] >> 31 else 0)
    return Ending(
        guest=bytes(vm.memory[tis_driver.BUFFER : tis_driver.BUFFER + size]),
        returned=returned,
        message=tis_driver.message_at(vm.memory, state["esi"]),
        reads=device.reads,
        taken=device.taken,
        left_over=device.left_over,
        device=device.ended(),
    )


def reference(scenario: Scenario) -> Ending:
    """How ``scenario`` ends when nobody suspends it."""
    return _reference(scenario.response, scenario.device, scenario.variant, scenario.program)


@lru_cache(maxsize=256)
def _reference(
    response: bytes, device: str | Callable[[bytes], Tis], variant: str, program: str
) -> Ending:
    machine = make_machine(
        SimulatedKernel(), Scenario(response=response, device=device, program=program)
    )
    for _ in machine.steps():
        pass
    return ending_of(machine.vm, machine.bus.device)


__all__ = [
    "Kind",
    "Landing",
    "Outcome",
    "Phase",
    "Result",
    "Scenario",
    "machine_at",
    "response_of",
    "run",
]
