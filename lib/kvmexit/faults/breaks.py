"""Ways to break the simulated kernel and the VMM, each undone when its ``with`` ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from kvmexit.exits import EINTR, MmioRead, MmioWrite, Wrmsr
from kvmexit.guest.cpu import Register
from kvmexit.kernel.pending import fragments
from kvmexit.kernel.retirement import Retirement
from kvmexit.kernel.simulated import SimulatedKernel, SimulatedVcpu
from kvmexit.kernel.simulated_page import SimulatedRun
from kvmexit.vmm import machine as vmm
from kvmexit.vmm.machine import Machine


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


def look_first(old: Any, self: SimulatedVcpu) -> Any:
    if self.kvm_run.immediate_exit:
        return EINTR
    return old(self)


def clear_request(old: Any, self: SimulatedVcpu) -> Any:
    result = old(self)
    self.kvm_run.immediate_exit = 0
    return result


def clear_reason(old: Any, self: SimulatedVcpu) -> Any:
    result = old(self)
    if result is EINTR:
        self.kvm_run.exit_reason = 0
    return result


def ignore_request(old: Any, self: SimulatedVcpu) -> Any:
    requested, self.kvm_run.immediate_exit = self.kvm_run.immediate_exit, 0
    result = old(self)
    self.kvm_run.immediate_exit = requested
    return result


def all_to_device(old: Any, self: SimulatedVcpu, address: int, data: bytes) -> Any:
    device = old(self, address, data)
    if device:
        self._posted = [MmioWrite(address, data)]
    return device


def break_at_512(old: Any, self: SimulatedVcpu, access: Any, operation: Any) -> Any:
    result = old(self, access, operation)
    ecx = self._cpu.gpr[1]
    return True if operation.rep and ecx & 0x1FF == 1 and result is False else result


def first_piece_only(old: Any, self: SimulatedVcpu, pending: Any) -> Any:
    if pending.running is None:
        del pending.pieces[pending.done + 1 :]
    return old(self, pending)


def one_slot(old: Any, self: SimulatedVcpu, pending: Any) -> Any:
    pending.slots = (0,) * len(pending.pieces)
    return old(self, pending)


def zero_data(old: Any, self: SimulatedRun, exit: Any) -> Any:
    if isinstance(exit, MmioRead):
        self._data[:] = bytes(8)
    return old(self, exit)


def keep_answer(old: Any, self: SimulatedVcpu, state: Any) -> None:
    old(self, state)
    if self._pending is not None:
        self._pending.reloaded = False


def forget_pending(old: Any, self: SimulatedVcpu, state: Any) -> None:
    old(self, state)
    self._pending = None


def observe(old: Any, self: SimulatedVcpu) -> Any:
    if self._pending is not None:
        self._pending.reloaded = True
    return old(self)


def carry_pending(old: Any, self: SimulatedVcpu) -> Any:
    return replace(old(self), rest=self._pending)


def restore_pending(old: Any, self: SimulatedVcpu, state: Any) -> None:
    old(self, state)
    self._pending = state.rest


@contextmanager
def pending_in_state() -> Iterator[None]:
    with wrap(SimulatedVcpu, "get_state", carry_pending)():
        with wrap(SimulatedVcpu, "set_state", restore_pending)():
            yield


def early_register(old: Any, self: SimulatedVcpu, operation: Any) -> Any:
    exit = old(self, operation)
    Register(0, 1).force(self._cpu, 0x11)
    return exit


def accumulate(old: Any, self: SimulatedVcpu, address: int, data: bytes) -> Any:
    before = list(self._posted)
    device = old(self, address, data)
    self._posted = before + [piece for piece in self._posted if piece not in before]
    return device


def no_pages(address: int, size: int, ram: int) -> list[tuple[int, int, int]]:
    whole = fragments(address, size, ram)
    if all(where >= ram for _, where, _ in whole) and size <= 8:
        return [(0, address, size)]
    return whole


def late_msr(old: Any, self: SimulatedVcpu, operation: Any) -> Any:
    exit = old(self, operation)
    if isinstance(exit, Wrmsr):
        self._cpu.rip = operation.after
    return exit


def forget_kick(self: SimulatedVcpu) -> None:
    self._kicked = self._in_guest


def stop_once(vcpu: Any, bus: Any) -> None:
    vcpu.kvm_run.immediate_exit = 1
    if vcpu.run() is not EINTR:
        bus.serve(vcpu.kvm_run)
        vcpu.run()
    vcpu.kvm_run.immediate_exit = 0


def without_serving(vcpu: Any, bus: Any) -> None:
    vcpu.kvm_run.immediate_exit = 1
    while vcpu.run() is not EINTR:
        pass
    vcpu.kvm_run.immediate_exit = 0


def leave_request(vcpu: Any, bus: Any) -> None:
    vmm.drain(vcpu, bus)
    vcpu.kvm_run.immediate_exit = 1


def policy(name: str, stop: Callable[[Any, Any], None]) -> Callable[[], Any]:
    """The VMM with another way to stop under a known name."""
    return lambda: swap_item(vmm.POLICIES, name, replace(vmm.POLICIES[name], stop=stop))


@contextmanager
def swap_item(table: dict[str, Any], name: str, new: Any) -> Iterator[None]:
    old, table[name] = table[name], new
    try:
        yield
    finally:
        table[name] = old


def restore_old_memory(old: Any, self: Machine, snapshot: Any) -> None:
    memory = getattr(self, "_early", snapshot.memory)
    old(self, replace(snapshot, memory=memory))


def note_memory(old: Any, self: Machine) -> None:
    self._early = bytes(self.vm.memory)  # type: ignore[attr-defined]  # the fault's own
    old(self)


@contextmanager
def memory_before_drain() -> Iterator[None]:
    with wrap(Machine, "request_stop", note_memory)():
        with wrap(Machine, "restore", restore_old_memory)():
            yield


def forget_registers(old: Any, self: Machine, snapshot: Any) -> None:
    old(self, replace(snapshot, state=replace(snapshot.state, gpr=(0,) * 8)))


def forget_vectors(old: Any, self: Machine, snapshot: Any) -> None:
    old(self, replace(snapshot, state=replace(snapshot.state, xmm=(0,) * 8)))


def forget_device(old: Any, self: Machine, snapshot: Any) -> None:
    old(self, replace(snapshot, device=0x11))
