"""A stop policy on trial: what its strips, its sentence and its lines say is what a run says."""

from functools import partial

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import run
from kvmexit.packet.outcome import Kind
from kvmexit.show import trial
from kvmexit.vmm.machine import POLICIES


def careful(vcpu, bus):
    vcpu.kvm_run.immediate_exit = 1
    if vcpu.run() is not EINTR:
        bus.serve(vcpu.kvm_run)
    vcpu.kvm_run.immediate_exit = 0


@pytest.mark.parametrize("policy", POLICIES)
def test_the_first_landing_that_is_named_is_the_first_that_fails(policy: str) -> None:
    tried = trial(policy, 12)
    kinds = [one.kind for swept in tried.sweeps for one in swept.outcomes]
    assert (tried.first is None) == (policy == "drain") == (set(kinds) == {Kind.OK})
    if tried.first is None:
        assert f"Every one of {len(kinds)} landings is ok" in tried.sentence
        return
    scenario, landing, outcome = tried.first
    assert run(SimulatedKernel(), scenario, landing).outcome == outcome
    assert kinds.index(outcome.kind) == next(n for n, k in enumerate(kinds) if k is not Kind.OK)
    wrong = len(kinds) - kinds.count(Kind.OK)
    assert tried.sentence.startswith(f"{wrong} of {len(kinds)} landings are not ok.")


def test_a_function_is_a_policy_and_its_lines_say_what_they_brought_about() -> None:
    tried, named = trial(careful, 12), trial("serve-once", 12)
    assert [one.strip for one in tried.sweeps] == [one.strip for one in named.sweeps]
    lines = tried.lines().splitlines()
    assert [line.partition("  ←")[0].rstrip() for line in lines][0] == "def careful(vcpu, bus):"
    asked, served = (line.partition("← ")[2] for line in lines if "←" in line)
    assert asked.startswith("MmioRead(") and served == f"served {asked}"


def test_the_film_is_of_that_landing() -> None:
    tried = trial(careful, 12)
    made = tried.film()
    scenario, landing, outcome = tried.first
    assert made.verdict(made.landing).kind == outcome.kind.value
    assert f"exit {landing.exit}" in made.title and scenario.program in made.title


def test_what_a_policy_raises_is_raised() -> None:
    def broken(vcpu, bus):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trial(broken, 12)


class AsAnObject:
    def __call__(self, vcpu, bus):
        careful(vcpu, bus)


def test_what_has_no_lines_to_show_is_tried_all_the_same() -> None:
    names: dict[str, object] = {"careful": careful}
    exec("def made(vcpu, bus): careful(vcpu, bus)", names)
    for policy in (AsAnObject(), partial(careful), names["made"]):
        tried = trial(policy, 12)
        assert tried.sentence == trial(careful, 12).sentence and tried.lines() == ""
        assert repr(tried.film()).startswith("film of 12 bytes")


def test_what_runs_nothing_when_it_is_called_is_no_policy() -> None:
    async def later(vcpu, bus):
        vcpu.run()

    def pieces(vcpu, bus):
        yield vcpu.run()

    for policy in (later, pieces):
        with pytest.raises(KvmExitError, match="runs none of it: write a function without async"):
            trial(policy, 12)
