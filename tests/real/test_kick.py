"""Getting a vCPU out of the guest: kicks from another thread, and the watchdog.

No test here looks at a clock. A guest that is inside counts in its memory, so that one can wait
until it runs; a kick that is lost leaves its vCPU to the watchdog, whose error is then what
`run` gives; and the watchdog is told what time it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR, VcpuState
from kvmexit.kernel.kick import Watchdog, entries
from kvmexit.kernel.protocol import Vcpu, Vm
from kvmexit.kernel.real import RealKernel
from patience import draws, until
from small_guests import START, Boot

pytestmark = pytest.mark.stays_inside
LOOP = "ebfe"  # jmp to itself
COUNTER = 0x3000
COUNT = "ff05 00300000 ebf8"  # again: inc dword [COUNTER]; jmp again


def goes_on(vm: Vm) -> None:
    """Wait until the guest has counted on: it is in KVM_RUN and was not kicked out."""
    before = bytes(vm.memory[COUNTER : COUNTER + 4])
    until(lambda: bytes(vm.memory[COUNTER : COUNTER + 4]) != before, "the guest to count")


class Running(threading.Thread):
    """One KVM_RUN in a thread of its own. ``result`` is what it returned or raised."""

    def __init__(self, vcpu: Vcpu) -> None:
        super().__init__(daemon=True)
        self.vcpu, self.result = vcpu, None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.vcpu.run()
        except KvmExitError as error:
            self.result = error

    def ended(self) -> object:
        self.join()
        return self.result


def test_no_kick_is_lost(boot: Boot) -> None:
    """Kicks at a guest that never exits, with the sender late by 0 to 300 us: some come before the
    entry, some into it."""
    vcpu = boot(LOOP).vcpu
    for i in range(draws(300, in_ci=3000)):
        running = Running(vcpu)
        time.sleep((i % 7) * 50e-6)
        vcpu.kick()
        assert running.ended() is EINTR, f"kick {i} was lost"
        vcpu.kvm_run.immediate_exit = 0


def test_a_kick_before_the_entry_is_not_lost(boot: Boot) -> None:
    vcpu = boot(LOOP).vcpu
    vcpu.kick()
    assert vcpu.run() is EINTR
    assert vcpu.get_state().rip == START


def test_a_kick_touches_only_its_own_vcpu(boot: Boot) -> None:
    vms = [boot(COUNT), boot(COUNT)]
    first, second = (Running(vm.vcpu) for vm in vms)
    for vm in vms:
        goes_on(vm)
    first.vcpu.kick()
    assert first.ended() is EINTR
    goes_on(vms[1])
    assert second.result is None
    second.vcpu.kick()
    assert second.ended() is EINTR


def in_main(call: Callable[[], None]) -> None:
    call()


def in_thread(call: Callable[[], None]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


@pytest.mark.parametrize("where", [in_main, in_thread])
def test_the_watchdog_ends_a_run_that_never_exits(
    kernel: RealKernel, where: Callable[[Callable[[], None]], None]
) -> None:
    errors: list[str] = []
    with RealKernel(limit=0.2) as hurried, hurried.create_vm(0x2000) as vm:
        vm.memory[START : START + 2] = bytes.fromhex(LOOP)
        vm.vcpu.set_state(VcpuState(rip=START))

        def run() -> None:
            try:
                vm.vcpu.run()
            except KvmExitError as error:
                errors.append(str(error))

        where(run)
        assert "did not leave for 0.2 s and is at 0x1000" in errors[0]
        assert vm.vcpu.kvm_run.immediate_exit == 0  # the VM can be used again
        vm.vcpu.limit = kernel.limit
        vm.memory[START] = 0xF4
        vm.memory[START + 1] = 0xF4
        vm.vcpu.run()


def inside(vm: Vm) -> Running:
    """The guest of ``vm``, running; the watchdog can see it."""
    running = Running(vm.vcpu)
    goes_on(vm)
    until(lambda: any(entry.vcpu is vm.vcpu for entry in entries()), "an entry to be seen")
    return running


def test_the_watchdog_counts_one_entry_at_a_time(boot: Boot) -> None:
    """Whatever the total: each KVM_RUN has the whole limit, and none has more."""
    vm, dog, now = boot(COUNT), Watchdog(), 0.0
    limit = vm.vcpu.limit
    for _ in range(3):
        running = inside(vm)
        for part in (0.0, 0.5, 0.9):
            dog._look(now + part * limit)
            assert not vm.vcpu.expired
        now += 0.9 * limit
        vm.vcpu.kick()
        assert running.ended() is EINTR
        vm.vcpu.kvm_run.immediate_exit = 0
    running = inside(vm)
    dog._look(now)
    dog._look(now + limit)
    assert "did not leave" in str(running.ended())
