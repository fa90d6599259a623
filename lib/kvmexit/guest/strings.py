"""String instructions, and the ports.

A repeated instruction is one loop that the kernel can leave in two places only: after an
element that a device must see, and whenever the low ten bits of ecx are zero
(``x86_emulate_insn`` in arch/x86/kvm/emulate.c). It then goes back to its own start; with
ecx 0 it retires from there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias

from kvmexit.guest.arithmetic import subtract
from kvmexit.guest.cpu import (
    DF,
    EAX,
    ECX,
    EDI,
    EDX,
    ESI,
    MASK,
    READ_AHEAD,
    ZF,
    Access,
    Cpu,
    Execution,
    In,
    Load,
    Out,
    Place,
    Register,
    Store,
)
from kvmexit.guest.forms import Body, Insn, instruction

Element: TypeAlias = Generator[Access, Any, tuple[bool, int]]
"""One round of a string instruction: (must a device see it first?, elements moved)."""
Pair: TypeAlias = Generator[Access, Any, tuple[int, int]]
"""One round of an instruction that compares: what it compares."""


def _repeated(element: Callable[[Cpu, Insn], Element]) -> Body:
    def body(cpu: Cpu, insn: Insn) -> Execution:
        start = cpu.rip
        if not insn.rep:
            yield from element(cpu, insn)
            return None
        if cpu.gpr[ECX] == 0:
            return None
        while True:
            device, moved = yield from element(cpu, insn)
            cpu.advance(ECX, -moved)
            if device or cpu.gpr[ECX] & 0x3FF == 0:
                return start  # retires with ecx 0, or goes on from its own start

    return body


def _compared(pair: Callable[[Cpu, Insn, int], Pair]) -> Body:
    """``cmps`` and ``scas`` end, too, where the operands are unequal (``repe``) or equal.

    Userspace sees the flags when they leave the loop, not between two elements.
    """

    def body(cpu: Cpu, insn: Insn) -> Execution:
        start, accumulator = cpu.rip, Register(EAX, insn.size).get(cpu)
        if insn.rep and cpu.gpr[ECX] == 0:
            return None
        while True:
            first, second = yield from pair(cpu, insn, accumulator)
            subtract(cpu, first, second, insn.size)
            if not insn.rep:
                return None
            cpu.advance(ECX, -1)
            if bool(cpu.flags & ZF) == insn.repne:
                return None
            if cpu.gpr[ECX] & 0x3FF == 0:
                return start

    return body


def _step(cpu: Cpu, size: int) -> int:
    return -size if cpu.flags & DF else size


def _movs(cpu: Cpu, insn: Insn) -> Element:
    source, target, size = cpu.gpr[ESI], cpu.gpr[EDI], insn.size
    data = yield Load(source, size)
    device = yield Store(target, data)
    cpu.advance(ESI, _step(cpu, size))
    cpu.advance(EDI, _step(cpu, size))
    return device, 1


def _stos(cpu: Cpu, insn: Insn) -> Element:
    size = insn.size
    value = cpu.gpr[EAX] & MASK[size]
    device = yield Store(cpu.gpr[EDI], value.to_bytes(size, "little"))
    cpu.advance(EDI, _step(cpu, size))
    return device, 1


def _lods(cpu: Cpu, insn: Insn) -> Element:
    size = insn.size
    data = yield Load(cpu.gpr[ESI], size)
    Register(EAX, size).put(cpu, int.from_bytes(data, "little"))
    cpu.advance(ESI, _step(cpu, size))
    return False, 1


def _cmps(cpu: Cpu, insn: Insn, _: int) -> Pair:
    source, target, size = cpu.gpr[ESI], cpu.gpr[EDI], insn.size
    first = yield Load(source, size)
    second = yield Load(target, size, behind=size)
    cpu.advance(ESI, _step(cpu, size))
    cpu.advance(EDI, _step(cpu, size))
    return int.from_bytes(first, "little"), int.from_bytes(second, "little")


def _scas(cpu: Cpu, insn: Insn, accumulator: int) -> Pair:
    """The accumulator is that of the beginning, whatever is loaded into it on the way."""
    target, size = cpu.gpr[EDI], insn.size
    data = yield Load(target, size)
    cpu.advance(EDI, _step(cpu, size))
    return accumulator, int.from_bytes(data, "little")


def _outs(cpu: Cpu, insn: Insn) -> Element:
    source, port, size = cpu.gpr[ESI], cpu.gpr[EDX] & 0xFFFF, insn.size
    data = yield Load(source, size)
    device = yield Out(port, data)
    cpu.advance(ESI, _step(cpu, size))
    return device, 1


def _ahead(cpu: Cpu, insn: Insn) -> int:
    """How many elements ``ins`` asks for at once: up to the end of edi's page, 1 KiB, or ecx."""
    if not insn.rep:
        return 1
    offset = cpu.gpr[EDI] & 0xFFF
    in_page = offset if cpu.flags & DF else 4096 - offset
    return max(1, min(in_page, READ_AHEAD // insn.size, cpu.gpr[ECX]))


def ins(cpu: Cpu, insn: Insn) -> Execution:
    """``rep ins`` reads ahead. It counts again when the answer is there: userspace may have
    changed ecx or edi meanwhile. Where it stores first was settled before."""
    start, size, port, place = cpu.rip, insn.size, cpu.gpr[EDX] & 0xFFFF, cpu.gpr[EDI]
    if insn.rep and cpu.gpr[ECX] == 0:
        return None
    answer = yield In(port, size, _ahead(cpu, insn))
    cpu.read_ahead[: len(answer)] = answer
    count = _ahead(cpu, insn)
    at_once = count if insn.rep and not cpu.flags & DF else 1
    for position in range(0, count * size, at_once * size):
        device = yield Store(place, bytes(cpu.read_ahead[position : position + at_once * size]))
        cpu.advance(EDI, _step(cpu, size) * at_once)
        place = cpu.gpr[EDI]
        if insn.rep:
            cpu.advance(ECX, -at_once)
        if device:
            break  # what was read ahead and not yet stored is gone
    return start if insn.rep else None


instruction("movs", "a4 b", "a5 v")(_repeated(_movs))
instruction("stos", "aa b", "ab v")(_repeated(_stos))
instruction("lods", "ac b", "ad v")(_repeated(_lods))
instruction("cmps", "a6 b", "a7 v")(_compared(_cmps))
instruction("scas", "ae b", "af v")(_compared(_scas))
instruction("outs", "6e b", "6f v")(_repeated(_outs))
instruction("ins", "6c b", "6d v")(ins)


@instruction("in", "ec al dx", "ed eaxv dx", "e4 al imm8", "e5 eaxv imm8")
def in_(cpu: Cpu, insn: Insn) -> Execution:
    dst, port = insn.locate(cpu)
    assert isinstance(dst, Register) and not isinstance(port, Place)
    data = yield In(port.get(cpu), dst.size, 1)
    cpu.read_ahead[: dst.size] = data
    dst.put(cpu, int.from_bytes(data, "little"))
    return None


@instruction("out", "ee dx al", "ef dx eaxv", "e6 imm8 al", "e7 imm8 eaxv")
def out(cpu: Cpu, insn: Insn) -> Execution:
    port, src = insn.locate(cpu)
    assert isinstance(src, Register) and not isinstance(port, Place)
    yield Out(port.get(cpu), src.get(cpu).to_bytes(src.size, "little"))
    return None
