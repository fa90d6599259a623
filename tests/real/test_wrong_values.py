"""What no kernel can take, of whatever type, and what is done with its objects but use them."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import Events, Hlt, MmioRead, MmioWrite, PioIn, Rdmsr, VcpuState
from kvmexit.kernel.protocol import Kernel, Vcpu, Vm
from kvmexit.kernel.real import RealKernel
from kvmexit.kernel.simulated import SimulatedKernel
from patience import draws
from small_guests import START

SIZE = 0x10000
VAST = 10**5000
"""Python refuses to write it in decimal."""


class Mute:
    """A value that cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def released() -> memoryview:
    """A view of nothing."""
    view = memoryview(b"ab")
    view.release()
    return view


@pytest.fixture
def vm(either: Kernel) -> Iterator[Vm]:
    vm = either.create_vm(SIZE)
    yield vm
    vm.close()


def boot(vm: Vm, code: str, **registers: int) -> None:
    vm.load(START, bytes.fromhex(code))
    vm.vcpu.set_state(VcpuState(rip=START).replace(**registers))


# -- answers --------------------------------------------------------------------------------


def test_too_few_bytes_of_an_answer_leave_old_ones_behind_them(vm: Vm) -> None:
    """Of a write that came before, in the data of the page: as in C."""
    boot(vm, "c705 00000d00 44332211 a1 04000d00 a1 08000d00 f4")
    assert vm.vcpu.run() == MmioWrite(0xD0000, b"\x44\x33\x22\x11")
    for place in (4, 8):
        assert vm.vcpu.run() == MmioRead(0xD0000 + place, 4)
        vm.vcpu.kvm_run.answer(bytes([place]))
        vm.vcpu.kvm_run.answer(b"")
    assert vm.vcpu.run() == Hlt()
    assert vm.vcpu.get_state()["eax"] == 0x11223308


@pytest.mark.parametrize(
    "code, exit", [("e5 10 f4", PioIn(0x10, 4)), ("0f32 f4", Rdmsr(0xDEAD0000))], ids=["in", "msr"]
)
def test_a_short_answer_to_a_port_or_an_msr(vm: Vm, code: str, exit: object) -> None:
    boot(vm, code, ecx=0xDEAD0000)
    assert vm.vcpu.run() == exit
    vm.vcpu.kvm_run.answer(b"\x11\x22\x33\x44\x55\x66\x77\x88\x99")
    vm.vcpu.kvm_run.answer(b"\xaa")
    assert vm.vcpu.run() == Hlt()
    assert vm.vcpu.get_state()["eax"] == 0x443322AA


def test_an_answer_need_not_lie_in_one_piece(vm: Vm) -> None:
    boot(vm, "a1 00000d00 f4")
    vm.vcpu.run()
    vm.vcpu.kvm_run.answer(memoryview(b"1.2.3.4.")[::2])
    assert vm.vcpu.run() == Hlt()
    assert vm.vcpu.get_state()["eax"] == int.from_bytes(b"1234", "little")


# -- wrong values ---------------------------------------------------------------------------


def put(where: object, data: object) -> Callable[[Any], None]:
    return lambda vm: vm.memory.__setitem__(where, data)


def state(**parts: Any) -> Callable[[Any], None]:
    return lambda vm: vm.vcpu.set_state(VcpuState(**parts))


WRONG: dict[str, tuple[Callable[[Any], object], str]] = {
    "a step of 0": (lambda vm: vm.memory[::0], "a slice of RAM has addresses and a step"),
    "to a step of 0": (put(slice(None, None, 0), b""), "a slice of RAM has addresses and a step"),
    "two slices": (put((slice(2), slice(2)), b""), "by address or by slice, not by .slice"),
    "text in it": (lambda vm: "x" in vm.memory, "RAM holds bytes, and no 'x'"),
    "300 in it": (lambda vm: 300 in vm.memory, "RAM holds bytes, and no 300"),
    "find text": (lambda vm: vm.memory.find("x"), "searched for bytes.* not for 'x'"),
    "find a byte": (lambda vm: vm.memory.find(0), "searched for bytes.* not for 0"),
    "find from text": (lambda vm: vm.memory.find(b"x", "y"), "not for b'x' from 'y'"),
    "closed": (lambda vm: vm.memory.closed, "guest RAM has a fixed size"),
    "load released": (lambda vm: vm.load(0, released()), "load takes bytes or a Program"),
    "answer released": (lambda vm: vm.vcpu.kvm_run.answer(released()), "an answer is bytes"),
    "a vast byte": (put(0, VAST), "takes 0 to 255, not <int that cannot be shown>"),
    "mute": (put(0, Mute()), "takes 0 to 255, not <Mute that cannot be shown>"),
    "a mute state": (lambda vm: vm.vcpu.set_state(Mute()), "takes a VcpuState, not <Mute that"),
    "long": (put(slice(1), [0] * 10_000), r"a slice of RAM takes bytes, not \[0, 0, .*\.\.\.$"),
    "a vast immediate_exit": (
        lambda vm: setattr(vm.vcpu.kvm_run, "immediate_exit", VAST),
        "immediate_exit is a byte: take 0 or 1",
    ),
    **{
        f"exit_reason {value!r}": (
            lambda vm, value=value: setattr(vm.vcpu.kvm_run, "exit_reason", value),
            "exit_reason is a number of 32 bits, not",
        )
        for value in (-1, 1 << 32, "x", None, 1.0)
    },
    "endless gpr": (state(gpr=iter(int, 1)), "a state whose gpr is"),
    **{
        f"error code {code!r}": (state(events=Events(13, code)), "an error code has 32 bits, not")
        for code in ("", 0.0, False, (), 1.0)
    },
    **{
        f"injected {value!r}": (state(events=Events(13, 0, value)), "injected is True or False")
        for value in ("yes", None, 2)
    },
    "a vast vector": (state(events=Events(VAST)), "no exception has the vector <int that"),
}


@pytest.mark.parametrize("asked", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_sentence_and_loses_nothing(
    vm: Vm, asked: tuple[Callable[[Any], object], str]
) -> None:
    before = vm.vcpu.get_state(), bytes(vm.memory)
    with pytest.raises(KvmExitError, match=asked[1]) as error:
        asked[0](vm)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    assert (vm.vcpu.get_state(), bytes(vm.memory)) == before


def test_ram_is_compared_with_anything(vm: Vm) -> None:
    assert vm.memory != released() and vm.memory != "x" and vm.memory == memoryview(vm.memory)
    assert (vm.memory.find(b"\0", 5), vm.memory.rfind(b"\0", 0, -1)) == (5, SIZE - 2)
    assert vm.memory.find(b"x") == -1 and vm.memory.find(b"\0", None, None) == 0


def test_sizes_that_python_cannot_write(either: Kernel) -> None:
    for size in (VAST, -VAST, Mute()):
        with pytest.raises(KvmExitError, match="that cannot be shown> bytes: take a multiple"):
            either.create_vm(size)


@pytest.mark.parametrize("device", ["\0", "/dev/k\0vm", "\ud800", b"/dev/kvm", 3])
def test_a_device_is_a_path(device: Any) -> None:
    with pytest.raises(KvmExitError, match="device is a path, not"):
        RealKernel(device=device)


@pytest.mark.parametrize("part", ["sregs", "xsave", "mp_state", "events"])
def test_a_rest_that_is_none(kernel: RealKernel, part: str) -> None:
    with kernel.create_vm(SIZE) as vm:
        whole = vm.vcpu.get_state()
        for value in (b"", None, 5):
            changed = VcpuState(eax := (1,) * 8, rest=whole.rest._replace(**{part: value}))
            with pytest.raises(KvmExitError, match="the rest of this state is not the kernel's"):
                vm.vcpu.set_state(changed)
            assert vm.vcpu.get_state() == whole and eax


# -- copies, forks, ends --------------------------------------------------------------------


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_nothing_that_holds_a_descriptor_can_be_copied(
    either: Kernel, vm: Vm, make: Callable[[Any], object]
) -> None:
    """The copy would close it, under the one that is still in use."""
    for one in (either, vm, vm.vcpu, vm.vcpu.kvm_run):
        with pytest.raises(KvmExitError, match="cannot be copied or pickled: make another"):
            make(one)
    gc.collect()
    assert vm.vcpu.get_state() == copy.deepcopy(vm.vcpu.get_state())
    if isinstance(either, RealKernel):
        assert [os.fstat(fd) for fd in (either.fd, vm.fd, vm.vcpu.fd)]


def test_a_forked_child_ends_without_a_word_to_its_parents_vm(kernel: RealKernel) -> None:
    """Its copy of the VM goes away. The page that both see stays as it is."""
    vm = kernel.create_vm(SIZE)
    boot(vm, "f4")
    reading, writing = os.pipe()
    if not (child := os.fork()):
        try:
            vm.vcpu.run()
        except KvmExitError as error:
            os.write(writing, str(error).encode())
        vm.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert "EIO" in (said := os.read(reading, 1000).decode()) and "forked" in said
    os.close(reading)
    os.close(writing)
    assert vm.vcpu.kvm_run.immediate_exit == 0
    assert vm.vcpu.run() == Hlt()
    vm.close()


def test_every_vcpu_is_closed_with_its_vm() -> None:
    vm = SimulatedKernel().create_vm(SIZE)
    other = vm.create_vcpu()
    page, run = other.kvm_run, other.run
    vm.close()
    for ask in (run, lambda: other.run, lambda: page.exit, lambda: other.kvm_run):
        with pytest.raises(KvmExitError, match="^this VM is closed: make a new one$"):
            ask()


def test_a_walk_that_outlives_its_vm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who goes on with it is told; who forgets it is told nothing."""
    heard: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    for goes_on in (True, False):
        vm = SimulatedKernel().create_vm(SIZE)
        boot(vm, "40 f4")
        vm.vcpu.watched = True  # type: ignore[attr-defined]  # a simulated vCPU has it
        walk = vm.vcpu.walk()
        next(walk)
        vm.close()
        if goes_on:
            with pytest.raises(KvmExitError, match="^this VM is closed: make a new one$"):
                next(walk)
        del walk
    gc.collect()
    assert heard == []


def test_who_asks_while_it_is_closed_is_told_so_and_nothing_else(either: Kernel) -> None:
    """From three threads, whatever they ask: no other sentence, and no descriptor that is closed
    under them, or is another's by then."""
    said, rounds = Counter[str](), draws(20, in_ci=200)

    def ask(vm: Vm, vcpu: Vcpu, asked: Callable[[Vm, Vcpu], object]) -> None:
        try:
            while True:
                asked(vm, vcpu)
        except Exception as error:
            said[f"{type(error).__name__}: {error}"] += 1

    acts: list[Callable[[Vm, Vcpu], object]] = [
        lambda vm, vcpu: vcpu.run(),
        lambda vm, vcpu: vcpu.set_state(vcpu.get_state()),
        lambda vm, vcpu: (vm.memory[0x3000], repr(vm)),
    ]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(rounds):
            vm = either.create_vm(SIZE)
            boot(vm, "e410 e610 ebfa")  # again: in; out; jmp again
            threads = [threading.Thread(target=ask, args=(vm, vm.vcpu, act)) for act in acts]
            for thread in threads:
                thread.start()
            time.sleep(0.002)
            vm.close()
            for thread in threads:
                thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert said == {"KvmExitError: this VM is closed: make a new one": 3 * rounds}
