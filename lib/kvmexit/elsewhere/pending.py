"""While an exit is pending, userspace writes to the vCPU or to the page: what does the next entry
make of it?

Each experiment brings a guest to its exit, does one thing, enters once with immediate_exit set,
looks, and lets the guest go on to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvmexit.elsewhere.guests.isa import ForeignCase, Isa
from kvmexit.exits import DATA_EXITS, Interrupted, VcpuExit
from kvmexit.kernel.protocol import Kernel, Vcpu, Vm
from kvmexit.probe.cases import ORIGIN, Case, case
from kvmexit.probe.verdict import Feed, begin

MARK = 0xAABBCCDD
"""What is written into the accumulator."""
NOPS = 4
"""In front of the instruction, so that the counter can be put before it."""
MOST = 16
"""Exits after which a guest that does not end is left."""


def _nothing(vcpu: Vcpu, begun: Case) -> None:
    """The answer lies in the page, and that is all."""


def _same(vcpu: Vcpu, begun: Case) -> None:
    vcpu.set_state(vcpu.get_state())


def _accumulator(vcpu: Vcpu, begun: Case) -> None:
    state = vcpu.get_state()
    vcpu.set_state(state.replace(**{accumulator_of(begun): MARK}))


def _counter(vcpu: Vcpu, begun: Case) -> None:
    state = vcpu.get_state()
    vcpu.set_state(state.replace(**{state.counter: ORIGIN}))


def _earlier(vcpu: Vcpu, begun: Case) -> None:
    state, first = vcpu.get_state(), begun.state()
    names = (*first.names, first.counter)
    vcpu.set_state(state.replace(**{name: first[name] for name in names}))


def _reason(vcpu: Vcpu, begun: Case) -> None:
    # A field of the page: any userspace can write it, and no protocol of ours needs to.
    setattr(vcpu.kvm_run, "exit_reason", 0)  # noqa: B010  # so it is in no protocol


EXPERIMENTS: dict[str, Callable[[Vcpu, Case], None]] = {
    "nothing": _nothing,
    "same state": _same,
    "accumulator written": _accumulator,
    "counter moved": _counter,
    "earlier state": _earlier,
    "exit_reason = 0": _reason,
}


def accumulator_of(what: Case) -> str:
    """The register that the accesses here load."""
    return what.isa.accumulator if isinstance(what, ForeignCase) else "eax"


def foreign_cases(isa: Isa) -> list[Case]:
    """Accesses of every kind that ``isa`` has, behind a few nops."""
    kinds = ("load 1", "store 1", "load 8")
    return [
        isa.case(name, text, code, isa.nop * NOPS)
        for name, text, code in isa.accesses
        if name in kinds or "userspace" in name
    ]


def x86_cases() -> list[Case]:
    """The same for x86, with ports and MSRs."""
    at = {"eax": 0x05060708, "ecx": 0xDEAD0000}
    texts = {
        "mmio read": "mov al, [0xd0024]",
        "mmio write": "mov [0xd0024], al",
        "in": "in al, 0x5a",
        "out": "out 0x5a, al",
        "out 0x7e": "out 0x7e, al",
        "rdmsr": "rdmsr",
        "wrmsr": "wrmsr",
    }
    return [case(name, "nop; " * NOPS + text, **at) for name, text in texts.items()]


def experiments(kernel: Kernel, cases: list[Case]) -> list[dict[str, Any]]:
    """Every experiment on every access."""
    return [experiment(kernel, one, what) for one in cases for what in EXPERIMENTS]


def experiment(kernel: Kernel, one: Case, what: str) -> dict[str, Any]:
    """One of them. ``counter`` and ``accumulator`` are those after the entry, the counter from the
    beginning of the code; ``asked`` is how often the device was asked until the guest ended."""
    vm, feed = begin(kernel, one), Feed()
    try:
        vm.vcpu.run()
        at_exit = vm.vcpu.get_state().rip - ORIGIN
        feed.serve(vm.vcpu.kvm_run)
        EXPERIMENTS[what](vm.vcpu, one)
        vm.vcpu.kvm_run.immediate_exit = 1
        entered = vm.vcpu.run()
        reason, state = vm.vcpu.kvm_run.exit_reason, vm.vcpu.get_state()
        vm.vcpu.kvm_run.immediate_exit = 0
        end = _finish(vm, feed, entered)
        return {
            "access": one.name,
            "while_pending": what,
            "counter_at_exit": at_exit,
            "entry": repr(entered),
            "exit_reason": int(reason),
            "counter": state.rip - ORIGIN,
            "accumulator": hex(state[accumulator_of(one)]),
            "asked": len(feed.log),
            "end": type(end).__name__,
        }
    finally:
        vm.close()


def _finish(vm: Vm, feed: Feed, result: VcpuExit | Interrupted) -> VcpuExit | Interrupted:
    """To the end of the guest, or until it has exited often enough."""
    while isinstance(result, (Interrupted, *DATA_EXITS)) and len(feed.log) < MOST:
        if isinstance(result, DATA_EXITS):
            feed.serve(vm.vcpu.kvm_run)
        result = vm.vcpu.run()
    return result
