"""Mistakes that a kernel or a VMM could make, each made on purpose while a ``with`` lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from kvmexit import vmm
from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR, MmioRead, MmioWrite, Wrmsr
from kvmexit.faults import checks
from kvmexit.faults.checks import Check
from kvmexit.guest import strings
from kvmexit.guest.cpu import Register
from kvmexit.kernel import simulated
from kvmexit.kernel.pending import fragments
from kvmexit.kernel.retirement import EMULATOR, Pc, Retirement
from kvmexit.kernel.simulated import SimulatedKernel, SimulatedVcpu
from kvmexit.kernel.simulated_page import SimulatedRun
from kvmexit.vmm import Machine


@dataclass(frozen=True, slots=True)
class Fault:
    """A mistake in words, how it is made, and the check that must catch it."""

    name: str
    where: str
    make: Callable[[], Any]
    caught_by: Check


@contextmanager
def swap(owner: Any, name: str, new: Any) -> Iterator[None]:
    """``owner.name`` is ``new`` for a while."""
    old = getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        setattr(owner, name, old)


def wrap(owner: Any, name: str, around: Callable[..., Any]) -> Callable[[], Any]:
    """Replace a function by ``around``, which gets the old one first."""
    old = getattr(owner, name)
    return lambda: swap(owner, name, lambda *args, **more: around(old, *args, **more))


def retire(rule: Retirement) -> Callable[[], Any]:
    """The simulated kernel after another rule of retirement."""
    init = SimulatedKernel.__init__
    return lambda: swap(SimulatedKernel, "__init__", lambda self: init(self, rule))


def _look_first(old: Any, self: SimulatedVcpu) -> Any:
    if self.kvm_run.immediate_exit:
        return EINTR
    return old(self)


def _clear_request(old: Any, self: SimulatedVcpu) -> Any:
    result = old(self)
    self.kvm_run.immediate_exit = 0
    return result


def _clear_reason(old: Any, self: SimulatedVcpu) -> Any:
    result = old(self)
    if result is EINTR:
        self.kvm_run.exit_reason = 0
    return result


def _ignore_request(old: Any, self: SimulatedVcpu) -> Any:
    requested, self.kvm_run.immediate_exit = self.kvm_run.immediate_exit, 0
    result = old(self)
    self.kvm_run.immediate_exit = requested
    return result


def _all_to_device(old: Any, self: SimulatedVcpu, address: int, data: bytes) -> Any:
    device = old(self, address, data)
    if device:
        self._posted = [MmioWrite(address, data)]
    return device


def _break_at_512(old: Any, self: SimulatedVcpu, access: Any, operation: Any) -> Any:
    result = old(self, access, operation)
    ecx = self._cpu.gpr[1]
    return True if operation.rep and ecx & 0x1FF == 1 and result is False else result


def _first_piece_only(old: Any, self: SimulatedVcpu, pending: Any) -> Any:
    if pending.running is None:
        del pending.pieces[pending.done + 1 :]
    return old(self, pending)


def _one_slot(old: Any, self: SimulatedVcpu, pending: Any) -> Any:
    pending.slots = (0,) * len(pending.pieces)
    return old(self, pending)


def _zero_data(old: Any, self: SimulatedRun, exit: Any) -> Any:
    if isinstance(exit, MmioRead):
        self._data[:] = bytes(8)
    return old(self, exit)


def _keep_answer(old: Any, self: SimulatedVcpu, state: Any) -> None:
    old(self, state)
    if self._pending is not None:
        self._pending.reloaded = False


def _forget_pending(old: Any, self: SimulatedVcpu, state: Any) -> None:
    old(self, state)
    self._pending = None


def _observe(old: Any, self: SimulatedVcpu) -> Any:
    if self._pending is not None:
        self._pending.reloaded = True
    return old(self)


def _carry_pending(old: Any, self: SimulatedVcpu) -> Any:
    return replace(old(self), rest=self._pending)


def _restore_pending(old: Any, self: SimulatedVcpu, state: Any) -> None:
    old(self, state)
    self._pending = state.rest


@contextmanager
def _pending_in_state() -> Iterator[None]:
    with wrap(SimulatedVcpu, "get_state", _carry_pending)():
        with wrap(SimulatedVcpu, "set_state", _restore_pending)():
            yield


def _early_register(old: Any, self: SimulatedVcpu, operation: Any) -> Any:
    exit = old(self, operation)
    Register(0, 1).force(self._cpu, 0x11)
    return exit


def _accumulate(old: Any, self: SimulatedVcpu, address: int, data: bytes) -> Any:
    before = list(self._posted)
    device = old(self, address, data)
    self._posted = before + [piece for piece in self._posted if piece not in before]
    return device


def _no_pages(address: int, size: int, ram: int) -> list[tuple[int, int, int]]:
    whole = fragments(address, size, ram)
    if all(where >= ram for _, where, _ in whole) and size <= 8:
        return [(0, address, size)]
    return whole


def _late_msr(old: Any, self: SimulatedVcpu, operation: Any) -> Any:
    exit = old(self, operation)
    if isinstance(exit, Wrmsr):
        self._cpu.rip = operation.after
    return exit


def _forget_kick(self: SimulatedVcpu) -> None:
    self._kicked = self._in_guest


def _stop_once(vcpu: Any, bus: Any) -> None:
    vcpu.kvm_run.immediate_exit = 1
    if vcpu.run() is not EINTR:
        bus.serve(vcpu.kvm_run)
        vcpu.run()
    vcpu.kvm_run.immediate_exit = 0


def _without_serving(vcpu: Any, bus: Any) -> None:
    vcpu.kvm_run.immediate_exit = 1
    while vcpu.run() is not EINTR:
        pass
    vcpu.kvm_run.immediate_exit = 0


def _leave_request(vcpu: Any, bus: Any) -> None:
    vmm.drain(vcpu, bus)
    vcpu.kvm_run.immediate_exit = 1


def policy(name: str, stop: Callable[[Any, Any], None]) -> Callable[[], Any]:
    """The VMM with another way to stop under a known name."""
    return lambda: _swap_item(vmm.POLICIES, name, replace(vmm.POLICIES[name], stop=stop))


@contextmanager
def _swap_item(table: dict[str, Any], name: str, new: Any) -> Iterator[None]:
    old, table[name] = table[name], new
    try:
        yield
    finally:
        table[name] = old


def _restore_old_memory(old: Any, self: Machine, snapshot: Any) -> None:
    memory = getattr(self, "_early", snapshot.memory)
    old(self, replace(snapshot, memory=memory))


def _note_memory(old: Any, self: Machine) -> None:
    self._early = bytes(self.vm.memory)  # type: ignore[attr-defined]
    old(self)


@contextmanager
def _memory_before_drain() -> Iterator[None]:
    with wrap(Machine, "request_stop", _note_memory)():
        with wrap(Machine, "restore", _restore_old_memory)():
            yield


def _forget_registers(old: Any, self: Machine, snapshot: Any) -> None:
    old(self, replace(snapshot, state=replace(snapshot.state, gpr=(0,) * 8)))


def _forget_vectors(old: Any, self: Machine, snapshot: Any) -> None:
    old(self, replace(snapshot, state=replace(snapshot.state, xmm=(0,) * 8)))


def _forget_device(old: Any, self: Machine, snapshot: Any) -> None:
    old(self, replace(snapshot, device=0x11))


def _run(around: Callable[..., Any]) -> Callable[[], Any]:
    return wrap(SimulatedVcpu, "run", around)


FAULTS = (
    Fault(
        "a read retires before it is answered",
        "kernel",
        retire(replace(EMULATOR, mmio_read=Pc.PAST)),
        checks.a_read_waits_for_its_completion,
    ),
    Fault(
        "a write retires at completion",
        "kernel",
        retire(replace(EMULATOR, mmio_write=Pc.AT)),
        checks.a_write_retires_before_its_exit,
    ),
    Fault(
        "the register is written at the exit",
        "kernel",
        wrap(SimulatedVcpu, "_pause", _early_register),
        checks.a_read_waits_for_its_completion,
    ),
    Fault(
        "an MSR write retires before its exit",
        "kernel",
        wrap(SimulatedVcpu, "_pause", _late_msr),
        checks.an_msr_write_waits_for_its_completion,
    ),
    Fault(
        "immediate_exit is looked at before completion",
        "kernel",
        _run(_look_first),
        checks.completion_comes_before_immediate_exit,
    ),
    Fault(
        "immediate_exit is ignored",
        "kernel",
        _run(_ignore_request),
        checks.immediate_exit_executes_nothing,
    ),
    Fault(
        "immediate_exit is cleared by the kernel",
        "kernel",
        _run(_clear_request),
        checks.immediate_exit_stays_until_cleared,
    ),
    Fault(
        "exit_reason is cleared at EINTR",
        "kernel",
        _run(_clear_reason),
        checks.exit_reason_is_stale_after_eintr,
    ),
    Fault(
        "only the first fragment of a write is delivered",
        "kernel",
        wrap(SimulatedVcpu, "_complete", _first_piece_only),
        checks.every_fragment_is_an_exit,
    ),
    Fault(
        "an access is not cut at the end of a page",
        "kernel",
        lambda: swap(simulated, "fragments", _no_pages),
        checks.every_fragment_is_an_exit,
    ),
    Fault(
        "every fragment of a read lands in the first place",
        "kernel",
        wrap(SimulatedVcpu, "_complete", _one_slot),
        checks.a_vector_goes_in_pieces_of_eight,
    ),
    Fault(
        "the RAM half of a write goes to the device as well",
        "kernel",
        wrap(SimulatedVcpu, "_store", _all_to_device),
        checks.the_ram_half_of_an_access_is_no_exit,
    ),
    Fault(
        "the page is cleared at a read exit",
        "kernel",
        wrap(SimulatedRun, "report", _zero_data),
        checks.an_unanswered_read_gets_what_lies_in_the_page,
    ),
    Fault(
        "an answer survives the loading of registers",
        "kernel",
        wrap(SimulatedVcpu, "set_state", _keep_answer),
        checks.loading_registers_drops_a_pending_answer,
    ),
    Fault(
        "loading registers cancels what is pending",
        "kernel",
        wrap(SimulatedVcpu, "set_state", _forget_pending),
        checks.loading_registers_does_not_cancel_a_pending_read,
    ),
    Fault(
        "reading registers drops a pending answer",
        "kernel",
        wrap(SimulatedVcpu, "get_state", _observe),
        checks.reading_registers_changes_nothing,
    ),
    Fault(
        "the pending half is in the saved state",
        "kernel",
        _pending_in_state,
        checks.a_new_vm_repeats_an_unfinished_read,
    ),
    Fault(
        "a repeated read takes a break every 512",
        "kernel",
        wrap(SimulatedVcpu, "_access", _break_at_512),
        checks.a_repeated_read_takes_a_break_every_1024,
    ),
    Fault(
        "port input is not read ahead",
        "kernel",
        lambda: swap(strings, "_ahead", lambda cpu, insn: 1),
        checks.port_input_reads_ahead_to_the_end_of_the_page,
    ),
    Fault(
        "port input reads ahead over the end of the page",
        "kernel",
        lambda: swap(strings, "_ahead", lambda cpu, insn: min(1024, cpu.gpr[1])),
        checks.port_input_reads_ahead_to_the_end_of_the_page,
    ),
    Fault(
        "a write to a device does not interrupt a repeated instruction",
        "kernel",
        wrap(SimulatedVcpu, "_store", lambda old, *args: old(*args) and False),
        checks.a_repeated_write_stops_at_each_exit,
    ),
    Fault(
        "every push of pusha is delivered",
        "kernel",
        wrap(SimulatedVcpu, "_store", _accumulate),
        checks.pusha_sends_its_last_push_alone,
    ),
    Fault(
        "a kick is forgotten outside KVM_RUN",
        "kernel",
        lambda: swap(SimulatedVcpu, "kick", _forget_kick),
        checks.a_kick_is_not_lost,
    ),
    Fault(
        "the drain enters once only",
        "VMM",
        policy("drain", vmm.kick_once),
        checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "the drain enters twice only",
        "VMM",
        policy("drain", _stop_once),
        checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "the drain does not serve what it meets",
        "VMM",
        policy("drain", _without_serving),
        checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "the drain leaves immediate_exit set",
        "VMM",
        policy("drain", _leave_request),
        checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "memory is copied before the drain writes to it",
        "VMM",
        _memory_before_drain,
        checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "the general registers are not restored",
        "VMM",
        wrap(Machine, "restore", _forget_registers),
        checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "the vector registers are not restored",
        "VMM",
        wrap(Machine, "restore", _forget_vectors),
        checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "the device is not restored",
        "VMM",
        wrap(Machine, "restore", _forget_device),
        checks.a_drained_save_is_never_seen,
    ),
    Fault(
        "serving once is entering once",
        "VMM",
        policy("serve-once", vmm.kick_once),
        checks.each_policy_lets_go_where_the_atlas_says,
    ),
)


def is_caught(fault: Fault) -> str | None:
    """What the fault's check says while the fault is there; None if it notices nothing."""
    with fault.make():
        try:
            fault.caught_by(SimulatedKernel())
        except (AssertionError, KvmExitError) as problem:
            return str(problem)
    return None
