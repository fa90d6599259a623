"""The two models of the stop path: the race of a kick with an entry, and two vCPUs."""

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.packet.kicks import KICKS, Place, kick_races
from kvmexit.packet.several import survives, undisturbed


def lost(kick: str) -> list[tuple[Place, ...]]:
    return [race.places for race in kick_races(kick) if not race.stops]


def test_flag_then_signal_is_never_lost():
    assert lost("flag, then signal") == []
    assert len(list(kick_races("flag, then signal"))) == 6


@pytest.mark.parametrize(
    ("kick", "places"),
    [
        ("signal, then flag", [(Place.BETWEEN, Place.INSIDE)]),
        ("signal alone", [(Place.BETWEEN,)]),
        ("flag alone", [(Place.INSIDE,)]),
    ],
)
def test_every_other_kick_is_lost_somewhere(kick, places):
    assert lost(kick) == places


def test_an_unknown_kick_is_named():
    with pytest.raises(KvmExitError, match="unknown kick 'shout'; known: flag, then signal"):
        list(kick_races("shout"))
    assert set(KICKS) > {"flag alone"}


def test_two_phases_lose_nothing_and_one_phase_loses_the_start():
    exits = undisturbed()
    assert exits >= 2
    assert all(survives(landing, two_phases=True) for landing in range(1, exits + 1))
    one = [n for n in range(1, exits + 1) if not survives(n, two_phases=False)]
    assert one == [1], "the exit whose serving starts the second vCPU"
