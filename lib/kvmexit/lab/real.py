"""Lab 5: the real thing. The same stop path on /dev/kvm, or on a recording of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR
from kvmexit.guest.driver import HEADER, PAGED
from kvmexit.kernel.protocol import Kernel
from kvmexit.lab.landings import PHASES, Desk, Failure, course, effect, words
from kvmexit.lab.paged import Paged
from kvmexit.lab.players import Player
from kvmexit.lab.questions import Finding, Part, Question, random_response, rng
from kvmexit.lab.stop import GROUPS, play_stop
from kvmexit.lab.words import Hopeless, StudentError
from kvmexit.packet.experiment import Landing, Phase, Scenario, call_text, run
from kvmexit.packet.outcome import Kind
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.machine import Policy

KVM = "/dev/kvm"
RECORDED_SEED = 2011
"""The seed of the packets that the recording holds. Where there is no KVM they are the only ones;
which of its landings a problem asks about is drawn all the same."""
KINDS = {
    "driver, new VM": ("driver", "new-vm"),
    "driver, same vCPU": ("driver", "same-vcpu"),
    "wide": ("wide", "new-vm"),
    "string": ("string", "new-vm"),
}
LENGTHS = {"wide": (28, 29), "pages": (28, 29), "verify": (22, 25)}
"""Bytes of the response, from and to, where it is not the usual."""


def has_kvm() -> bool:
    """May this process use the real kernel?"""
    return os.access(KVM, os.R_OK | os.W_OK)


def recording() -> Path:
    """The recording that stands in for a machine without KVM."""
    from kvmexit.kernel.recorded import shipped

    return shipped("lab")


def _real() -> Kernel:
    from kvmexit.kernel.real import RealKernel

    return RealKernel()


@lru_cache(maxsize=1)
def _recorded() -> Kernel:
    from kvmexit.kernel.recorded import RecordedKernel

    return RecordedKernel(recording())


def kernel_name() -> str:
    """The kernel that speaks on this machine: ``real`` or ``recorded``."""
    return "real" if has_kvm() else "recorded"


def kernel_for(seed: int) -> tuple[Kernel, int]:
    """The kernel of this machine, and the seed of the packets that it can run."""
    return (_real(), seed) if has_kvm() else (_recorded(), RECORDED_SEED)


def scenarios_of(seed: int, part: str) -> list[Scenario]:
    """Short, since each landing runs from the guest's first instruction."""
    group, restore = KINDS[part]
    return [_scenario(seed, program, restore) for program in GROUPS[group]]


def _scenario(seed: int, program: str, restore: str) -> Scenario:
    dice = rng(f"real {program}", seed)
    response = random_response(dice, dice.randrange(*LENGTHS.get(program, (12, 15))))
    device = Paged if program in PAGED else "tis"
    return Scenario(response, device, "drain", "none", restore, program)


def landings(scenario: Scenario) -> list[Landing]:
    """The landings that are tried: the reads of the response's body and what lies between."""
    points = course(replace(scenario)).points
    last = len(points)
    if scenario.program == "verify":  # the first two bytes of the body: most is left there
        bus = Bus(scenario.make_device())
        body = [n for n, (_, exit) in enumerate(points, start=1) if bus.is_data_read(exit)][HEADER]
        return [Landing(exit, Phase.SERVED) for exit in range(body, body + 4)]
    first = max(1, last - 14)
    return [Landing(exit, phase) for exit in range(first, last + 1) for phase in PHASES]


class RestingDesk(Desk):
    """A desk at a recording. After EINTR nothing is left that KVM_RUN could complete, and as
    long as ``immediate_exit`` is set each further call ends like that one: the real kernel does
    so, and no recording can hold how often somebody may call.
    """

    def _enter(self) -> Any:
        return EINTR if self.results and self.results[-1] is EINTR else super()._enter()


def first_failure(
    kernel: Kernel, scenario: Scenario, stop: Callable[[Desk], Any]
) -> Failure | None:
    """As on the simulated kernel, each landing from the start, in the order of the run."""
    points = course(scenario).points
    for landing in landings(scenario):
        desks: list[Desk] = []

        def play(vcpu: Any, bus: Any, desks: list[Desk] = desks) -> None:
            desks.append(RestingDesk(vcpu, bus) if kernel.name == "recorded" else Desk(vcpu, bus))
            stop(desks[-1])

        what, outcome = "", None
        calls: tuple[str, ...] = ()
        try:
            result = run(kernel, replace(scenario, policy=Policy("yours", play)), landing)
            outcome = result.outcome
            calls = tuple(call_text(call) for call in result.calls)
            if outcome.kind is not Kind.OK:
                what = effect(outcome)
        except Hopeless:
            raise
        except (StudentError, KvmExitError) as problem:
            what = str(problem)
            if what.startswith("this recording has no such run"):  # and a student has no other
                what = "it does here what a right one does not, and no KVM is here to say what then"
        if what:
            where = words(landing, points[landing.exit - 1][1], scenario.program)
            where = f"{where}, on the {kernel.name} kernel"
            return Failure(scenario, landing, where, what, calls, outcome)
    return None


def _test(part: str, player: Player, seed: int) -> Finding:
    kernel, seed = kernel_for(seed)
    for scenario in scenarios_of(seed, part):
        if failure := first_failure(kernel, scenario, partial(play_stop, player)):
            return failure
    return None


QUESTIONS = (
    Question(
        "5.1",
        "stop",
        "the stop path on the real kernel",
        tuple(Part(name, 1, partial(_test, name)) for name in KINDS),
        where=lambda: f", on the {kernel_name()} kernel",
    ),
)


def record(path: Path) -> None:
    """Record every landing of the lab under every policy of the book, where there is a KVM."""
    from kvmexit.kernel.recorder import Recorder
    from kvmexit.vmm.machine import POLICIES

    recorder = Recorder(_real())
    for scenario in (one for part in KINDS for one in scenarios_of(RECORDED_SEED, part)):
        for policy in POLICIES.values():
            for landing in landings(scenario):
                run(
                    recorder,
                    replace(scenario, policy=replace(policy, looks_before_serving=False)),
                    landing,
                )
    recorder.save(path, "the lab's programs at each landing under each stop policy")


def _drawn(seed: int) -> tuple[Kernel, Scenario, Landing]:
    """The kernel of this machine, and what ``seed`` asks of it."""
    dice = rng("real problem", seed)
    kernel, packets = kernel_for(seed)
    scenario = scenarios_of(packets, dice.choice(list(KINDS)))[0]
    choice = [landing for landing in landings(scenario) if landing.phase is Phase.SERVED]
    return kernel, scenario, dice.choice(choice)


def problem(seed: int) -> str:
    """A landing on the real kernel."""
    kernel, scenario, landing = _drawn(seed)
    where = words(landing, course(scenario).points[landing.exit - 1][1])
    return (
        f"On the {kernel.name} kernel the guest runs the program {scenario.program}, response"
        f" of {len(scenario.response)} bytes, restore {scenario.restore}.\nThe VMM sets"
        f" immediate_exit and saves without calling KVM_RUN; the request arrives at {where}.\n\n"
        "What does the guest end with?"
    )


def answer(seed: int) -> dict[str, Any]:
    """The outcome, run on this machine's KVM or taken from the recording."""
    kernel, scenario, landing = _drawn(seed)
    result = run(kernel, replace(scenario, policy="skip-entry"), landing)
    return {
        "kernel": kernel.name,
        "outcome": str(result.outcome),
        "guest": result.ending.guest.hex(" "),
        "expected": result.undisturbed.guest.hex(" "),
    }
