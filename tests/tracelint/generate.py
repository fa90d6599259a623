"""Logs of runs that know the truth, in every format and under every disturbance.

    python tests/tracelint/generate.py [COUNT] [--seed N]      (the whole: 100000)

Of each log three things must hold: a bad run is not called clean; a good run gets no finding; and
where the log decides, lint does. How often it does not is printed, and is at most one in a hundred.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import dress
from kvmexit.errors import KvmExitError
from kvmexit.tracelint import lint_bytes
from seeds import seeds
from worlds import Plan, World, world_of

MOST = 0.01
"""The share of logs that decide, of which lint may say that it cannot tell."""


class Case(NamedTuple):
    """A log, and what is true: ``good``, ``bad`` or ``nothing``; does the log decide it?"""

    text: bytes
    truth: str
    decides: bool
    told: str


def case(seed: int) -> Case:
    """The log of number ``seed``."""
    rng = random.Random(seed)
    plan = Plan(
        vms=2 if rng.random() < 0.25 else 1,
        vcpus=rng.choice((1, 1, 2)),
        drains=rng.choice((0.0, 0.5, 1.0, 1.0)),
        halts=rng.random() < 0.3,
        by_main=rng.random() < 0.3,
        races=rng.random() < 0.15,
        inside=rng.random() < 0.4,
        injects=rng.random() < 0.15,
        created=rng.random() < 0.6,
    )
    kind = rng.choice(("strace", "strace", "events", "events", "bare", "qemu"))
    if kind == "qemu":  # there a vCPU's own thread makes its calls, and a log without ids is of one
        plan = replace(plan, races=False, by_main=False, vms=1)
    world = world_of(rng, plan)
    make = {"strace": _strace, "events": _events, "bare": _bare, "qemu": _qemu}[kind]
    lines, truth, decides, told = make(world, plan, rng)
    if rng.random() < 0.1:
        lines, decides, told = _disordered(lines, rng, told), False, f"{told}, shuffled"
    texts = [text for _, _, text in lines]
    if rng.random() < 0.1 and kind != "qemu":
        texts, decides, told = _damaged(texts, rng), False, f"{told}, damaged"
    if rng.random() < 0.25:
        prefix = rng.choice(dress.PREFIXES)
        texts = [prefix(n, text) for n, text in enumerate(texts, 1)]
        told += ", wrapped"
    return Case("".join(f"{text}\n" for text in texts).encode(), truth, decides, told)


Made = tuple[dress.Lines, str, bool, str]


def _truth(world: World) -> str:
    return "bad" if world.bad else "good" if world.fine else "nothing"


def _sure(world: World, plan: Plan) -> bool:
    """Whether the order of calls and who is who is in a log of calls at all."""
    return not world.hidden and plan.vms == 1 and truthful(world)


def truthful(world: World) -> bool:
    """Whether every touch comes after a KVM_RUN of its vCPU, or after its making."""
    known: set[int] = set()
    for step in world.steps:
        if step.what in ("create", "ran"):
            known.add(id(step.vcpu))
        elif step.what == "touch" and id(step.vcpu) not in known:
            return False
    return all(step.vcpu.ran for step in world.steps)


def _strace(world: World, plan: Plan, rng: random.Random) -> Made:
    reasons, stamp = rng.random() < 0.7, rng.choice(("", "tt", "ttt"))
    arm = rng.random() < 0.2
    lines = dress.strace(
        world, rng, reasons=reasons, stamp=stamp, ids=True, arm=arm, ty=arm or rng.random() < 0.5
    )
    decides = _sure(world, plan) and (reasons or (not world.bad and not plan.halts))
    if not reasons and world.bad:
        decides = False
    return lines, _truth(world), decides, f"strace {'kvm=vcpu' if reasons else 'plain'} {stamp}"


def _events(world: World, plan: Plan, rng: random.Random) -> Made:
    tool = rng.choice(("tracefs", "trace-cmd", "perf"))
    classes = rng.choice((("kvm_mmio", "kvm_pio:"), ("kvm_mmio",), ()))
    flags = rng.choice(("....", ".....", "d..1..", ".......", "dNh2...."))
    lines = dress.events(
        world, rng, tool=tool, ioctls=True, bounds=rng.random() < 0.5, classes=classes, flags=flags
    )
    return lines, _truth(world), _sure(world, plan) and not plan.injects, f"{tool} with ioctls"


def _bare(world: World, plan: Plan, rng: random.Random) -> Made:
    """Without ioctls a bad save shows in a read that is never completed. These worlds go on with
    the vCPU that they have, so that only their end can leave one."""
    tool = rng.choice(("tracefs", "perf"))
    classes = rng.choice((("kvm_mmio", "kvm_pio:"), ("kvm_mmio",), ()))
    bounds = rng.random() < 0.5
    lines = dress.events(
        world, rng, tool=tool, ioctls=False, bounds=bounds, classes=classes, flags="....."
    )
    ends = any(vcpu.pending for vcpu in {id(s.vcpu): s.vcpu for s in world.steps}.values())
    shown = tool == "tracefs" and len(classes) == 2 and (bounds or not plan.inside)
    good = world.drained and not ends
    truth = "bad" if world.left else "good" if good else "left open"
    return lines, truth, shown and good, f"{tool} without ioctls"


def _qemu(world: World, plan: Plan, rng: random.Random) -> Made:
    style, other = rng.choice(("old", "new", "plain")), rng.random() < 0.2
    lines = dress.qemu(world, rng, style=style, other=other)
    known = _sure(world, plan) and not plan.injects and world.bad
    return lines, _truth(world), known, f"qemu {style}"


def _disordered(lines: dress.Lines, rng: random.Random, told: str) -> dress.Lines:
    """The lines of each thread behind one another, as ``cat`` makes them, if that shows."""
    timed = "plain" not in told.split(" ", 1)[-1] or "tt" in told
    if not timed or (told.startswith("strace") and "tt" not in told) or "qemu new" in told:
        return lines
    threads = sorted({thread for _, thread, _ in lines})
    rng.shuffle(threads)
    return [line for who in threads for line in lines if line[1] == who]


def _damaged(texts: list[str], rng: random.Random) -> list[str]:
    """Some lines cut in two, in the middle of the log."""
    found = list(texts)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(found)) if found else 0
        if 0 < at < len(found) - 1 and len(found[at]) > 12:
            whole = found[at]
            cut = rng.randrange(len(whole) // 2, len(whole) - 5)
            cut -= whole[cut:].startswith(" (INJ")  # then the line would be whole, and untrue
            found[at] = whole[:cut]
    return found


def check(seed: int) -> tuple[str, bool, bool]:
    """(what lint said, whether the log decides, and whether lint should have, and did not).

    AssertionError if what it said is wrong.
    """
    log = case(seed)
    try:
        said = lint_bytes(log.text).verdict.value
    except KvmExitError:
        said = "refused"
    where = f"seed {seed}: {log.told}: "
    assert not (log.truth == "bad" and said == "clean"), f"{where}false clean"
    assert not (log.truth != "bad" and said == "findings"), f"{where}false finding"
    undecided = log.decides and log.truth in ("good", "bad") and said in ("cannot tell", "refused")
    return said, log.decides, undecided


def main() -> int:
    asked = seeds(__doc__)
    said: Counter[str] = Counter()
    wrong, undecided, decided = 0, [], 0
    for seed in asked:
        try:
            verdict, decides, missed = check(seed)
            said[verdict] += 1
            decided += decides
            if missed:
                undecided.append(seed)
        except AssertionError as problem:
            wrong += 1
            if wrong <= 20:
                print(problem, file=sys.stderr)
    print(f"{len(asked)} generated logs: {dict(said)}, {wrong} wrong")
    print(f"{decided} of them decide; undecided of these: {len(undecided)} {undecided[:12]}")
    return 1 if wrong or len(undecided) > MOST * decided else 0


if __name__ == "__main__":
    sys.exit(main())
