"""Arithmetic and logic, with the flags; exchange-and-add, compare-and-exchange."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from kvmexit.guest.cpu import (
    AF,
    ARITHMETIC,
    CF,
    DIVIDE_ERROR,
    EAX,
    EDX,
    MASK,
    OF,
    PF,
    SF,
    ZF,
    Access,
    Cpu,
    Execution,
    Fault,
    Located,
    Place,
    Register,
    fetch,
    write,
)
from kvmexit.guest.forms import Body, Insn, instruction

PARITY = tuple(PF if bin(byte).count("1") % 2 == 0 else 0 for byte in range(256))


def _flags(cpu: Cpu, result: int, size: int, others: int, keep: int = 0) -> None:
    sign = SF if result >> (8 * size - 1) else 0
    zero = 0 if result else ZF
    cpu.flags = (cpu.flags & ~(ARITHMETIC & ~keep)) | sign | zero | PARITY[result & 0xFF] | others


def _add(cpu: Cpu, a: int, b: int, size: int, carry: int = 0, keep: int = 0) -> int:
    total = a + b + carry
    result = total & MASK[size]
    others = (a ^ b ^ result) & AF
    if total >> (8 * size) and not keep:
        others |= CF
    if ~(a ^ b) & (a ^ result) & (1 << (8 * size - 1)):
        others |= OF
    _flags(cpu, result, size, others, keep)
    return result


def subtract(cpu: Cpu, a: int, b: int, size: int, borrow: int = 0, keep: int = 0) -> int:
    """``a - b - borrow`` and its flags, but for those in ``keep``."""
    total = a - b - borrow
    result = total & MASK[size]
    others = (a ^ b ^ result) & AF
    if total < 0 and not keep:
        others |= CF
    if (a ^ b) & (a ^ result) & (1 << (8 * size - 1)):
        others |= OF
    _flags(cpu, result, size, others, keep)
    return result


def _logic(cpu: Cpu, result: int, size: int) -> int:
    _flags(cpu, result, size, 0)
    return result


COMPUTE: dict[str, Callable[[Cpu, int, int, int], int]] = {
    "add": _add,
    "or": lambda cpu, a, b, size: _logic(cpu, a | b, size),
    "adc": lambda cpu, a, b, size: _add(cpu, a, b, size, cpu.flags & CF),
    "sbb": lambda cpu, a, b, size: subtract(cpu, a, b, size, cpu.flags & CF),
    "and": lambda cpu, a, b, size: _logic(cpu, a & b, size),
    "sub": subtract,
    "xor": lambda cpu, a, b, size: _logic(cpu, a ^ b, size),
    "cmp": subtract,
    "test": lambda cpu, a, b, size: _logic(cpu, a & b, size),
}


def _both(cpu: Cpu, dst: Located, src: Located) -> Generator[Access, Any, tuple[int, int]]:
    """The values of two operands, the register first."""
    if isinstance(src, Place):
        first = yield from fetch(cpu, dst)
        return first, (yield from fetch(cpu, src))
    second = yield from fetch(cpu, src)
    return (yield from fetch(cpu, dst)), second


def _arithmetic(name: str) -> Body:
    compute, keeps_result = COMPUTE[name], name not in ("cmp", "test")

    def body(cpu: Cpu, insn: Insn) -> Execution:
        dst, src = insn.locate(cpu)
        a, b = yield from _both(cpu, dst, src)
        result = compute(cpu, a, b, insn.size)
        if keeps_result:
            yield from write(cpu, dst, result)
        return None

    return body


for _index, _name in enumerate(("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp")):
    _base = 8 * _index
    instruction(
        _name,
        f"{_base + 4:02x} al imm8",
        f"83 /{_index} rmv simm8",
        f"{_base + 5:02x} eaxv immv",
        f"80 /{_index} rm8 imm8",
        f"81 /{_index} rmv immv",
        f"{_base:02x} /r rm8 r8",
        f"{_base + 1:02x} /r rmv rv",
        f"{_base + 2:02x} /r r8 rm8",
        f"{_base + 3:02x} /r rv rmv",
    )(_arithmetic(_name))
instruction(
    "test",
    "a8 al imm8",
    "a9 eaxv immv",
    "f6 /0 rm8 imm8",
    "f7 /0 rmv immv",
    "84 /r rm8 r8",
    "85 /r rmv rv",
)(_arithmetic("test"))


def _one_operand(compute: Callable[[Cpu, int, int], int]) -> Body:
    def body(cpu: Cpu, insn: Insn) -> Execution:
        (dst,) = insn.locate(cpu)
        value = yield from fetch(cpu, dst)
        yield from write(cpu, dst, compute(cpu, value, insn.size))
        return None

    return body


instruction("inc", "40 +r rv", "fe /0 rm8", "ff /0 rmv")(
    _one_operand(lambda cpu, a, size: _add(cpu, a, 1, size, keep=CF))
)
instruction("dec", "48 +r rv", "fe /1 rm8", "ff /1 rmv")(
    _one_operand(lambda cpu, a, size: subtract(cpu, a, 1, size, keep=CF))
)
instruction("not", "f6 /2 rm8", "f7 /2 rmv")(_one_operand(lambda cpu, a, size: a ^ MASK[size]))
instruction("neg", "f6 /3 rm8", "f7 /3 rmv")(
    _one_operand(lambda cpu, a, size: subtract(cpu, 0, a, size))
)


@instruction("xadd", "0f c0 /r rm8 r8", "0f c1 /r rmv rv")
def xadd(cpu: Cpu, insn: Insn) -> Execution:
    dst, src = insn.locate(cpu)
    a, b = yield from _both(cpu, dst, src)
    total = _add(cpu, a, b, insn.size)
    assert isinstance(src, Register)
    src.put(cpu, a)
    yield from write(cpu, dst, total)
    return None


@instruction("cmpxchg", "0f b0 /r rm8 r8", "0f b1 /r rmv rv")
def cmpxchg(cpu: Cpu, insn: Insn) -> Execution:
    """Writes the destination in either case, as the processor does."""
    dst, src = insn.locate(cpu)
    new = yield from fetch(cpu, src)
    old = yield from fetch(cpu, dst)
    accumulator = Register(EAX, insn.size)
    subtract(cpu, accumulator.get(cpu), old, insn.size)
    if cpu.flags & ZF:
        yield from write(cpu, dst, new)
    else:
        accumulator.force(cpu, old)
        yield from write(cpu, dst, old)
    return None


@instruction("xchg", "86 /r rm8 r8", "87 /r rmv rv", "90 +r rv eaxv")
def xchg(cpu: Cpu, insn: Insn) -> Execution:
    dst, src = insn.locate(cpu)
    a, b = yield from _both(cpu, dst, src)
    assert isinstance(src, Register)
    src.put(cpu, a)
    yield from write(cpu, dst, b)
    return None


@instruction("bswap", "0f c8 +r r4")
def bswap(cpu: Cpu, insn: Insn) -> None:
    (dst,) = insn.locate(cpu)
    assert isinstance(dst, Register)
    dst.put(cpu, int.from_bytes(dst.get(cpu).to_bytes(4, "little"), "big"))


def _signed(value: int, size: int) -> int:
    half = 1 << 8 * size - 1
    return (value & MASK[size] ^ half) - half


def _divide(dividend: int, divisor: int, size: int, signed: bool) -> tuple[int, int]:
    """Quotient, rounded toward zero, and remainder; #DE where there is no quotient of ``size``."""
    if signed:
        dividend, divisor = _signed(dividend, 2 * size), _signed(divisor, size)
    if divisor == 0:
        raise Fault(DIVIDE_ERROR)
    quotient = abs(dividend) // abs(divisor)
    if (dividend < 0) != (divisor < 0):
        quotient = -quotient
    if quotient != (_signed(quotient, size) if signed else quotient & MASK[size]):
        raise Fault(DIVIDE_ERROR)
    return quotient, dividend - quotient * divisor


def _division(signed: bool) -> Body:
    """The flags stay as they were. They are undefined (Intel SDM volume 2, DIV, IDIV): KVM's
    emulator executes a division of the host's, and the one measured here leaves them."""

    def body(cpu: Cpu, insn: Insn) -> Execution:
        (src,) = insn.locate(cpu)
        size = insn.size
        low = Register(EAX, size)
        high = Register(EDX if size > 1 else EAX | 4, size)  # ah
        dividend = high.get(cpu) << 8 * size | low.get(cpu)
        divisor = yield from fetch(cpu, src)
        quotient, remainder = _divide(dividend, divisor, size, signed)
        low.put(cpu, quotient)
        high.put(cpu, remainder)
        return None

    return body


instruction("div", "f6 /6 rm8", "f7 /6 rmv")(_division(signed=False))
instruction("idiv", "f6 /7 rm8", "f7 /7 rmv")(_division(signed=True))
