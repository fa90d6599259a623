"""The binding as a library: the same sentence on every kernel for what none of them can do."""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.exits import Hlt, MmioRead, VcpuState
from kvmexit.guest.assembler import assemble
from kvmexit.kernel import abi, kick, lifetime, vm as vm_module
from kvmexit.kernel.protocol import Kernel, Vcpu, Vm
from kvmexit.kernel.real import RealKernel
from kvmexit.kernel.recorded import RecordedKernel
from kvmexit.kernel.recorder import Recorder
from kvmexit.kernel.simulated import SimulatedKernel
from patience import PATIENCE, until
from small_guests import START

SIZE = 0x10000
STORE = bytes.fromhex("c70500200000efbeadde f4")  # mov dword [0x2000], 0xdeadbeef; hlt
READ = bytes.fromhex("a02400d4fe f4")  # mov al, [0xfed40024]; hlt
KINDS = ("simulated", "recorded", "recorder", "real")


def recorded(folder: Path) -> RecordedKernel:
    recorder = Recorder(SimulatedKernel())
    recorder.create_vm(SIZE).close()
    recorder.save(folder / "none.json", "nothing")
    return RecordedKernel(folder / "none.json")


@pytest.fixture(params=KINDS)
def any_kernel(request: pytest.FixtureRequest, tmp_path: Path) -> Kernel:
    if request.param == "real":
        return request.getfixturevalue("kernel")
    makers: dict[str, Callable[[], Kernel]] = {
        "simulated": SimulatedKernel,
        "recorded": lambda: recorded(tmp_path),
        "recorder": lambda: Recorder(SimulatedKernel()),
    }
    return makers[request.param]()


@pytest.fixture
def vm(any_kernel: Kernel) -> Iterator[Vm]:
    vm = any_kernel.create_vm(SIZE)
    yield vm
    vm.close()


def set_memory(vm: Any) -> None:
    vm.memory = bytearray(SIZE)


def delete_memory(vm: Any) -> None:
    del vm.memory


def add_to_memory(vm: Any) -> None:
    vm.memory += b"x"


def delete_slice(vm: Any) -> None:
    del vm.memory[0x2000:0x3000]


def delete_byte(vm: Any) -> None:
    del vm.memory[0]


def enter(vm: Any) -> None:
    with vm.memory:
        pass


def put(where: slice | int | str | None, data: object) -> Callable[[Any], None]:
    def write(vm: Any) -> None:
        vm.memory[where] = data

    return write


FIXED = "guest RAM has a fixed size and is freed with its VM: "
MOVES: dict[str, Callable[[Any], object]] = {
    "close": lambda vm: vm.memory.close(),
    "resize": lambda vm: vm.memory.resize(2 * SIZE),
    "clear": lambda vm: vm.memory.clear(),
    "extend": lambda vm: vm.memory.extend(b"x"),
    "append": lambda vm: vm.memory.append(1),
    "pop": lambda vm: vm.memory.pop(),
    "insert": lambda vm: vm.memory.insert(0, 1),
    "read": lambda vm: vm.memory.read(1),
    "hex": lambda vm: vm.memory.hex(),
    "madvise": lambda vm: vm.memory.madvise(mmap.MADV_DONTNEED),
    "rebind": set_memory,
    "unbind": delete_memory,
    "in place": add_to_memory,
    "del slice": delete_slice,
    "del byte": delete_byte,
    "with": enter,
    "shorter": put(slice(0x2000, 0x3000), b""),
    "longer": put(slice(SIZE - 2, None), b"abcd"),
    "all": put(slice(None), bytes(SIZE + 1)),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_ram_neither_moves_nor_ends_before_its_vm(vm: Vm, move: Callable[[Any], object]) -> None:
    vm.memory[0x2000] = 7
    with pytest.raises(KvmExitError, match=FIXED):
        move(vm)
    assert len(vm.memory) == SIZE and vm.memory[0x2000] == 7


WRONG: dict[str, tuple[Callable[[Any], object], str]] = {
    "read beyond": (lambda vm: vm.memory[SIZE], "no byte of RAM at 0x10000: it ends at 0x10000"),
    "write beyond": (put(SIZE, 1), "no byte of RAM at 0x10000: it ends at 0x10000"),
    "read by name": (lambda vm: vm.memory["x"], "by address or by slice, not by 'x'"),
    "write by name": (put("x", 1), "by address or by slice, not by 'x'"),
    "256": (put(0, 256), "a byte of RAM takes 0 to 255, not 256"),
    "bytes to a byte": (put(0, b"x"), "a byte of RAM takes 0 to 255, not b'x'"),
    "text": (put(slice(0, 1), "x"), "a slice of RAM takes bytes, not 'x'"),
    "list": (put(slice(0, 1), [1]), "a slice of RAM takes bytes, not .1."),
    "load beyond": (
        lambda vm: vm.load(SIZE - 1, b"ab"),
        "2 bytes at 0xffff do not fit into the RAM, which ends at 0x10000",
    ),
    "load below": (lambda vm: vm.load(-1, b"a"), "1 bytes at -0x1 do not fit"),
    "load text": (lambda vm: vm.load(0, "nop"), "load takes bytes or a Program, not 'nop'"),
    "load at text": (lambda vm: vm.load("0", b"a"), "an address is an integer, not '0'"),
    "load elsewhere": (
        lambda vm: vm.load(0x2000, assemble("hlt")),
        "assembled for 0x1000 and cannot be loaded at 0x2000",
    ),
    **{
        f"answer {data!r}": (
            lambda vm, data=data: vm.vcpu.kvm_run.answer(data),
            f"an answer is bytes, not {data!r}".replace("[", ".").replace("]", "."),
        )
        for data in ("x", [1], 3, None)
    },
    "answer nothing": (
        lambda vm: vm.vcpu.kvm_run.answer(b""),
        "nothing to answer: the last exit was OtherExit",
    ),
    **{
        f"immediate_exit {value!r}": (
            lambda vm, value=value: setattr(vm.vcpu.kvm_run, "immediate_exit", value),
            f"immediate_exit is a byte: take 0 or 1, not {value!r}",
        )
        for value in (256, -1, None, "x", 1.0)
    },
}


@pytest.mark.parametrize("asked", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_one_way(
    vm: Vm, asked: tuple[Callable[[Any], object], str]
) -> None:
    with pytest.raises(KvmExitError, match=asked[1]) as error:
        asked[0](vm)
    assert "\n" not in str(error.value)


def test_ram_is_one_kind_of_buffer(vm: Vm) -> None:
    memory: Any = vm.memory
    memory[0x10:0x14] = bytearray(b"abcd")
    memory[0x14:0x18:2] = b"ef"
    assert memory[0x10:0x17] == b"abcde\0f" and type(memory[0x10:0x14]) is bytes
    assert memory[0x10] == 0x61 and memory[-1] == 0
    assert bytes(memory)[0x10:0x14] == bytes(memoryview(memory)[0x10:0x14]) == b"abcd"
    assert memory.find(b"cd") == 0x12 and b"cd" in memory and b"cde\0g" not in memory
    assert list(memory)[0x10:0x12] == [0x61, 0x62]
    assert memory == bytes(memory) and memory != bytes(SIZE) and memory != "abcd"
    assert repr(memory) == str(memory) == "<guest RAM, 0x10000 bytes>"
    memoryview(memory)[0x10:0x14] = b"wxyz"
    assert memory[0x10:0x14] == b"wxyz"
    vm.load(0x1000, assemble("hlt"))
    vm.load(0x2000, memoryview(b"xy"))
    assert (memory[0x1000], memory[0x2000:0x2002]) == (0xF4, b"xy")


@pytest.mark.parametrize("try_to_free", [mmap.mmap.close, lambda ram: mmap.mmap.resize(ram, 4096)])
def test_the_guest_writes_to_its_own_ram_alone(
    kernel: RealKernel, try_to_free: Callable[[Any], object]
) -> None:
    """Even who goes behind ``Ram`` cannot unmap what the kernel has been lent."""
    with kernel.create_vm(0x100000) as vm:
        vm.load(START, STORE)
        vm.vcpu.set_state(VcpuState(rip=START))
        with pytest.raises(BufferError):
            try_to_free(vm.memory)
        others = [mmap.mmap(-1, 0x100000) for _ in range(4)]
        assert vm.vcpu.run() == Hlt()
        assert vm.memory[0x2000:0x2004] == b"\xef\xbe\xad\xde"
        assert not any(other[0x2000] for other in others)


def test_a_view_outlives_the_vm(vm: Vm) -> None:
    vm.load(0x2000, b"kept")
    memory, view = vm.memory, memoryview(vm.memory)
    vm.close()
    gc.collect()
    assert bytes(view[0x2000:0x2004]) == memory[0x2000:0x2004] == b"kept"


def parts(vm: Vm) -> dict[str, Callable[[], object]]:
    """Everything public that a VM, its vCPU and its page can be asked, save to be closed."""
    found: dict[str, Callable[[], object]] = {}
    for name, part in (("vm", vm), ("vcpu", vm.vcpu), ("page", vm.vcpu.kvm_run)):
        for what in dir(part):
            if not what.startswith("_") and what != "close":
                found[f"{name}.{what}"] = lambda part=part, what=what: getattr(part, what)
    page: Any = vm.vcpu.kvm_run
    found["set immediate_exit"] = lambda: setattr(page, "immediate_exit", 1)
    found["set memory"] = lambda: set_memory(vm)
    for call in (vm.vcpu.run, vm.vcpu.get_state, vm.vcpu.kick, page.exit):  # bound before
        found[f"bound {call.__name__}"] = call
    found["bound answer"] = lambda answer=page.answer: answer(b"x")
    found["bound set_state"] = lambda set_state=vm.vcpu.set_state: set_state(VcpuState())
    found["bound walk"] = lambda walk=vm.vcpu.walk: next(walk())
    found["enter"] = lambda: vm.__enter__()
    return found


def test_what_is_closed_says_so_whatever_it_is_asked(vm: Vm) -> None:
    asked = parts(vm)
    assert len(asked) > 20
    kept: Any = (vm.vcpu.kvm_run, vm.vcpu)
    with vm:
        vm.close()
    vm.close()
    for name, ask in asked.items():
        with pytest.raises(KvmExitError) as error:
            ask()
        assert str(error.value) == "this VM is closed: make a new one", name
    assert [repr(part).endswith(", closed>") for part in (vm, *kept)] == [True] * 3


def test_a_closed_kernel_says_so(any_kernel: Kernel, tmp_path: Path) -> None:
    kernel: Any = RealKernel() if any_kernel.name == "real" else any_kernel
    vm, create_vm = kernel.create_vm(SIZE), kernel.create_vm
    with kernel:
        pass
    kernel.close()
    for ask in (lambda: create_vm(SIZE), lambda: kernel.create_vm(SIZE), lambda: kernel.name):
        with pytest.raises(KvmExitError, match="^this kernel is closed: make a new one$"):
            ask()
    assert len(vm.memory) == SIZE  # a VM lives on
    vm.close()


@pytest.mark.stays_inside
def test_closing_ends_a_run_in_another_thread_and_frees_nothing_under_it(
    kernel: RealKernel,
) -> None:
    said: list[str] = []
    vm = kernel.create_vm(SIZE)
    vm.load(START, bytes.fromhex("ff0500200000 ebf8"))  # again: inc dword [0x2000]; jmp again
    vm.vcpu.set_state(VcpuState(rip=START))
    memory: Any = vm.memory

    def run(vcpu: Vcpu) -> None:
        try:
            vcpu.run()
        except KvmExitError as error:
            said.append(str(error))

    runner = threading.Thread(target=run, args=(vm.vcpu,))
    runner.start()
    until(lambda: memory[0x2000:0x2004].strip(b"\0"), "the guest to count")
    vm.close()
    runner.join(PATIENCE)
    assert not runner.is_alive() and said == ["this VM is closed: make a new one"]
    assert kick.watchdog._running is not None and kick.watchdog._running.is_alive()
    after = memory[0x2000:0x2004]
    time.sleep(0.02)
    assert memory[0x2000:0x2004] == after


@pytest.mark.parametrize(
    "size", ["64k", None, 1.5, True, -4096, 0, 1, 4097, 4096.0, 1 << 31, [4096]]
)
def test_a_size_that_no_vm_can_have(any_kernel: Kernel, size: Any) -> None:
    with pytest.raises(KvmExitError) as error:
        any_kernel.create_vm(size)
    assert str(error.value) == (
        f"memory of {size!r} bytes: take a multiple of 4096 up to 0x7fffd000"
    )


@pytest.mark.parametrize("limit", [None, "x", -1, 0, True, float("nan")])
def test_a_limit_that_cannot_be(kernel: RealKernel, limit: Any) -> None:
    for make, unit in ((RealKernel, "seconds"), (SimulatedKernel, "instructions")):
        with pytest.raises(KvmExitError, match=f"limit is a number of {unit} above 0, not"):
            make(limit=limit)


@pytest.mark.parametrize("row", ["arm64", None, 3])
def test_a_machine_is_a_row(row: Any) -> None:
    with pytest.raises(
        KvmExitError, match="retirement is a row of MACHINES .*arm64.*MACHINES.name"
    ):
        SimulatedKernel(row)


def test_a_device_that_is_none(kernel: RealKernel) -> None:
    with pytest.raises(KvmExitError, match="ENOTTY.*no KVM device, take /dev/kvm"):
        RealKernel(device="/etc/passwd")
    with pytest.raises(KvmExitError, match="device is a path, not None"):
        RealKernel(device=None)


def test_descriptors_and_capabilities_are_public(kernel: RealKernel) -> None:
    with kernel.create_vm(SIZE) as vm:
        assert len({kernel.fd, vm.fd, vm.vcpu.fd}) == 3
        assert kernel.check_extension(abi.KVM_CAP_IMMEDIATE_EXIT) == 1
        assert kernel.check_extension(99999) == 0
        vm.enable_cap(abi.KVM_CAP_X86_USER_SPACE_MSR, 0)  # from now on the kernel answers itself
        vm.load(START, bytes.fromhex("0f32 f4"))  # rdmsr: #GP without a handler
        vm.vcpu.set_state(VcpuState(rip=START).replace(ecx=0xDEAD0000))
        assert repr(vm.vcpu.run()) == "Shutdown()"
        for which in (vm, vm.vcpu):
            with pytest.raises(KvmExitError, match="KVM_ENABLE_CAP of capability 99999 failed: "):
                which.enable_cap(99999)
            for wrong in (("x",), (1, -1), (1, 2, 3, 4, 5, 6), (1 << 32,), (True,)):
                with pytest.raises(KvmExitError, match="enable_cap takes"):
                    which.enable_cap(*wrong)
    for wrong in ("x", -1, 1 << 31, None, True):
        with pytest.raises(KvmExitError, match="a capability is a number of linux/kvm.h"):
            kernel.check_extension(wrong)


def test_things_show_what_they_are(any_kernel: Kernel) -> None:
    assert repr(any_kernel).startswith(f"<{type(any_kernel).__name__}, ")
    vm = any_kernel.create_vm(SIZE)
    assert repr(vm) == (f"<{type(vm).__name__}, 0x10000 bytes of RAM, {vm.vcpu!r}>")
    if any_kernel.name != "recorded":
        vm.load(START, READ)
        vm.vcpu.set_state(VcpuState(rip=START))
        vm.vcpu.run()
        last = MmioRead(0xFED40024, 1)
        assert repr(vm.vcpu) == f"<{type(vm.vcpu).__name__}, last exit {last!r}>"
    vm.close()


def test_registers_by_name() -> None:
    state = VcpuState(rip=0x1000, xmm=(0, 5, *[0] * 6))
    assert state.replace(edx=0x3F8, xmm0=7).replace(rip=2)["edx"] == 0x3F8
    assert state.replace(xmm0=7).xmm[:2] == (7, 5) and state.replace(rflags=3).rflags == 3
    assert state.replace() == state and state.replace(eax=1).gpr == (1, *[0] * 7)
    for name in ("EAX", "eip", "eflags", 0, None, "xmm8"):
        with pytest.raises(KvmExitError, match=f"no register {name!r}; known: eax, .*xmm7"):
            state[name]
    with pytest.raises(KvmExitError, match="no register 'dx'; known: eax"):
        state.replace(dx=1)
    assert repr(state).startswith("VcpuState(rip=0x1000, rflags=0x2, eax=0x0, ")
    assert repr(state).endswith("edi=0x0, xmm1=0x5)")


FORGETFUL = """
import sys
from kvmexit.kernel.{module} import {kernel}
kernel = {kernel}()
vm = kernel.create_vm(0x10000)
view, run, page = memoryview(vm.memory), vm.vcpu.run, vm.vcpu.kvm_run
try:
    {kernel}(limit=None)
except Exception:
    pass
closed = kernel.create_vm(0x10000)
closed.close()
del closed
sys.stdout.write("end")
"""


@pytest.mark.parametrize(
    ("module", "kind"), [("simulated", "SimulatedKernel"), ("real", "RealKernel")]
)
def test_nothing_is_printed_by_what_nobody_closed(
    kernel: RealKernel, module: str, kind: str
) -> None:
    code = FORGETFUL.format(module=module, kernel=kind)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert (done.stdout, done.stderr) == ("end", "")


def test_a_close_that_ctrl_c_cut_short_is_ended_with_the_vm(
    kernel: RealKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_and_interrupt(thing: object, what: str) -> None:
        lifetime.end(thing, what)
        raise KeyboardInterrupt

    vm = kernel.create_vm(SIZE)
    fd, heard = vm.fd, []
    with monkeypatch.context() as patch:
        patch.setattr(vm_module, "end", end_and_interrupt)
        with suppress(KeyboardInterrupt):
            vm.close()
    assert vm.fd == fd, "it would say that it is closed"
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    del vm
    gc.collect()
    assert heard == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


TAKEN = """
import signal
heard, number = [], signal.SIGRTMIN + 4
signal.signal(number, lambda *_: heard.append(number))
from kvmexit.kernel.kick import kick_signal
assert kick_signal() == number + 1, kick_signal()
signal.raise_signal(number)
assert heard, "its handler is gone"
"""


def test_a_signal_that_somebody_else_uses_is_left_alone() -> None:
    done = subprocess.run([sys.executable, "-c", TAKEN], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr


def test_ram_is_given_back(kernel: RealKernel) -> None:
    """Nothing keeps the mapping once the VM is closed and nobody holds a view."""

    def pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[0])

    kept = [kernel.create_vm(0x1000000) for _ in range(8)]
    vcpus = [vm.vcpu for vm in kept]
    before = pages()
    for vm in kept:
        vm.close()
    assert len(vcpus) == 8 and before - pages() >= 8 * 0x1000000 // 4096
