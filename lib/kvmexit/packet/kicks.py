"""The race of a kick with an entry: flag, signal, both, in either order, wherever they land.

The thread of a vCPU looks at the request, enters, and is in a guest that never leaves of its own
accord. Another thread asks it to stop by one or two acts. Each act lands before the look, between
look and entry, or in the guest. An order of acts is right if there is no landing from which the
thread stays in the guest for ever.

Left out: a thread that is inside KVM_RUN and not yet in the guest (the kernel looks for signals
once more there, so it counts as in the guest), and time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import combinations_with_replacement

from kvmexit.errors import KvmExitError, known
from kvmexit.exits import Lane, VcpuState, What
from kvmexit.guest.assembler import assemble
from kvmexit.kernel.simulated import SimulatedKernel

SPIN, PATIENCE = assemble("again: jmp again"), 200
"""A guest without an exit, and how many of its instructions are for ever."""


class Place(Enum):
    """Where an act lands in the life of the vCPU's thread."""

    BEFORE = "before the look"
    BETWEEN = "between look and entry"
    INSIDE = "in the guest"


class Act(Enum):
    """What the asking thread does: each is half a kick."""

    FLAG = "flag"
    SIGNAL = "signal"


KICKS = {
    "flag, then signal": (Act.FLAG, Act.SIGNAL),
    "signal, then flag": (Act.SIGNAL, Act.FLAG),
    "signal alone": (Act.SIGNAL,),
    "flag alone": (Act.FLAG,),
}


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did in a race; the asking thread is the host. An act is a REQUEST, a look that
    sees it a STOP. A guest that executes once more stays for ever."""

    lane: Lane
    what: What
    words: str


@dataclass(frozen=True, slots=True)
class Race:
    """One kick: its acts, where each landed, whether the thread came out, and what happened, in
    order. An act that would have come after the end is not in the story."""

    kick: str
    places: tuple[Place, ...]
    stops: bool
    story: tuple[Deed, ...]


def kick_races(kick: str) -> Iterator[Race]:
    """Every landing of the acts of ``kick``, a key of :data:`KICKS`, in their order."""
    known("kick", kick, KICKS)
    for places in combinations_with_replacement(Place, len(KICKS[kick])):
        story: list[Deed] = []
        stops = _stops(list(zip(KICKS[kick], places, strict=True)), story)
        yield Race(kick, places, stops, tuple(story))


def _stops(acts: list[tuple[Act, Place]], story: list[Deed]) -> bool:
    """Does the thread come out? That somebody wants it stopped is noted with the first act."""
    with SimulatedKernel(limit=PATIENCE).create_vm(0x2000) as vm:
        vm.load(SPIN.origin, SPIN)
        vcpu, left = vm.vcpu, list(acts)
        vcpu.set_state(VcpuState(rip=SPIN.origin))
        vcpu.watched = True

        def land(place: Place) -> None:
            while left and left[0][1] is place:
                first = "notes the request, and " if len(left) == len(acts) else ""
                if left.pop(0)[0] is Act.FLAG:
                    vcpu.kvm_run.immediate_exit = 1
                    story.append(Deed(Lane.HOST, What.REQUEST, f"{first}sets the flag"))
                else:
                    vcpu.interrupt()
                    spent = "" if place is Place.INSIDE else ", which is spent: nobody is in"
                    story.append(Deed(Lane.HOST, What.REQUEST, f"{first}sends the signal{spent}"))

        while True:
            land(Place.BEFORE)
            asked = len(left) < len(acts)
            if asked:
                story.append(Deed(Lane.VMM, What.STOP, "looks, and sees the request"))
                return True
            story.append(Deed(Lane.VMM, What.LOOK, "looks: nothing"))
            land(Place.BETWEEN)
            story.append(Deed(Lane.VMM, What.ENTRY, "enters"))
            inside = False
            try:
                for step in vcpu.walk():
                    if step.what is What.EXECUTE and not inside:
                        inside = True
                        story.append(Deed(Lane.GUEST, What.EXECUTE, "runs"))
                        land(Place.INSIDE)
            except KvmExitError:
                story.append(Deed(Lane.GUEST, What.EXECUTE, "runs on, for ever"))
                return False
            story.append(Deed(Lane.KERNEL, What.EINTR, "comes back with EINTR"))
