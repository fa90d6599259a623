"""What a save did to a piece of guest code: its run afterwards, held against the undisturbed one.

The device is a :class:`Feed`: every read gets new bytes, so a read made twice cannot pass for
one. Two machines are compared at each exit: the access, the registers, the memory. The first
difference names the verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import accumulate
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    DATA_EXITS,
    READS,
    DataExit,
    Hlt,
    Hypercall,
    InternalError,
    Interrupted,
    MmioRead,
    MmioWrite,
    PioIn,
    PioOut,
    Rdmsr,
    Shutdown,
    VcpuExit,
    VcpuState,
    Wrmsr,
    answer_size,
)
from kvmexit.kernel.protocol import Kernel, KvmRun, Vm
from kvmexit.probe.cases import RAM, Case
from kvmexit.vmm.bus import unhandled

LIMIT = 6000
"""Exits after which a run is given up: some instructions never finish on a real kernel."""

REFUSED = range(0xDEADF000, 0xDEADF010)
"""MSRs for which the world of a probe sets ``msr.error``."""

HORIZON = 8
"""Exits for which a restored machine is followed through one and the same operation."""


class Verdict(Enum):
    """What a save did, in one word."""

    FINE = "fine"
    REPEATED = "repeated"
    LOST = "lost"
    STALE = "stale"
    TORN = "torn"

    @property
    def meaning(self) -> str:
        """What the device saw and the guest ended with."""
        return _MEANINGS[self]


_MEANINGS = {
    Verdict.FINE: "the device saw the same; registers and memory end the same",
    Verdict.REPEATED: "the device saw an access that it had seen already",
    Verdict.LOST: "an access never reached the device",
    Verdict.STALE: "the device saw the same accesses; the guest kept an old value",
    Verdict.TORN: "the guest went a way of its own",
}


class Feed:
    """The world outside: answers reads with 0x11, 0x12, ... byte by byte, and keeps a log.

    MMIO, ports and MSRs share one count, which goes on over the whole run and from 0xff to 0.
    ``log`` pairs each exit with the bytes that it carried, in whichever direction; ``given``
    counts the bytes that reads got. An MSR in :data:`REFUSED` is refused.
    """

    def __init__(self, log: tuple[tuple[DataExit, bytes], ...] = (), given: int = 0) -> None:
        self.log, self.given = list(log), given

    def serve(self, kvm_run: KvmRun) -> None:
        """Do what the exit in the shared page asks. Raises KvmExitError if that is no data."""
        exit = kvm_run.exit()
        if isinstance(exit, Rdmsr | Wrmsr) and exit.index in REFUSED:
            kvm_run.refuse()
            self.log.append((exit, b""))
        elif isinstance(exit, READS):
            size = answer_size(exit)
            data = bytes(0x11 + self.given + i & 0xFF for i in range(size))
            self.given += size
            kvm_run.answer(data)
            self.log.append((exit, data))
        elif isinstance(exit, Wrmsr):
            self.log.append((exit, exit.value.to_bytes(8, "little")))
        elif isinstance(exit, DATA_EXITS):
            self.log.append((exit, exit.data))
        else:
            raise unhandled(exit)


Access = tuple[str, int, int, int]
"""(kind, address or port or index, bytes an item, items)."""


def access(exit: DataExit) -> Access:
    """What ``exit`` asks of the world, without its data."""
    match exit:
        case MmioRead(gpa, size):
            return "mmio-read", gpa, size, 1
        case MmioWrite(gpa, data):
            return "mmio-write", gpa, len(data), 1
        case PioIn(port, size, count):
            return "pio-in", port, size, count
        case PioOut(port, size, count, _):
            return "pio-out", port, size, count
        case Rdmsr(index):
            return "rdmsr", index, 8, 1
        case Wrmsr(index, _):
            return "wrmsr", index, 8, 1
        case Hypercall(reason, number):
            return reason.name.lower(), number, 8, 1


@dataclass(frozen=True, slots=True)
class Point:
    """A machine as userspace sees it at an exit. ``memory`` is a hash."""

    exit: VcpuExit | Interrupted
    state: VcpuState
    memory: int

    @property
    def place(self) -> tuple[Any, ...]:
        """Which access this is and where in the code, whatever the data."""
        what = access(self.exit) if isinstance(self.exit, DATA_EXITS) else type(self.exit)
        return what, self.state.rip


def observe(vm: Vm, exit: VcpuExit | Interrupted) -> Point:
    """The machine at ``exit``. Reading it changes nothing."""
    return Point(exit, vm.vcpu.get_state(), hash(bytes(vm.memory)))


def begin(kernel: Kernel, case: Case) -> Vm:
    """A new VM at the first instruction of ``case``."""
    vm = kernel.create_vm(RAM)
    case.load(vm.memory)
    vm.vcpu.set_state(replace(case.state(), rest=vm.vcpu.get_state().rest))
    return vm


@dataclass(slots=True)
class Undisturbed:
    """The run that nobody suspends: its data exits and its end as points, and the device's log.

    ``first`` has the numbers of the exits that come right after a quiet point, once the walk
    of :mod:`kvmexit.probe.report` has found them.
    """

    points: list[Point]
    log: tuple[tuple[DataExit, bytes], ...]
    end: str
    first: set[int] = field(default_factory=set)
    _given: list[int] = field(init=False)
    _at: dict[tuple[Any, ...], list[int]] = field(init=False)

    def __post_init__(self) -> None:
        reads = (len(data) if isinstance(exit, READS) else 0 for exit, data in self.log)
        self._given = list(accumulate(reads, initial=0))
        self._at = {}
        for number, point in enumerate(self.points):
            self._at.setdefault(point.place, []).append(number)

    def feed(self, served: int) -> Feed:
        """The world after ``served`` exits. Raises KvmExitError if this run has not had so many."""
        if served > len(self.log):
            raise unsteady()
        return Feed(self.log[:served], self._given[served])

    def find(self, here: Point, at: int) -> int | None:
        """The number of the exit at which a machine is that should be at the ``at``-th.

        In a loop many exits are the same access at the same place: there only the same
        registers and memory make it the same exit.
        """
        numbers = self._at.get(here.place, [])
        if here.place == self.points[at].place:
            numbers = [n for n in numbers if self.points[n] == here]
        return numbers[0] if numbers else None


def unsteady() -> KvmExitError:
    """The error of code that another time does something else."""
    return KvmExitError(
        "this code does not do the same each time it is run, as if it read a clock: there is"
        " nothing that a save could be held against"
    )


def undisturbed(kernel: Kernel, case: Case) -> Undisturbed:
    """Run ``case`` to its end."""
    vm, feed = begin(kernel, case), Feed()
    points: list[Point] = []
    try:
        while len(points) < LIMIT:
            exit = vm.vcpu.run()
            points.append(observe(vm, exit))
            if not isinstance(exit, DATA_EXITS):
                return Undisturbed(points, tuple(feed.log), _end(exit))
            feed.serve(vm.vcpu.kvm_run)
        return Undisturbed(points, tuple(feed.log), f"no end within {LIMIT} exits")
    finally:
        vm.close()


def _end(exit: VcpuExit | Interrupted) -> str:
    match exit:
        case Hlt():
            return "hlt"
        case Shutdown():
            return "shutdown"
        case InternalError():
            return "internal-error"
    return repr(exit)


def follow(vm: Vm, served: int, run: Undisturbed) -> Verdict:
    """Let a restored machine go on, after ``served`` exits of ``run`` have been served.

    Ends early where the rest is known: at an access too many or too few, and at an exit in
    which the two machines are the same and about to begin an operation. An operation of more
    than :data:`HORIZON` exits (a repeated string instruction) is followed so far and no further.
    """
    points, feed, suspicion = run.points, run.feed(served), None
    for at in range(served, len(points)):
        expected, exit = points[at], vm.vcpu.run()
        if isinstance(exit, DATA_EXITS) and exit == expected.exit:
            if suspicion or (served < at < served + HORIZON and at not in run.first):
                feed.serve(vm.vcpu.kvm_run)  # what differs will differ at the next look
                continue
        here = observe(vm, exit)
        if here != expected:
            found = run.find(here, at)
            verdict = Verdict.STALE
            if found is not None:
                verdict = Verdict.REPEATED if found < at else Verdict.LOST
            if here.place != expected.place:
                if suspicion in (Verdict.REPEATED, Verdict.LOST):
                    return suspicion
                return verdict if found is not None else suspicion or Verdict.TORN
            suspicion = suspicion or verdict
        elif (at in run.first or at == served + HORIZON) and not suspicion:
            return Verdict.FINE
        if not isinstance(exit, DATA_EXITS):
            return _at_end(feed, run, here, suspicion)
        feed.serve(vm.vcpu.kvm_run)
    return suspicion or Verdict.FINE  # both were given up at the same exit


def _at_end(feed: Feed, run: Undisturbed, here: Point, suspicion: Verdict | None) -> Verdict:
    """What looked wrong on the way may have come right: a stale register overwritten, one
    round of a polling loop lost."""
    if suspicion and (here != run.points[-1] or tuple(feed.log) != run.log):
        return suspicion
    return Verdict.FINE
