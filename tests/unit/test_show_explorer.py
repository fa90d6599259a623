"""The explorer, without a front end: what it sends is what the machine does."""

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Landing, run
from kvmexit.show import explore, film
from kvmexit.show.explorer import live_strip


def outcome_of(explorer) -> tuple:
    data = explorer.player.data
    return tuple(data["ends"][data["live"][2]][:2])


def test_a_knob_runs_the_machine_again() -> None:
    made = explore(16, read=13)
    for policy in ("drain", "skip-entry", "save-at-once"):
        made.knobs["policy"].value = policy
        result = run(SimulatedKernel(), made.scenario, Landing(13, data_only=True))
        assert outcome_of(made) == (result.outcome.kind.value, result.outcome.index)


def test_a_landing_runs_the_machine_again() -> None:
    made = explore(16, read=13)
    assert outcome_of(made) == ("missing", 12)
    made.player.landing += 2
    assert outcome_of(made) == ("ok", None)


@pytest.mark.parametrize("compensation", ["none", "rewind"])
@pytest.mark.parametrize("restore", ["new-vm", "same-vcpu"])
@pytest.mark.parametrize("policy", ["save-at-once", "skip-entry", "drain"])
def test_the_quick_strip_is_the_strip_of_all_landings(
    policy: str, restore: str, compensation: str
) -> None:
    """The sweep knows no landing at an instruction; the film has run each of them."""
    made = film(11, policy=policy, restore=restore, compensation=compensation)
    assert live_strip(made.scenario()) == made.kinds()


def test_the_readers_own_function_that_raises_is_said_and_not_raised() -> None:
    def broken(vcpu, bus) -> None:
        raise ZeroDivisionError("my mistake")

    made = explore(11, policy=broken, read=11)
    assert "ZeroDivisionError: my mistake" in made.problem.value
    made.knobs["policy"].value = "drain"
    assert made.problem.value == "" and outcome_of(made) == ("ok", None)


def test_it_tells_what_it_shows_and_what_it_cannot() -> None:
    assert "save-at-once" in repr(explore(12, read=11)) and "landing" in repr(explore(12, read=11))
    with pytest.raises(KvmExitError, match="up to 256 bytes"):
        explore(300)
