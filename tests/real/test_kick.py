"""Getting a vCPU out of the guest: kicks from another thread, and the watchdog."""

from __future__ import annotations

import threading
import time

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR, VcpuState
from kvmexit.kernel.real import RealKernel
from small_guests import START, Boot

LOOP = "ebfe"  # jmp to itself


def test_no_kick_is_lost(boot: Boot) -> None:
    """300 kicks at a guest that never exits, with the sender late by 0 to 300 us."""
    vcpu = boot(LOOP).vcpu
    go, left = threading.Event(), threading.Event()
    results: list[object] = []

    def run() -> None:
        for _ in range(300):
            go.wait()
            go.clear()
            results.append(vcpu.run())
            vcpu.kvm_run.immediate_exit = 0
            left.set()

    runner = threading.Thread(target=run, daemon=True)
    runner.start()
    for i in range(300):
        left.clear()
        go.set()
        time.sleep((i % 7) * 50e-6)
        vcpu.kick()
        assert left.wait(2.5), f"kick {i} was lost"
    runner.join(2)
    assert results == [EINTR] * 300


def test_a_kick_before_the_entry_is_not_lost(boot: Boot) -> None:
    vcpu = boot(LOOP).vcpu
    vcpu.kick()
    assert vcpu.run() is EINTR
    assert vcpu.get_state().rip == START


def test_a_kick_touches_only_its_own_vcpu(boot: Boot) -> None:
    first, second = boot(LOOP).vcpu, boot(LOOP).vcpu
    done: list[object] = []
    threads = [
        threading.Thread(target=lambda vcpu=vcpu: done.append((vcpu, vcpu.run())), daemon=True)
        for vcpu in (first, second)
    ]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    first.kick()
    threads[0].join(2)
    assert done == [(first, EINTR)]
    second.kick()
    threads[1].join(2)
    assert done == [(first, EINTR), (second, EINTR)]


def in_main(call: object) -> None:
    call()


def in_thread(call: object) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()


@pytest.mark.parametrize("where", [in_main, in_thread])
def test_the_watchdog_ends_a_run_that_never_exits(kernel: RealKernel, where: object) -> None:
    errors: list[str] = []
    with RealKernel(limit=0.2) as hurried, hurried.create_vm(0x2000) as vm:
        vm.memory[START : START + 2] = bytes.fromhex(LOOP)
        vm.vcpu.set_state(VcpuState(rip=START))

        def run() -> None:
            try:
                vm.vcpu.run()
            except KvmExitError as error:
                errors.append(str(error))

        started = time.monotonic()
        where(run)
        assert 0.2 <= time.monotonic() - started < 2
        assert "did not leave for 0.2 s and is at 0x1000" in errors[0]
        assert vm.vcpu.kvm_run.immediate_exit == 0  # the VM can be used again
        vm.memory[START] = 0xF4
        vm.memory[START + 1] = 0xF4
        vm.vcpu.run()


def test_many_short_runs_are_not_one_long_run(kernel: RealKernel) -> None:
    """The watchdog counts one entry at a time, whatever the total."""
    with RealKernel(limit=0.15) as hurried, hurried.create_vm(0x2000) as vm:
        vm.memory[START : START + 7] = bytes.fromhex("a02400d4fe ebf9")
        vm.vcpu.set_state(VcpuState(rip=START))
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            assert vm.vcpu.run() is not EINTR
