"""Every landing of every machine."""

import pytest
from kvmexit.guest.driver import BURSTS, PROGRAMS, tis_driver
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Phase, Scenario, response_of, run
from kvmexit.packet.sweeps import sweep, sweep_policies
from kvmexit.vmm.machine import COMPENSATIONS, POLICIES, RESTORES
from patience import draws

KERNEL = SimulatedKernel()
MACHINES = [("tis", p) for p in PROGRAMS] + [("tis-2011", p) for p in PROGRAMS]
MACHINES += [("tis-indexed", "driver")]


@pytest.mark.parametrize("restore", RESTORES)
@pytest.mark.parametrize("device, program", MACHINES)
def test_drain_is_invisible_at_every_landing(device, program, restore):
    result = sweep(
        KERNEL, Scenario(device=device, program=program, policy="drain", restore=restore)
    )
    assert set(result.strip) == {"."}


@pytest.mark.parametrize(
    "policy, program, letter",
    [
        ("save-at-once", "driver", "m"),
        ("skip-entry", "driver", "m"),
        ("kick-once", "wide", "m"),
        ("kick-once", "rmw", "l"),
        ("serve-once", "wide", "m"),
        ("serve-once", "string", "m"),
    ],
)
def test_every_other_policy_has_a_program_at_which_it_fails(policy, program, letter):
    assert letter in sweep(KERNEL, Scenario(policy=policy, program=program)).strip


def test_a_program_that_is_changed_is_swept_anew(monkeypatch):
    scenario = Scenario(device="tis-indexed", policy="save-at-once")
    loop = BURSTS[scenario.variant]
    before = sweep(KERNEL, scenario)
    with monkeypatch.context() as patch:
        changed = loop.replace("mov [INDEX], ecx\n", "mov [INDEX], ecx\n mov [INDEX], ecx\n")
        patch.setitem(BURSTS, scenario.variant, changed)
        tis_driver.cache_clear()
        other = sweep(KERNEL, scenario)
        assert other.strip == sweep(SimulatedKernel(), scenario).strip
    tis_driver.cache_clear()
    assert len(other.landings) > len(before.landings)
    assert sweep(KERNEL, scenario).strip == before.strip


def test_one_entry_is_enough_for_the_byte_loop():
    """Which is why the bug of the second entry hides behind the driver that everyone uses."""
    for policy in ("kick-once", "serve-once"):
        assert set(sweep(KERNEL, Scenario(policy=policy)).strip) == {"."}


@pytest.mark.parametrize("device, program", MACHINES)
@pytest.mark.parametrize("restore", RESTORES)
@pytest.mark.parametrize("compensation", COMPENSATIONS)
def test_the_fast_sweep_finds_what_single_runs_find(device, program, restore, compensation):
    stride = draws(5, in_ci=1)  # no multiple of the phases
    scenarios = [
        Scenario(response_of(14), device, policy, compensation, restore, program)
        for policy in POLICIES
    ]
    for scenario, result in zip(scenarios, sweep_policies(KERNEL, scenarios)):
        for landing, outcome in zip(result.landings[::stride], result.outcomes[::stride]):
            assert run(KERNEL, scenario, landing).outcome == outcome, (scenario, landing)


def test_a_landing_is_an_exit_and_a_phase():
    result = sweep(KERNEL, Scenario(response_of(12)))
    exits = run(KERNEL, Scenario(response_of(12))).exits
    assert len(result.landings) == exits * len(Phase) == len(result.strip)
    assert [landing.exit for landing in result.landings[::3]] == list(range(1, exits + 1))


def test_a_response_can_be_anything():
    for response in (b"\0", bytes(10), b"\x80\x01\xff\xff\xff\xff" + bytes(20), bytes(40)):
        result = sweep(KERNEL, Scenario(response, policy="drain"))
        assert set(result.strip) == {"."}
