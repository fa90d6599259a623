"""Runs that know the truth: VMs whose threads run vCPUs and touch their state, step by step.

A world is one or two processes, each with one vCPU or two, a main thread, and a thread for each
vCPU. They take turns at random. The kernel's mutex is kept: a thread is inside a vCPU alone. What
a log can show of it are :class:`Step` s; what it cannot show is :attr:`World.bad`: whether any
state was touched while an exit that needs completion was pending.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

NEEDS = {"MMIO read": 6, "MMIO write": 6, "IO read": 2, "IO write": 2}
NUMBER = {**NEEDS, "HLT": 5, "SHUTDOWN": 8}


@dataclass
class Vcpu:
    """One vCPU: ``pending`` is the exit that waits for its completion."""

    fd: int
    process: int
    thread: int
    pending: str = ""
    locked: bool = False
    ran: bool = False
    value: int = 0x10


@dataclass(frozen=True)
class Step:
    """What a log may show: ``what`` is create, run, ran, touch, touched, access, enter or exit."""

    what: str
    process: int
    thread: int
    vcpu: Vcpu
    name: str = ""
    result: int = 0
    exit: str = ""
    made: bool = True


@dataclass
class World:
    """The steps in their true order, and what is true of them.

    ``bad``: state was touched while something was pending; ``fine``: some was touched after a
    completion; ``drained``: a KVM_RUN came to rest; ``left``: a read was left without its
    completion; ``hidden``: some touch overlaps a KVM_RUN of another thread.
    """

    steps: list[Step] = field(default_factory=list)
    bad: bool = False
    fine: bool = False
    left: bool = False
    drained: bool = False
    hidden: bool = False
    same_numbers: bool = False
    busy: dict[int, list[str]] = field(default_factory=dict)


Act = Iterator[Callable[[], bool] | None]
"""A thread's life: it yields ``None`` to let others go on, or what it waits for."""


def _log(world: World, what: str, vcpu: Vcpu, thread: int, **rest: Any) -> None:
    world.steps.append(Step(what, vcpu.process, thread, vcpu, **rest))


def run(world: World, vcpu: Vcpu, exit: str, made: bool = True, rng: random.Random | None = None):
    """KVM_RUN: completes, then runs the guest to ``exit`` (``EINTR`` for a kick)."""
    _log(world, "run", vcpu, vcpu.thread)
    yield None
    if not made:
        _log(world, "ran", vcpu, vcpu.thread, result=-4, made=False)
        return
    yield lambda: not vcpu.locked
    vcpu.locked = True
    world.drained |= exit == "EINTR" and bool(vcpu.pending)
    if vcpu.pending.endswith("read"):
        vcpu.value += 1
        _log(world, "access", vcpu, vcpu.thread, name=f"{vcpu.pending}: done")
    vcpu.pending, vcpu.ran = "", True
    yield None
    if exit != "EINTR":
        _log(world, "enter", vcpu, vcpu.thread)
        while rng and rng.random() < 0.3:
            where = rng.choice(("MMIO write", "IO write", "MMIO read"))
            _log(world, "exit", vcpu, vcpu.thread, name=where)
            _log(world, "access", vcpu, vcpu.thread, name=f"{where}: inside")
            _log(world, "enter", vcpu, vcpu.thread)
        _log(world, "exit", vcpu, vcpu.thread, name=exit)
        if exit in NEEDS and exit != "IO read":
            vcpu.value += exit == "IO write"
            _log(world, "access", vcpu, vcpu.thread, name=f"{exit}: asked")
    vcpu.pending = exit if exit in NEEDS else ""
    vcpu.locked = False
    yield None
    result = -4 if exit == "EINTR" else 0
    _log(world, "ran", vcpu, vcpu.thread, result=result, exit="" if result else exit)


def touch(world: World, vcpu: Vcpu, thread: int, name: str):
    """A state ioctl: waits for the mutex, and sees what is there."""
    _log(world, "touch", vcpu, thread, name=name)
    yield None
    yield lambda: not vcpu.locked
    world.bad |= bool(vcpu.pending)
    world.fine |= vcpu.ran and not vcpu.pending
    yield None
    _log(world, "touched", vcpu, thread, name=name)


def vcpu_life(world: World, vcpu: Vcpu, rng: random.Random, plan: Plan, parked: set[int]) -> Act:
    """Runs its vCPU; saves it, or parks while another thread does."""
    for _ in range(rng.randrange(1, 4)):
        for _ in range(rng.randrange(1, 4)):
            exit = rng.choice((*NEEDS, "HLT") if plan.halts else tuple(NEEDS))
            yield from run(world, vcpu, exit, rng=rng if plan.inside else None)
        if rng.random() < plan.drains:
            yield from run(world, vcpu, "EINTR", made=not (plan.injects and rng.random() < 0.5))
        if rng.random() < 0.3:
            continue
        if plan.by_main and not plan.races:
            parked.add(vcpu.fd)
            yield lambda: vcpu.fd not in parked
        elif not plan.by_main:
            for name in rng.sample(("GET_REGS", "GET_SREGS", "SET_REGS"), rng.randrange(1, 3)):
                yield from touch(world, vcpu, vcpu.thread, name)
    parked.discard(-vcpu.fd)


def main_life(world: World, vcpus: list[Vcpu], rng: random.Random, plan: Plan, parked: set[int]):
    """The main thread: saves vCPUs that have parked, or, in a race, any at any time."""
    while parked:
        if plan.races:
            if rng.random() < 0.2:
                yield from touch(world, rng.choice(vcpus), vcpus[0].process, "GET_REGS")
        else:
            for vcpu in vcpus:
                if vcpu.fd in parked:
                    yield from touch(world, vcpu, vcpu.process, "GET_REGS")
                    parked.discard(vcpu.fd)
        yield None


@dataclass(frozen=True)
class Plan:
    """What may happen in a world."""

    vms: int = 1
    vcpus: int = 1
    drains: float = 0.5
    halts: bool = False
    by_main: bool = False
    races: bool = False
    inside: bool = False
    injects: bool = False
    created: bool = True


def world_of(rng: random.Random, plan: Plan) -> World:
    """A world, run to its end."""
    world = World(same_numbers=plan.vms > 1)
    lives: list[Act] = []
    for vm in range(plan.vms):
        process = 100 * (vm + 1)
        vcpus = [Vcpu(13 + i, process, process + 1 + i) for i in range(plan.vcpus)]
        parked = {-vcpu.fd for vcpu in vcpus}
        for vcpu in vcpus:
            if plan.created:
                _log(world, "create", vcpu, process)
            lives.append(vcpu_life(world, vcpu, rng, plan, parked))
        lives.append(main_life(world, vcpus, rng, plan, parked))
    waits: dict[int, Callable[[], bool] | None] = dict.fromkeys(range(len(lives)))
    while waits:
        ready = [i for i, wait in waits.items() if wait is None or wait()]
        at = rng.choice(ready)
        for _ in range(1 if plan.races else rng.randrange(1, 9)):
            try:
                waits[at] = next(lives[at])
            except StopIteration:
                del waits[at]
                break
            wait = waits[at]
            if wait is not None and not wait():
                break
    _find_hidden(world)
    return world


def _find_hidden(world: World) -> None:
    """Whether a touch overlaps a KVM_RUN of another thread; and reads that were never completed."""
    inside: dict[int, int] = {}
    touching: dict[int, set[int]] = {}
    waiting: dict[int, Vcpu] = {}
    for step in world.steps:
        at = id(step.vcpu)
        waiting[at] = step.vcpu
        touchers = touching.setdefault(at, set())
        if step.what == "run":
            inside[at] = step.thread
            world.hidden |= bool(touchers - {step.thread})
        elif step.what == "ran":
            inside.pop(at, None)
        elif step.what == "touch":
            touchers.add(step.thread)
            world.hidden |= at in inside and inside[at] != step.thread
        elif step.what == "touched":
            touchers.discard(step.thread)
    world.left = any(vcpu.pending.endswith("read") for vcpu in waiting.values())
