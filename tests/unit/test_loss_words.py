"""What the first page counts is what the runs ended with."""

from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Scenario, response_of, run
from kvmexit.show import film
from kvmexit.show.films import landings_of
from kvmexit.show.stage import Verdict
from kvmexit.show.words import loss_words


def verdict(kind: str, returned: int = 8, message: str | None = None) -> Verdict:
    return Verdict(kind, None, 0, returned, message, 8, 0)


def test_a_driver_that_complains_or_returns_an_error_has_noticed():
    ends = [
        verdict("ok"),
        verdict("lost"),
        verdict("missing"),
        verdict("missing"),
        verdict("missing", -5),
        verdict("missing", -62, "Unable to read remainder of result"),
    ]
    assert loss_words(ends) == (
        "A byte goes missing at 4 of 6 places. At 2 of them the driver returns as many bytes as it"
        " asked for, and does not notice."
    )
    assert loss_words(ends[:2]) == "A byte goes missing at none of 2 places."


def test_it_counts_what_the_experiment_counts():
    """At the places that both know by name."""
    response = response_of(12)
    made = film(12)
    named = landings_of(made.worlds[0])
    ended = [run(SimulatedKernel(), Scenario(response), one) for one in named.values()]
    missing = [one for one in ended if one.outcome.kind.value == "missing"]
    quiet = [
        one for one in missing if one.ending.returned == len(response) and not one.ending.message
    ]
    assert len(missing) > len(quiet) > 0
    assert loss_words([made.verdict(at) for at in named]) == (
        f"A byte goes missing at {len(missing)} of {len(named)} places."
        f" At {len(quiet)} of them the driver returns as many bytes as it asked for, and does not"
        " notice."
    )
