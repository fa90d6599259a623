"""A migration's last copy of memory, at every moment of a stop: what is missing on the other side.

Rounds of copying run while the guest runs: first all pages, then those that a dirty log names.
The last copy is to come when the guest stands. But the drain writes to memory, too.

The simulated vCPU tells each write; the log is made of these, as KVM makes it, and copies go page
by page. Left out: other vCPUs, and devices that write to memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kvmexit.exits import EINTR, What
from kvmexit.kernel.emulator import MemoryAccess
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import (
    Arrival,
    Landing,
    Phase,
    Scenario,
    ending_of,
    make_machine,
    response_of,
)

PAGE = 4096
COPIES = Scenario(response_of(16), program="string")
"""A guest that copies its packet with ``rep movsb``: each byte is an exit, and the completion of
that exit writes it."""
STOPPED_AT, EARLIER = 13, 8
"""Reads of the response, from 1: that at whose exit the stop is asked for, and that of the round
before."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When the last copy may be taken: before ``name``'s next step.

    ``log`` are the pages written to since the round before, ``target`` the memory on the other
    side if this copy is the last, ``what`` the step that has just been made (None at the start),
    ``is_round`` whether the pages are copied here in any case.
    """

    name: str
    what: What | None
    log: tuple[int, ...]
    target: bytes
    is_round: bool

    def differs(self, source: bytes) -> list[int]:
        """The addresses at which the other side has not what ``source`` has."""
        return [at for at, (a, b) in enumerate(zip(self.target, source)) if a != b]


@dataclass(frozen=True, slots=True)
class LastCopies:
    """Every moment, and the memory that the guest has when it is drained; ``packet`` is how many
    bytes of the driver's buffer the guest will have filled."""

    moments: tuple[Moment, ...]
    source: bytes
    packet: int


def last_copies(scenario: Scenario = COPIES, stopped_at: int = STOPPED_AT) -> LastCopies:
    """Stop ``scenario``'s guest at a read of the response, with the last copy at each moment."""
    moments: list[Moment] = []
    machine = make_machine(SimulatedKernel(), scenario)
    vm, vcpu = machine.vm, machine.vm.vcpu
    trace: list[MemoryAccess] = []
    simulated: Any = vcpu
    simulated.trace = trace
    copied = bytearray(len(vm.memory))
    dirty = set(range(len(vm.memory) // PAGE))  # the first round takes all

    def note(name: str, what: What | None, is_round: bool = False) -> None:
        dirty.update(a.address // PAGE for a in trace if a.is_write)
        trace.clear()
        target = bytearray(copied)
        for page in dirty:
            target[page * PAGE : (page + 1) * PAGE] = vm.memory[page * PAGE : (page + 1) * PAGE]
        moments.append(Moment(name, what, tuple(sorted(dirty)), bytes(target), is_round))
        if is_round:
            copied[:] = target
            dirty.clear()

    note("round 1, all pages, before the guest runs", None, is_round=True)
    for name, reached in _arrivals(machine, stopped_at):
        note(name, What.EXIT, is_round=True)
        if reached:
            break
    for name, what in _drained(vcpu, machine.bus.serve):
        note(name, what)
    source = bytes(vm.memory)
    for _ in machine.steps():  # the guest goes on, to say how long its packet is
        pass
    packet = len(ending_of(vm, machine.bus.device).guest)
    return LastCopies(tuple(moments), source, packet)


def _arrivals(machine: Any, stopped_at: int) -> Iterator[tuple[str, bool]]:
    """Run the guest to an earlier read, and to that at whose exit it is stopped."""
    places = {
        reads: Arrival(Landing(reads, Phase.UNSERVED, data_only=True), machine.bus)
        for reads in (EARLIER, stopped_at)
    }
    rounds = 1
    for step in machine.steps():
        for reads, arrival in places.items():
            if arrival.due(step):
                rounds += 1
                last = reads == stopped_at
                where = "the exit at which it is stopped" if last else f"read {reads} of the packet"
                yield f"round {rounds}, at {where}", last


def _drained(vcpu: Any, serve: Callable[[Any], None]) -> Iterator[tuple[str, What]]:
    """Serve, enter, until EINTR: what there is after each."""
    serve(vcpu.kvm_run)
    yield "the exit is served", What.SERVE
    vcpu.kvm_run.immediate_exit = 1
    entries = 0
    while True:
        entries += 1
        if vcpu.run() is EINTR:
            break
        yield f"entry {entries} of the drain, which brings another exit", What.EXIT
        serve(vcpu.kvm_run)
        yield "that exit is served", What.SERVE
    vcpu.kvm_run.immediate_exit = 0
    yield f"EINTR, after {entries} entries: drained", What.EINTR
