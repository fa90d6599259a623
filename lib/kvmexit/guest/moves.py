"""Moves, the stack, jumps and calls, model-specific registers, halt."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from kvmexit.guest.cpu import (
    CF,
    DF,
    EAX,
    EBP,
    ECX,
    EDX,
    ESP,
    MASK,
    OF,
    PF,
    SF,
    ZF,
    Access,
    Cpu,
    Execution,
    Halt,
    Load,
    Memory,
    Place,
    ReadMsr,
    Register,
    Store,
    WriteMsr,
    fetch,
    write,
)
from kvmexit.guest.forms import Body, Insn, instruction


@instruction(
    "mov",
    "a0 al moffs8",
    "a1 eaxv moffsv",
    "a2 moffs8 al",
    "a3 moffsv eaxv",
    "88 /r rm8 r8",
    "89 /r rmv rv",
    "8a /r r8 rm8",
    "8b /r rv rmv",
    "b0 +r r8 imm8",
    "b8 +r rv immv",
    "c6 /0 rm8 imm8",
    "c7 /0 rmv immv",
)
@instruction("movups", "0f 10 /r xmm xmm16", "0f 11 /r xmm16 xmm")
@instruction("movzx", "0f b6 /r rv rm8", "0f b7 /r r4 rm2")
def move(cpu: Cpu, insn: Insn) -> Execution:
    dst, src = insn.locate(cpu)
    value = yield from fetch(cpu, src)
    yield from write(cpu, dst, value)
    return None


@instruction("movsx", "0f be /r rv rm8", "0f bf /r r4 rm2")
def movsx(cpu: Cpu, insn: Insn) -> Execution:
    dst, src = insn.locate(cpu)
    value = yield from fetch(cpu, src)
    sign = 1 << (8 * src.size - 1)
    yield from write(cpu, dst, (value ^ sign) - sign)
    return None


@instruction("lea", "8d /r r4 m4")
def lea(cpu: Cpu, insn: Insn) -> None:
    dst, place = insn.locate(cpu)
    assert isinstance(dst, Register) and isinstance(place, Place)
    dst.put(cpu, place.address)


@instruction("nop", "90")
def nop(cpu: Cpu, insn: Insn) -> None:
    """Nothing."""


CONDITIONS = (
    "o",
    "no",
    "b",
    "ae",
    "e",
    "ne",
    "be",
    "a",
    "s",
    "ns",
    "p",
    "np",
    "l",
    "ge",
    "le",
    "g",
)
ALIASES = {"jz": "je", "jnz": "jne", "jc": "jb", "jnc": "jae", "jnae": "jb", "jnb": "jae"}
ALIASES |= {"jna": "jbe", "jnbe": "ja", "jpe": "jp", "jpo": "jnp", "jnge": "jl", "jnl": "jge"}
ALIASES |= {"jng": "jle", "jnle": "jg", "pushad": "pusha"}


def _condition(cpu: Cpu, code: int) -> bool:
    flags = cpu.flags
    less = bool(flags & SF) != bool(flags & OF)
    zero = bool(flags & ZF)
    base = (
        flags & OF,
        flags & CF,
        zero,
        flags & CF or zero,
        flags & SF,
        flags & PF,
        less,
        less or zero,
    )[code >> 1]
    return bool(base) != bool(code & 1)


def _conditional(code: int) -> Body:
    def body(cpu: Cpu, insn: Insn) -> int | None:
        return insn.target(cpu) if _condition(cpu, code) else None

    return body


for _code, _suffix in enumerate(CONDITIONS):
    instruction(f"j{_suffix}", f"{0x70 + _code:02x} rel1", f"0f {0x80 + _code:02x} rel4")(
        _conditional(_code)
    )


@instruction("loop", "e2 rel1")
def loop(cpu: Cpu, insn: Insn) -> int | None:
    cpu.advance(ECX, -1)
    return insn.target(cpu) if cpu.gpr[ECX] else None


@instruction("jecxz", "e3 rel1")
def jecxz(cpu: Cpu, insn: Insn) -> int | None:
    return None if cpu.gpr[ECX] else insn.target(cpu)


@instruction("jmp", "eb rel1", "e9 rel4")
def jmp(cpu: Cpu, insn: Insn) -> int:
    return insn.target(cpu)


@instruction("jmp", "ff /4 rm4")
def jmp_indirect(cpu: Cpu, insn: Insn) -> Execution:
    (src,) = insn.locate(cpu)
    return (yield from fetch(cpu, src))


def push_value(cpu: Cpu, value: int, size: int) -> Generator[Access, Any, None]:
    """``size`` bytes of ``value`` onto the stack."""
    cpu.advance(ESP, -size)
    yield Store(cpu.gpr[ESP], (value & MASK[size]).to_bytes(size, "little"))


def pop_value(cpu: Cpu, size: int, behind: int = 0) -> Generator[Access, Any, int]:
    """``size`` bytes from the stack, ``behind`` as in :class:`Load`."""
    value = int.from_bytes((yield Load(cpu.gpr[ESP], size, behind)), "little")
    cpu.advance(ESP, size)
    return value


@instruction("call", "e8 rel4")
def call(cpu: Cpu, insn: Insn) -> Execution:
    after, target = insn.after(cpu), insn.target(cpu)
    yield from push_value(cpu, after, 4)
    return target


@instruction("call", "ff /2 rm4")
def call_indirect(cpu: Cpu, insn: Insn) -> Execution:
    after = insn.after(cpu)
    (src,) = insn.locate(cpu)
    target = yield from fetch(cpu, src)
    yield from push_value(cpu, after, 4)
    return target


@instruction("ret", "c3")
def ret(cpu: Cpu, insn: Insn) -> Execution:
    return (yield from pop_value(cpu, 4))


@instruction("push", "50 +r rv", "6a simm8", "68 immv", "ff /6 rmv")
def push(cpu: Cpu, insn: Insn) -> Execution:
    (src,) = insn.locate(cpu)
    value = yield from fetch(cpu, src)
    yield from push_value(cpu, value, insn.size)
    return None


@instruction("pop", "58 +r rv", "8f /0 rmv")
def pop(cpu: Cpu, insn: Insn) -> Execution:
    """An address that uses esp uses the value after the pop."""
    (operand,) = insn.operands
    size = insn.size
    if isinstance(operand, Memory) and operand.base == ESP:
        operand = Memory(
            operand.displacement + size, ESP, operand.index, operand.scale, operand.size
        )
    dst = operand.place(cpu) if isinstance(operand, Memory) else operand
    value = yield from pop_value(cpu, size)
    if isinstance(dst, Register) and dst.number == ESP:
        dst.force(cpu, value)  # the pop itself has just written esp: KVM keeps it
        return None
    assert isinstance(dst, Place | Register)
    yield from write(cpu, dst, value)
    return None


@instruction("pusha", "60")
def pusha(cpu: Cpu, insn: Insn) -> Execution:
    esp = cpu.gpr[ESP]
    for register in range(8):
        yield from push_value(cpu, esp if register == ESP else cpu.gpr[register], 4)
    return None


@instruction("leave", "c9")
def leave(cpu: Cpu, insn: Insn) -> Execution:
    cpu.gpr[ESP] = cpu.gpr[EBP]
    value = int.from_bytes((yield Load(cpu.gpr[ESP], 4)), "little")
    cpu.gpr[ESP] = cpu.gpr[EBP]  # once more: userspace may have changed it
    cpu.advance(ESP, 4)
    cpu.gpr[EBP] = value
    return None


@instruction("cld", "fc")
def cld(cpu: Cpu, insn: Insn) -> None:
    cpu.flags &= ~DF


@instruction("std", "fd")
def std(cpu: Cpu, insn: Insn) -> None:
    cpu.flags |= DF


@instruction("hlt", "f4")
def hlt(cpu: Cpu, insn: Insn) -> Iterator[Access]:
    yield Halt()


@instruction("rdmsr", "0f 32")
def rdmsr(cpu: Cpu, insn: Insn) -> Execution:
    """KVM writes both registers itself, whatever userspace did to them in between."""
    value = int.from_bytes((yield ReadMsr(cpu.gpr[ECX])), "little")
    cpu.gpr[EAX], cpu.gpr[EDX] = value & MASK[4], value >> 32
    return None


@instruction("wrmsr", "0f 30")
def wrmsr(cpu: Cpu, insn: Insn) -> Execution:
    yield WriteMsr(cpu.gpr[ECX], cpu.gpr[EDX] << 32 | cpu.gpr[EAX])
    return None
