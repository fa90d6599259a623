"""What becomes of the guest: the report's observations, and the driver's errors by position."""

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import What
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import (
    Landing,
    Phase,
    Scenario,
    make_machine,
    reference,
    response_of,
    run,
)
from kvmexit.packet.outcome import Ending, Kind, Outcome, classify
from kvmexit.vmm.devices import TisState
from kvmexit.vmm.machine import Policy, drain

KERNEL = SimulatedKernel()
BODY = Landing(13, data_only=True)
EIO, ETIME = -5, -62


def at(landing: Landing, **settings):
    return run(KERNEL, Scenario(**settings), landing)


def test_the_bug_is_silent_in_the_body():
    result = at(BODY)
    assert result.outcome == Outcome(Kind.MISSING, 12)
    assert result.ending.guest == response_of(64)[:12] + response_of(64)[13:] + b"\0"
    assert (result.ending.reads, result.ending.left_over) == (65, 0)
    assert (result.ending.returned, result.ending.message) == (64, None)
    assert result.pattern == "bad"


def test_todays_device_pads_with_ff():
    assert at(BODY, device="tis").ending.guest[-1] == 0xFF


def test_two_errors_cancel():
    assert at(BODY, compensation="rewind").outcome == Outcome(Kind.OK)


def test_drain_is_the_fix():
    result = at(BODY, policy="drain")
    assert result.outcome == Outcome(Kind.OK)
    assert result.pattern == "good"
    assert result.ioctls == [
        "KVM_RUN = 0 (KVM_EXIT_MMIO)",
        "KVM_RUN = -1 EINTR",
        "KVM_GET_REGS",
        "KVM_SET_REGS",
        "KVM_RUN = 0 (KVM_EXIT_MMIO)",
    ]


def test_drain_and_rewind_duplicate():
    result = at(BODY, policy="drain", compensation="rewind")
    assert result.outcome == Outcome(Kind.DUPLICATE, 13)
    assert result.ending.left_over == 1
    assert (result.ending.returned, result.ending.message) == (EIO, "Error left over data")


def test_the_same_vcpu_keeps_a_stale_byte():
    result = at(BODY, restore="same-vcpu")
    response = response_of(64)
    assert result.outcome == Outcome(Kind.STALE, 12)
    assert result.ending.guest == response[:12] + response[11:12] + response[13:]


@pytest.mark.parametrize("exit", range(1, 7))
def test_a_byte_missing_before_the_end_of_the_size_field_spoils_the_size(exit):
    result = at(Landing(exit, data_only=True))
    assert result.outcome.kind is Kind.MISSING
    assert (result.ending.returned, result.ending.message) == (EIO, None)


@pytest.mark.parametrize("exit", range(7, 11))
def test_a_byte_missing_behind_the_size_field_makes_the_body_short(exit):
    result = at(Landing(exit, data_only=True))
    assert result.outcome.kind is Kind.MISSING
    assert result.ending.returned == ETIME
    assert result.ending.message == "Unable to read remainder of result"
    assert len(result.ending.guest) == 63


def test_a_response_shorter_than_its_header():
    result = run(KERNEL, Scenario(response=b"\x80\x01"))
    assert result.ending.returned == EIO
    assert result.ending.message == "Unable to read header"


def test_a_first_byte_of_the_body_that_nobody_asked_for_is_torn():
    """The status stands in its place, all moves down, one byte is left: no stale byte alone."""
    result = at(
        Landing(11, Phase.UNSERVED, data_only=True),
        response=response_of(20),
        restore="same-vcpu",
    )
    assert result.ending.guest == response_of(20)[:10] + b"\x90" + response_of(20)[10:19]
    assert (result.outcome, result.ending.left_over) == (Outcome(Kind.TORN, 10), 1)


def test_equal_neighbours_hide_a_stale_byte():
    response = response_of(20)[:10] + b"\x77" * 10
    result = at(Landing(15, data_only=True), response=response, restore="same-vcpu")
    assert result.outcome == Outcome(Kind.OK) and result.pattern == "bad"


def test_the_guest_sees_nothing_at_other_landings():
    for phase in (Phase.UNSERVED, Phase.ENTERED):
        assert at(Landing(13, phase, data_only=True)).outcome == Outcome(Kind.OK)


def test_a_write_saved_before_it_was_served_is_lost():
    last = run(KERNEL, Scenario()).exits
    assert at(Landing(last, Phase.UNSERVED)).outcome == Outcome(Kind.LOST)


def test_a_stop_that_never_clears_immediate_exit_is_named():
    def forgetful(vcpu, bus):
        drain(vcpu, bus)
        vcpu.kvm_run.immediate_exit = 1

    with pytest.raises(KvmExitError, match="immediate_exit is still set"):
        at(BODY, policy=Policy("forgetful", forgetful), restore="same-vcpu")


def test_a_landing_past_the_end_is_named():
    with pytest.raises(KvmExitError, match="landing 65 lies past the end: the run has 64 reads"):
        at(Landing(65, data_only=True))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Landing(0, data_only=True), "landings count from 1, not 0"),
        (lambda: Landing(13, "served"), "Phase.SERVED, Phase.ENTERED, not 'served'"),
        (lambda: Scenario("a response"), "a response is bytes, not 'a response'"),
        (lambda: Scenario(policy=drain), "a policy is a name or a Policy, not <function drain"),
    ],
)
def test_what_a_student_may_write_instead_is_one_sentence(make, words):
    with pytest.raises(KvmExitError) as raised:
        make()
    assert words in str(raised.value)


@pytest.mark.parametrize("length", [11, 64, 4096])
def test_the_undisturbed_run_returns_the_response(length):
    ending = reference(Scenario(response=response_of(length)))
    assert ending.guest == response_of(length)
    assert (ending.returned, ending.reads, ending.left_over) == (length, length, 0)


def test_neighbours_in_the_body_differ():
    body = response_of(4096)[10:]
    assert all(a != b for a, b in zip(body, body[1:]))


def ending(guest: bytes, *, taken: int = 0, left_over: int = 0) -> Ending:
    return Ending(guest, len(guest), None, taken, taken, left_over, TisState(b"abcdefgh"))


@pytest.mark.parametrize(
    "end, outcome",
    [
        (ending(b"abcdefgh", taken=8), Outcome(Kind.OK)),
        (ending(b"abdefgh\0", taken=9), Outcome(Kind.MISSING, 2)),
        (ending(b"abefgh\0\0", taken=10), Outcome(Kind.MISSING, 2)),
        (ending(b"abccdefg", taken=8, left_over=1), Outcome(Kind.DUPLICATE, 3)),
        (ending(b"abbdefgh", taken=8), Outcome(Kind.STALE, 2)),
        (ending(b"abcdefg\0", taken=9), Outcome(Kind.MISSING, 7)),
        (ending(b"abcdefgg", taken=8), Outcome(Kind.STALE, 7)),
        (ending(b"axcyegzh" * 3, taken=24), Outcome(Kind.TORN, 1)),
    ],
)
def test_outcomes_by_their_bytes(end, outcome):
    assert classify(ending(b"abcdefgh", taken=8), end) == outcome


@pytest.mark.parametrize("restore", ["new-vm", "same-vcpu"])
@pytest.mark.parametrize("policy", ["drain", "save-at-once"])
def test_a_request_that_comes_during_a_suspend_is_not_lost(policy, restore):
    machine = make_machine(KERNEL, Scenario(policy=policy, restore=restore))
    asked = 0
    for step in machine.steps():
        if (asked, step.what) in ((0, What.SERVE), (1, What.SAVE)):
            machine.request_stop()
            asked += 1
    assert asked == len(machine.saves) == 2
