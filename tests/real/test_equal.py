"""The simulated kernel against the real one: the same bytes, the same outcomes."""

import json
import math

import pytest
from kvmexit.commands import main
from kvmexit.guest.driver import PROGRAMS
from kvmexit.kernel.real import RealKernel
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Landing, Phase, Scenario, response_of, run
from kvmexit.packet.races import race
from kvmexit.packet.sweeps import sweep
from kvmexit.vmm.machine import POLICIES, RESTORES
from patience import draws

pytestmark = pytest.mark.usefixtures("kvm")


def same(scenario: Scenario, landing: Landing | None) -> None:
    simulated = run(SimulatedKernel(), scenario, landing)
    real = run(RealKernel(), scenario, landing)
    assert real.outcome == simulated.outcome
    assert real.ending == simulated.ending
    assert real.ioctls == simulated.ioctls
    assert real.pattern == simulated.pattern


@pytest.mark.parametrize("phase", list(Phase), ids=lambda phase: phase.value)
@pytest.mark.parametrize("policy", POLICIES)
def test_every_fifo_exit_of_a_64_byte_response(policy, phase):
    for exit in range(1, 65, draws(3, in_ci=1)):
        same(Scenario(policy=policy), Landing(exit, phase, data_only=True))


@pytest.mark.parametrize("restore", RESTORES)
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("policy", POLICIES)
def test_every_landing_of_every_program(policy, program, restore):
    scenario = Scenario(response_of(draws(14, in_ci=30)), "tis", policy, "none", restore, program)
    assert sweep(RealKernel(), scenario).outcomes == sweep(SimulatedKernel(), scenario).outcomes


@pytest.mark.parametrize("compensation", ["none", "rewind"])
@pytest.mark.parametrize("device", ["tis", "tis-indexed"])
def test_other_devices(device, compensation):
    scenario = Scenario(response_of(20), device, compensation=compensation)
    assert sweep(RealKernel(), scenario).outcomes == sweep(SimulatedKernel(), scenario).outcomes


@pytest.mark.parametrize(
    "words",
    [
        "--policy save-at-once",
        "--policy save-at-once --compensation rewind",
        "--policy drain",
        "--policy drain --compensation rewind",
        "--policy save-at-once --restore same-vcpu",
    ],
)
def test_the_command_says_the_same_of_both(capsys, words):
    answers = []
    for kernel in ("simulated", "real"):
        main(
            ["run", "--length", "64", "--at-exit", "13", "--json", "--kernel", kernel]
            + words.split()
        )
        answers.append(json.loads(capsys.readouterr().out))
        assert answers[-1].pop("kernel") == kernel
    assert answers[0] == answers[1]


def hardly(n: int, probability: float, false_alarm: float = 1e-9) -> int:
    """The most of ``n`` that chance makes of ``probability`` each, but for one time in 1e9."""
    weights = [
        math.comb(n, k) * probability**k * (1 - probability) ** (n - k) for k in range(n + 1)
    ]
    return next(k for k in range(n + 1) if sum(weights[k + 1 :]) < false_alarm)


def test_a_race_loses_nearly_every_pending_byte_without_a_drain_and_none_with_it():
    """By chance, and yet to be trusted. From one suspend in five, on a machine where ten want
    to run at once, to two in three find a read pending; were it one in ten, 300 would all miss
    with a probability below 1e-13. Measured, one pending byte in a
    hundred is not seen as lost; twice as many are allowed for."""
    wrong = race(RealKernel(), Scenario(policy="save-at-once"), 300, seed=1)
    right = race(RealKernel(), Scenario(policy="drain"), 300, seed=1)
    assert wrong.suspends == right.suspends == 300
    assert wrong.pending and right.pending
    assert 0 <= wrong.pending - wrong.bytes_lost <= hardly(wrong.pending, 1 / 50)
    assert wrong.bad_packets > 0
    assert right.bytes_lost == right.bad_packets == 0
