"""One program on one kernel, written down; and the place where two such records part."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    DATA_EXITS,
    EINTR,
    GPR_NAMES,
    Hlt,
    InternalError,
    Interrupted,
    Shutdown,
    VcpuExit,
    VcpuState,
)
from kvmexit.kernel.protocol import Kernel, Vm
from kvmexit.probe.cases import RAM
from kvmexit.probe.fuzz.programs import Program, Save
from kvmexit.probe.verdict import Feed
from kvmexit.vmm.machine import SAVED

ENDS = (Hlt, Shutdown, InternalError)
"""Exits after which nothing is pending."""
MOST_EXITS = 2200
"""Exits after which a program is left: more than two rounds of 1024."""


@dataclass(slots=True)
class Record:
    """What userspace saw: an entry for each KVM_RUN, each save, and the end.

    ``left`` says why the comparison ends before the program does, if it does, and ``at`` are
    the bytes where the guest was.
    """

    events: list[tuple[Any, ...]] = field(default_factory=list)
    exits: int = 0
    saves: int = 0
    left: str = ""
    at: bytes = b""


class Runner:
    """Runs programs on a kernel, in one VM as long as that is ``reusable``: after ``hlt``
    nothing is pending."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.reusable = False
        self._vm: Vm | None = None

    def close(self) -> None:
        """Close the VM at hand."""
        if self._vm is not None:
            self._vm.close()
            self._vm = None

    def fresh(self) -> Vm:
        """A VM that nobody has used."""
        self.close()
        self._vm = self.kernel.create_vm(RAM)
        return self._vm

    def run(self, program: Program) -> Record:
        """Run ``program`` with its saves."""
        record = Record()
        session = Session(self, program, record)
        try:
            session.run()
        except KvmExitError as problem:
            record.left, record.at = str(problem), session.code()
        self.reusable = bool(record.events) and isinstance(record.events[-1][1], ENDS)
        return record

    def begin(self, program: Program) -> Vm:
        """A VM at the first instruction; its shared page as new."""
        vm = self._vm or self.fresh()
        case = program.case()
        case.load(vm.memory)
        vm.vcpu.set_state(case.state())
        _clear_page(vm)
        return vm


def _clear_page(vm: Vm) -> None:
    """What earlier exits have left in the shared page would be read by an unanswered read."""
    page = getattr(vm.vcpu, "_page", None)
    if page is None:
        vm.vcpu.kvm_run.__init__()  # type: ignore[misc]  # all fields anew
    else:
        page[8:12] = bytes(4)
        page[32:288] = bytes(256)
        page[4096:8192] = bytes(4096)


class Session:
    """One program on its way."""

    def __init__(self, runner: Runner, program: Program, record: Record) -> None:
        self.runner, self.record = runner, record
        self.vm = runner.begin(program)
        self.feed = Feed()
        self.start = self.vm.vcpu.get_state()
        self.image = bytes(self.vm.memory)
        self.saves = list(program.saves)
        self.again = program.again

    def run(self) -> None:
        """Run to the end, or to the limit."""
        while self.record.exits < MOST_EXITS:
            result = self.enter()
            if isinstance(result, Interrupted):
                self.record.left = "EINTR without a reason"
                return
            if isinstance(result, ENDS) and self.again:
                self.again -= 1
                continue
            if not isinstance(result, DATA_EXITS):
                break
            self.record.exits += 1
            if self.saves and self.saves[0].exit < self.record.exits:
                self.save(self.saves.pop(0))
            else:
                self.feed.serve(self.vm.vcpu.kvm_run)
        self.record.events.append(("memory", result, bytes(self.vm.memory)))
        self.record.events.append(("end", result, tuple(self.feed.log)))

    def code(self) -> bytes:
        """The bytes at the program counter."""
        rip = self.vm.vcpu.get_state().rip
        return bytes(self.vm.memory[rip : rip + 15])

    def enter(self, immediate_exit: int = 0) -> VcpuExit | Interrupted:
        """KVM_RUN; notes what came back, the page and the state."""
        page = self.vm.vcpu.kvm_run
        page.immediate_exit = immediate_exit
        result = self.vm.vcpu.run()
        page.immediate_exit = 0
        self.note(result)
        return result

    def note(self, what: Any) -> None:
        state = self.vm.vcpu.get_state()
        reason = self.vm.vcpu.kvm_run.exit_reason
        self.record.events.append(
            ("state", what, reason, state.gpr, state.rip, state.rflags, state.xmm, state.events)
        )

    def save(self, save: Save) -> None:
        """Stop, save, restore."""
        self.record.saves += 1
        if save.served:
            self.feed.serve(self.vm.vcpu.kvm_run)
            self.stop(save.policy)
        state, memory = self.vm.vcpu.get_state(), bytes(self.vm.memory)
        match save.restore:
            case "new-vm":
                self.vm = self.runner.fresh()
            case "earlier":
                state, memory = self.start, self.image
            case "changed":
                state = changed(state, save.registers)
        self.vm.memory[:] = memory
        SAVED[save.saved](self.vm.vcpu, state)
        self.note("restored")

    def stop(self, policy: str) -> None:
        """What the VMM does before it saves."""
        if policy == "none":
            return
        while self.enter(immediate_exit=1) is not EINTR:
            if policy == "kick-once":
                return
            self.feed.serve(self.vm.vcpu.kvm_run)
            if policy == "serve-once" or len(self.feed.log) > MOST_EXITS:
                return


def changed(state: VcpuState, registers: dict[str, int]) -> VcpuState:
    """``state`` with some registers replaced."""
    gpr = tuple(registers.get(name, old) for name, old in zip(GPR_NAMES, state.gpr))
    xmm = (registers.get("xmm0", state.xmm[0]), *state.xmm[1:])
    rip, rflags = registers.get("rip", state.rip), registers.get("rflags", state.rflags)
    return replace(state, gpr=gpr, rip=rip, rflags=rflags, xmm=xmm)


def compare(one: Record, other: Record) -> tuple[int, Any, Any] | None:
    """The first difference: its place and both sides. None if there is none.

    Where one of the two was left (an instruction outside the subset), only what came before
    is compared.
    """
    for index, (a, b) in enumerate(zip_longest(one.events, other.events)):
        if a is None and one.left or b is None and other.left:
            return None
        if a != b:
            return index, a, b
    return None
