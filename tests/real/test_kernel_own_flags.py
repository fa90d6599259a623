"""Results and flags: the simulated kernel, the real processor and KVM's emulator, held together.

Linux, tools/testing/selftests/kvm/x86/fastops_test.c, re-expressed: it runs an operation on
the processor and again in KVM's emulator, over a table of values, and compares result and
flags. Here the operation has its destination in a register (real kernel: the processor) or in
a device (the emulator); the simulated kernel must say the same as each. Only those operations
that are in the subset: no shifts, no bit scans and tests, no multiplication. ``xadd`` and
``cmpxchg`` are ours.

The values are drawn, with a fixed seed; with CI set, every value meets every other.
"""

import os
import random
from itertools import product

import pytest
from kvmexit.exits import DATA_EXITS, Hlt, MmioRead, MmioWrite
from kvmexit.guest.assembler import assemble
from kvmexit.guest.cpu import AF, ARITHMETIC, MASK
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.cases import ORIGIN, RAM

TWO = ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp", "test", "xadd", "cmpxchg")
ONE = ("inc", "dec", "neg", "not")
NAMES = {1: ("byte", "bl", "cl"), 2: ("word", "bx", "cx"), 4: ("dword", "ebx", "ecx")}
DEVICE = 0xD0FFE
"""Four bytes there lie on two pages, so a dword is moved in two pieces."""
EDGES = (0, 1, 2, 0xF, 0x10, 0x55, 0x7F, 0x80, 0xAA, 0xFE, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE)
VALUES = (*EDGES, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0x12345678, 0xFFFFFFFE, 0xFFFFFFFF)
UNDEFINED = dict.fromkeys(("or", "and", "xor", "test"), AF)
"""Flags that the manual leaves open: a processor may do with them what it likes."""
DRAWN = 24


def inputs(name: str, size: int) -> list[tuple[int, int, int]]:
    """(destination, ecx, flags) to try: all of them, or as many as are quick."""
    everything = list(product(VALUES, VALUES if name in TWO else (0,), (0, ARITHMETIC)))
    if os.environ.get("CI"):
        return everything
    draw = random.Random(f"{name} {size}")
    return draw.sample(everything, min(DRAWN, len(everything)))


def outcomes(kernel, source: str, tries: list[tuple[int, int, int]]) -> list[object]:
    """What each try ends with: registers, flags, and the bytes that the device was sent.

    One VM for all: each try begins at the first instruction again. eax is the other
    value's complement, so that half of the draws of ``cmpxchg`` compare unequal.
    """
    code, ends = assemble(f"{source}\nhlt", ORIGIN).code, list[object]()
    vm = kernel.create_vm(RAM)
    vm.memory[ORIGIN : ORIGIN + len(code)] = code
    start = vm.vcpu.get_state()
    for value, other, flags in tries:
        eax = value if other & 1 else ~other & MASK[4]
        gpr = (eax, other, 0, value, 0, 0, 0, 0)
        vm.vcpu.set_state(type(start)(gpr, ORIGIN, 2 | flags, rest=start.rest))
        held = dict(enumerate(value.to_bytes(4, "little"), DEVICE))
        while isinstance(exit := vm.vcpu.run(), DATA_EXITS):
            if isinstance(exit, MmioRead):
                vm.vcpu.kvm_run.answer(bytes(held[exit.gpa + i] for i in range(exit.size)))
            elif isinstance(exit, MmioWrite):
                held |= dict(enumerate(exit.data, exit.gpa))
        assert exit == Hlt()
        state = vm.vcpu.get_state()
        ends.append((state.gpr, state.rflags & ARITHMETIC, held))
    vm.close()
    return ends


@pytest.mark.parametrize("size", NAMES)
@pytest.mark.parametrize("place", ["register", "device"])
@pytest.mark.parametrize("name", TWO + ONE)
def test_results_and_flags(kernel, name: str, place: str, size: int) -> None:
    keyword, register, other = NAMES[size]
    destination = register if place == "register" else f"{keyword} [{DEVICE:#x}]"
    source = f"{name} {destination}" + (f", {other}" if name in TWO else "")
    tries = inputs(name, size)
    undefined = UNDEFINED.get(name, 0)
    both = zip(
        outcomes(SimulatedKernel(), source, tries), outcomes(kernel, source, tries), strict=True
    )
    for given, (simulated, real) in zip(tries, both, strict=True):
        (gpr, flags, held), (real_gpr, real_flags, real_held) = simulated, real
        assert (gpr, held) == (real_gpr, real_held), (source, given)
        assert flags & ~undefined == real_flags & ~undefined, (source, given)
