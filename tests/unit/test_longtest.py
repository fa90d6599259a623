"""The long test shows what the report saw, in the report's own terms."""

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Scenario, response_of, run
from kvmexit.packet.longtest import compare, long_test

RESPONSE = response_of(16)


def seen(**how):
    return {(p, d) for _, p, d in long_test(Scenario(RESPONSE, **how), 600).tally}


def test_the_two_types_of_results_of_the_report():
    assert seen() == {
        ("right", "nothing"),
        ("a byte missing", "nothing"),
        ("a byte missing", "nothing, but returns -5"),
        ("a byte missing", "Unable to read remainder of result"),
    }


def test_the_step_back_turns_missing_into_right_and_right_into_twice():
    test = long_test(Scenario(RESPONSE, compensation="rewind"), 600)
    assert {p for _, p, _ in test.inside().tally} == {"right", "a byte twice"}
    assert test.first("a byte twice", "Error left over data").packet != RESPONSE


def test_a_drained_machine_shows_nothing():
    assert seen(policy="drain") == {("right", "nothing")}


def test_a_seed_is_a_test():
    scenario = Scenario(RESPONSE)
    assert long_test(scenario, 50, seed=1) == long_test(scenario, 50, seed=1)
    assert long_test(scenario, 50, seed=1) != long_test(scenario, 50, seed=2)


def test_the_tally_counts_every_suspend():
    test = long_test(Scenario(RESPONSE), 123)
    assert sum(count for count, _, _ in test.tally) == len(test.suspends) == 123
    assert all(0 < one.offset < 16 for one in test.inside().suspends)
    assert test.inside().suspends


def test_every_missing_byte_was_read_once_too_often():
    undisturbed = run(SimulatedKernel(), Scenario(RESPONSE)).ending
    for one in long_test(Scenario(RESPONSE), 600).suspends:
        surplus = one.reads - len(one.packet)
        assert surplus == (one.packet_words == "a byte missing")
    assert undisturbed.reads == len(undisturbed.guest)


def test_compare_marks_the_first_difference():
    assert compare(b"\1\2\3", b"\1\3\0") == "01 02 03\n01 03 00\n   ^^"
    assert compare(b"\1", b"\1") == "01\n01"


def test_bad_requests_say_what_to_do():
    with pytest.raises(KvmExitError, match="at least one suspend, not 0"):
        long_test(Scenario(RESPONSE), 0)
    with pytest.raises(KvmExitError, match="there are: .*right / nothing"):
        long_test(Scenario(RESPONSE), 5).first("a byte twice")
