"""Lab 4: the log. Traces of a VMM, as strace shows them; which save came too early?"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from typing import Any

from kvmexit.exits import DATA_EXITS, EINTR, Hlt, Interrupted, OtherExit, VcpuState
from kvmexit.lab.landings import KERNEL, course
from kvmexit.lab.players import Player
from kvmexit.lab.questions import Finding, Part, Question, random_response, rng
from kvmexit.packet.experiment import Arrival, Landing, Phase, Scenario, make_machine
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.machine import Call

Event = tuple[int, str, Any]
"""vCPU, ioctl, and for KVM_RUN what came back."""


@dataclass(frozen=True, slots=True)
class Log:
    """The lines of a trace, and the index of the first that touches state too early."""

    lines: tuple[str, ...]
    bad: int | None


# ------------------------------------------------------------------------ what VMMs do


def stopped(dice: random.Random, program: str, policy: str) -> list[Call]:
    """The calls of a VMM round one suspend at a data read, from the simulated kernel."""
    response = random_response(dice, dice.randrange(28, 44))
    scenario = Scenario(response, "tis", policy, "none", "new-vm", program)
    track = course(scenario)
    bus = Bus(scenario.make_device())
    firsts = [
        i
        for i, (point, exit) in enumerate(track.points)
        if bus.is_data_read(exit) and point.exits == i and _is_telling(track, i, program)
    ]
    index = dice.choice(firsts)
    machine = make_machine(KERNEL, scenario)
    arrival = Arrival(Landing(index + 1, Phase.SERVED), machine.bus)
    for step in machine.steps():
        if arrival.due(step):
            machine.request_stop()
        if machine.saves:
            break
    end = [name for name, _ in machine.calls].index("KVM_GET_REGS")
    return machine.calls[max(0, end - dice.randrange(5, 9)) : end + 1]


def _is_telling(track: Any, index: int, program: str) -> bool:
    """Of the wide program only its two-piece reads are of interest."""
    size: int = track.points[index][1].size
    return program != "wide" or size == 8


def wandering(dice: random.Random) -> list[Call]:
    """The calls of a VMM that enters, kicks and reads registers in no particular order."""
    scenario = Scenario(random_response(dice, 12), "tis", program=dice.choice(("driver", "rmw")))
    machine = make_machine(KERNEL, scenario)
    vcpu, bus = machine.vm.vcpu, machine.bus
    calls: list[Call] = []
    state: VcpuState | None = None
    for _ in range(dice.randrange(6, 60)):
        vcpu.kvm_run.immediate_exit = int(dice.random() < 0.25)
        result = vcpu.run()
        calls.append(("KVM_RUN", result))
        if isinstance(result, DATA_EXITS):
            bus.serve(vcpu.kvm_run)
        elif isinstance(result, Hlt):
            break
        if dice.random() < 0.05 and result is EINTR:
            state = vcpu.get_state()
            calls.append(("KVM_GET_REGS", None))
        elif dice.random() < 0.05 and state is not None:
            calls.append(("KVM_SET_REGS", None))
    calls.append(("KVM_GET_REGS", None))
    return calls[-dice.randrange(8, 14) :]


# ------------------------------------------------------------------------ as strace shows it


def first_bad(events: list[Event]) -> int | None:
    """The first event that touches a vCPU's state while an exit of its own is pending.

    What KVM_RUN returned decides, as it was returned, and not as a log shows it.
    """
    pending: dict[int, bool] = {}
    for index, (vcpu, name, result) in enumerate(events):
        if name == "KVM_RUN":
            pending[vcpu] = isinstance(result, DATA_EXITS)
        elif name in STATE and pending.get(vcpu, False):
            return index
    return None


STATE = ("KVM_GET_REGS", "KVM_SET_REGS", "KVM_GET_SREGS", "KVM_GET_XSAVE")


def rendered(dice: random.Random, vcpus: list[list[Call]]) -> Log:
    """The trace of a process with these vCPUs, a thread each, their calls shuffled together."""
    events = list(_woven(dice, vcpus))
    fd, pid = dice.randrange(9, 30), dice.randrange(2000, 30000)
    lines, places = [], []
    for vcpu, name, result in events:
        if dice.random() < 0.12:
            level = dice.randrange(2)
            lines.append(
                f"[pid {pid}] ioctl({fd - 1}<anon_inode:kvm-vm>, KVM_IRQ_LINE,"
                f" {{irq=4, level={level}}}) = 0"
            )
        places.append(len(lines))
        place = f"{fd + vcpu}<anon_inode:kvm-vcpu:{vcpu}>"
        lines.append(f"[pid {pid + 1 + vcpu}] ioctl({place}, {_call(name, result)}")
    bad = first_bad(events)
    return Log(tuple(lines), None if bad is None else places[bad])


def _woven(dice: random.Random, vcpus: list[list[Call]]) -> Iterator[Event]:
    """Each vCPU's calls in their order, with the other registers after KVM_GET_REGS."""
    left = [list(calls) for calls in vcpus]
    while any(left):
        vcpu = dice.choice([number for number, calls in enumerate(left) if calls])
        name, result = left[vcpu].pop(0)
        yield vcpu, name, result
        if name == "KVM_GET_REGS":
            yield vcpu, "KVM_GET_SREGS", None
            yield vcpu, "KVM_GET_XSAVE", None


def _call(name: str, result: Any) -> str:
    if name != "KVM_RUN":
        return f"{name}, 0x7ffd3c5e{len(name):04x}) = 0"
    if isinstance(result, Interrupted):
        return "KVM_RUN, 0) = -1 EINTR (Interrupted system call)"
    assert not isinstance(result, OtherExit)
    return f"KVM_RUN, 0) = 0 ({result.reason.c_name})"


# ------------------------------------------------------------------------ the exercise


def _plain(dice: random.Random) -> Log:
    return rendered(dice, [stopped(dice, "driver", dice.choice(("skip-entry", "drain")))])


def _looks_good(dice: random.Random) -> Log:
    """KVM_RUN was called again before the save, and came back with another exit."""
    policy = dice.choice(("kick-once", "serve-once", "drain", "drain"))
    return rendered(dice, [stopped(dice, "wide", policy)])


def _two_vcpus(dice: random.Random) -> Log:
    each = [stopped(dice, "driver", dice.choice(("skip-entry", "drain", "drain"))) for _ in "12"]
    return rendered(dice, each)


def _wanders(dice: random.Random) -> Log:
    return rendered(dice, [wandering(dice)])


THEMES: dict[str, tuple[int, Callable[[random.Random], Log]]] = {
    "one vCPU": (1, _plain),
    "looks good": (2, _looks_good),
    "two vCPUs": (2, _two_vcpus),
    "any order": (1, _wanders),
}


@lru_cache(maxsize=64)
def logs(theme: str, seed: int, count: int = 24) -> tuple[Log, ...]:
    """``count`` logs, as many good ones as bad ones, in an order that means nothing."""
    dice = rng(f"log {theme}", seed)
    make = THEMES[theme][1]
    good: list[Log] = []
    bad: list[Log] = []
    for log in iter(lambda: make(dice), None):
        (good if log.bad is None else bad).append(log)
        if min(len(good), len(bad)) >= count // 2:
            break
    mixed = [*islice(good, count // 2), *islice(bad, count // 2)]
    dice.shuffle(mixed)
    return tuple(mixed)


def _writes_too_early(log: Log) -> bool:
    return log.bad is not None and "KVM_SET_REGS" in log.lines[log.bad]


def _begins_with_state(log: Log) -> bool:
    """Is state touched before any KVM_RUN is seen?"""
    return "KVM_RUN" not in next(line for line in log.lines if "kvm-vcpu" in line)


RARE = {"any order": (_writes_too_early, _begins_with_state)}
"""Logs that a rule must get right, and that the draw of a seed may lack."""


@lru_cache(maxsize=64)
def tried(theme: str, seed: int) -> tuple[Log, ...]:
    """The logs of a theme that an answer is tried on."""
    dice = rng(f"rare log {theme}", seed)
    drawn = iter(lambda: THEMES[theme][1](dice), None)
    rare = [next(filter(is_rare, drawn)) for is_rare in RARE.get(theme, ())]
    return (*logs(theme, seed), *rare)


def _test(theme: str, player: Player, seed: int) -> Finding:
    for number, log in enumerate(tried(theme, seed), start=1):
        said = player.call("classify", list(log.lines))
        if said == log.bad and type(said) is type(log.bad):
            continue
        shown = "\n".join(f"{n:4} {line}" for n, line in enumerate(log.lines))
        if said is None:
            text = "you find nothing, and there is a save while an exit is pending"
        elif type(said) is not int or not 0 <= said < len(log.lines):
            text = f"classify() must return None or the index of a line, not {said!r:.40}"
        elif log.bad is None:
            text = f"you name line {said}, and nothing is wrong"
        else:
            text = f"you name line {said}, which is not the first that is wrong"
        return f"log {number}: {text}\n{shown}"
    return None


QUESTIONS = (
    Question(
        "4.1",
        "classify",
        "good, bad, and only looking good",
        tuple(Part(name, points, partial(_test, name)) for name, (points, _) in THEMES.items()),
        lambda seed: [tried(theme, seed) for theme in THEMES],
    ),
)


def _drawn(seed: int) -> Log:
    dice = rng("log problem", seed)
    return dice.choice(logs(dice.choice(list(THEMES)), seed, 4))


def problem(seed: int) -> str:
    """A log."""
    lines = "\n".join(f"{n:3} {line}" for n, line in enumerate(_drawn(seed).lines))
    return (
        "strace -f -y -e trace=ioctl -e kvm=vcpu shows this of a VMM:\n\n"
        f"{lines}\n\nWhich is the first line that reads or writes the state of a vCPU while one"
        " of its exits is pending? Or is there none?"
    )


def answer(seed: int) -> dict[str, Any]:
    """The index of that line, or None."""
    return {"line": _drawn(seed).bad}
