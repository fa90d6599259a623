"""arm64: its accesses, and what executes them.

KVM emulates an access from its syndrome. The processor describes loads and stores of one general
register without write-back; everything else is ``KVM_EXIT_ARM_NISV``, or an error of KVM_RUN.
Encodings: Arm Architecture Reference Manual, section C4.1, "A64 instruction set encoding".
"""

from __future__ import annotations

from kvmexit.elsewhere.guests.isa import (
    ALIGNED,
    BUFFER,
    END,
    FIFO,
    NISV,
    WORD,
    Access,
    Cpu,
    ForeignState,
    Isa,
    bits,
    signed,
    unknown,
)
from kvmexit.probe.cases import RAM

ZERO = 31


class Arm64State(ForeignState):
    """x0 to x30, sp, pc. PSTATE stays as a new vCPU has it."""

    __slots__ = ()
    names = (*(f"x{number}" for number in range(31)), "sp")


def step(cpu: Cpu, word: int) -> Access | None:
    """One instruction. Register 31 reads as zero here; no guest uses the stack pointer."""
    cpu.length, x, at = 4, cpu.gpr, bits(word, 4, 0)
    if word == 0xD503201F:  # nop
        return None
    if word & 0xFF800000 == 0xD2800000:  # movz
        x[at] = bits(word, 20, 5)
    elif word & 0xFF800000 == 0xD1000000:  # sub, immediate
        x[at] = x[bits(word, 9, 5)] - bits(word, 21, 10) & WORD
    elif word & 0xFF000000 == 0xB5000000:  # cbnz
        if x[at]:
            cpu.jump = cpu.pc + 4 * signed(bits(word, 23, 5), 19)
    elif word & 0xFF000000 == 0xB7000000:  # tbnz, bits 32 to 63
        if x[at] >> 32 + bits(word, 23, 19) & 1:
            cpu.jump = cpu.pc + 4 * signed(bits(word, 18, 5), 14)
    else:
        return _memory(cpu, word)
    return None


def _memory(cpu: Cpu, word: int) -> Access:
    base, size, opc = bits(word, 9, 5), bits(word, 31, 30), bits(word, 23, 22)
    address, vector = cpu.gpr[base], bool(bits(word, 26, 26))
    if word & 0x3B000000 == 0x39000000:  # unsigned offset
        offset = bits(word, 21, 10) << size
        return _one(cpu, address + offset, size, opc, bits(word, 4, 0), NISV if vector else "")
    if word & 0x3B200400 == 0x38000400:  # pre- and post-indexed
        offset, before = signed(bits(word, 20, 12), 9), bool(bits(word, 11, 11))
        access = _one(cpu, address + (offset if before else 0), size, opc, bits(word, 4, 0), NISV)
        if access.address < RAM:  # RAM: no exit, so nobody asks for the syndrome
            cpu.gpr[base] = address + offset & WORD
        return access
    if word & 0x3F808000 == 0x08808000:  # load-acquire, store-release
        return _one(cpu, address, size, bits(word, 22, 22), bits(word, 4, 0))
    pair, exclusive = word & 0x3A000000 == 0x28000000, word & 0x3F800000 == 0x08000000
    if pair or exclusive:
        return Access(address, None, pieces=(1 << size,), refused=NISV)
    raise unknown(word, cpu)


def _one(cpu: Cpu, address: int, size: int, opc: int, at: int, refused: str = "") -> Access:
    """``opc`` 0 is a store, 1 a load, 2 and 3 loads with their sign to 64 and 32 bits."""
    width = 1 << size
    if opc == 0:
        value = 0 if at == ZERO else cpu.gpr[at]
        data = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
        return Access(address & WORD, data, pieces=(width,), refused=refused)
    access = Access(address & WORD, None, pieces=(width,), refused=refused)
    if at == ZERO:
        return access
    put = cpu.load(at, {1: 0, 2: 64, 3: 32}[opc])
    return Access(address & WORD, None, put, (width,), refused=refused)


ACCESSES = (
    ("load 1", "ldrb w0,[x1]", "20004039"),
    ("load 2", "ldrh w0,[x1]", "20004079"),
    ("load 4", "ldr w0,[x1]", "200040b9"),
    ("load 8", "ldr x0,[x1]", "200040f9"),
    ("load 1, signed", "ldrsb x0,[x1]", "20008039"),
    ("load 2, signed", "ldrsh w0,[x1]", "2000c079"),
    ("load 1, acquire", "ldarb w0,[x1]", "20fcdf08"),
    ("load 1, to nowhere", "ldrb wzr,[x1]", "3f004039"),
    ("store 1", "strb w0,[x1]", "20000039"),
    ("store 2", "strh w0,[x1]", "20000079"),
    ("store 4", "str w0,[x1]", "200000b9"),
    ("store 8", "str x0,[x1]", "200000f9"),
    ("store 1, release", "stlrb w0,[x1]", "20fc9f08"),
    ("two loads", "ldrb w0,[x1]; ldrb w3,[x1]", "2000403923004039"),
    ("two stores", "strb w0,[x1]; strb w0,[x1,#4]", "2000003920100039"),
    ("load, store", "ldrb w0,[x1]; strb w0,[x1,#4]", "2000403920100039"),
    (
        "8 loads into RAM",
        "mov x4,#8; 1: ldrb w0,[x1]; strb w0,[x2],#1; sub x4,x4,#1; cbnz x4,1b",
        "040180d22000403940140038840400d1a4ffffb5",
    ),
    (
        "4 stores out of RAM",
        "mov x4,#4; 1: ldrb w0,[x2],#1; strb w0,[x1]; sub x4,x4,#1; cbnz x4,1b",
        "840080d24014403820000039840400d1a4ffffb5",
    ),
    ("load 1, post-indexed", "ldrb w0,[x1],#1", "20144038"),
    ("load 1, pre-indexed", "ldrb w0,[x1,#1]!", "201c4038"),
    ("store 1, post-indexed", "strb w0,[x1],#1", "20140038"),
    ("load of a pair", "ldp w0,w3,[x1]", "200c4029"),
    ("store of a pair", "stp w0,w3,[x1]", "200c0029"),
    ("load 16, vector", "ldr q0,[x5]", "a000c03d"),
    ("store 16, vector", "str q0,[x5]", "a000803d"),
    ("load 1, vector", "ldr b0,[x1]", "2000403d"),
    ("load 1, exclusive", "ldxrb w0,[x1]", "207c5f08"),
)
PACKET = (
    "mov x4,#10; mov x7,#0; 1: ldrb w0,[x1]; strb w0,[x2],#1; sub x4,x4,#1; cbnz x4,1b;"
    " cbnz x7,2f; mov x7,#1; ldrb w4,[x6,#5]; sub x4,x4,#10; tbnz x4,#63,2f; cbnz x4,1b; 2: nop",
    "440180d2070080d22000403940140038840400d1a4ffffb5c70000b5270080d2"
    "c4144039842800d14400f8b7e4feffb51f2003d5",
)
ARM64 = Isa(
    "arm64",
    "arm64",
    Arm64State,
    "x0",
    {
        "x0": 0x7766554433221177,
        "x1": FIFO,
        "x2": BUFFER,
        "x3": 0x33,
        "x5": ALIGNED,
        "x6": BUFFER,
        "x9": END,
    },
    step,
    ACCESSES,
    PACKET,
    end="3f0100b9",
    nop="1f2003d5",
)
