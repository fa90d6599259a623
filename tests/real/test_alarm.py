"""The alarm: it ends KVM_RUN, waits outside, and is heard once."""

import signal

import pytest
from kvmexit.exits import EINTR
from kvmexit.kernel.alarm import Alarm
from kvmexit.kernel.kick import kick_signal
from patience import PATIENCE, until

LOOP = "ebfe"  # jmp to itself
READ = "a000000080 f4"  # mov al, [0x80000000]; hlt


@pytest.mark.stays_inside
def test_it_ends_a_guest_that_loops(boot):
    vm = boot(LOOP)
    with Alarm() as alarm:
        alarm.wakes(vm.vcpu)
        alarm.ring_in(0.01)
        assert vm.vcpu.run() is EINTR
        assert alarm.rung()
        assert not alarm.rung()


def test_outside_it_stays_pending_and_the_next_run_completes_first(boot):
    vm = boot(READ)
    vcpu = vm.vcpu
    with Alarm() as alarm:
        alarm.wakes(vcpu)
        vcpu.run()
        vcpu.kvm_run.answer(b"\x5a")
        alarm.ring_in(0.0)
        until(lambda: kick_signal() in signal.sigpending(), "the alarm to ring")
        assert vcpu.run() is EINTR
        assert vcpu.get_state()["eax"] & 0xFF == 0x5A
        assert alarm.rung()


def test_it_wakes_who_sleeps_and_gives_its_signal_back():
    with Alarm() as alarm:
        alarm.ring_in(0.005)
        assert alarm.rings_within(PATIENCE)
        alarm.ring_in(0.01)
    signals = {kick_signal()}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        assert not before & signals
        assert signal.sigtimedwait(signals, 0.05) is None, "its timer has outlived it"
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
