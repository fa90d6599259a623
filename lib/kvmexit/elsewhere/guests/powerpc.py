"""powerpc, 64 bits, little-endian: its accesses, and what executes them.

KVM reads the instruction and emulates what it knows, vectors among it: two exits of eight bytes.
Encodings: Power ISA, book I, and for ``sc 1`` book III.
"""

from __future__ import annotations

from collections.abc import Callable

from kvmexit.elsewhere.guests.isa import (
    BUFFER,
    END,
    FIFO,
    PAGE_END,
    WORD,
    Access,
    Cpu,
    ForeignState,
    Isa,
    bits,
    signed,
    unknown,
)
from kvmexit.exits import Reason

CTR, CR = 32, 35


class PowerpcState(ForeignState):
    """r0 to r31, ctr, lr, xer, cr, msr, pc; vs0, whose first half is f0."""

    __slots__ = ()
    names = (*(f"r{number}" for number in range(32)), "ctr", "lr", "xer", "cr", "msr")
    vectors = ("vs0",)


def step(cpu: Cpu, word: int) -> Access | None:
    """One instruction. Conditions are those of field 0 of the condition register."""
    cpu.length, r = 4, cpu.gpr
    op, t, a, b = bits(word, 31, 26), bits(word, 25, 21), bits(word, 20, 16), bits(word, 15, 11)
    low = signed(bits(word, 15, 0), 16)
    if op == 14:  # addi, li
        r[t] = (r[a] if a else 0) + low & WORD
    elif op == 11:  # cmpwi
        value = signed(r[a] & 0xFFFFFFFF, 32)
        sign = 8 if value < low else 4 if value > low else 2
        r[CR] = r[CR] & 0x0FFFFFFF | sign << 28
    elif op == 16:  # bc
        _branch(cpu, t, a, signed(bits(word, 15, 2), 14) << 2)
    elif word & 0xFC1FFFFF == 0x7C0903A6:  # mtctr
        r[CTR] = r[t]
    elif word == 0x60000000:  # nop
        return None
    elif word == 0x44000022:  # sc 1
        return Access(put=cpu.load(3), pieces=(8,), call=(Reason.PAPR_HCALL, r[3]))
    elif op == 31:
        return _indexed(cpu, word, t, (r[a] if a else 0) + r[b])
    else:
        return _displaced(cpu, op, t, a, low, word)
    return None


def _branch(cpu: Cpu, how: int, bit: int, offset: int) -> None:
    """``how`` 16 is bdnz; 4 branches if the bit is clear, 12 if it is set."""
    if how == 16:
        cpu.gpr[CTR] = cpu.gpr[CTR] - 1 & WORD
        taken = cpu.gpr[CTR] != 0
    else:
        taken = (cpu.gpr[CR] >> 31 - bit & 1) == (how == 12)
    if taken:
        cpu.jump = cpu.pc + offset


LOADS = {32: (4, 0), 33: (4, 0), 34: (1, 0), 35: (1, 0), 40: (2, 0), 42: (2, 64)}
STORES = {36: 4, 38: 1, 39: 1, 44: 2}
UPDATE = (33, 35, 39)
"""Major opcodes: bytes, and the bits to which a load's sign is carried; of those with update."""


def _displaced(cpu: Cpu, op: int, t: int, a: int, low: int, word: int) -> Access:
    r = cpu.gpr
    if op in (58, 62) and not word & 3:  # ld, std
        where = r[a] + low
        if op == 58:
            return Access(where, None, cpu.load(t), (8,))
        return Access(where, r[t].to_bytes(8, "little"), pieces=(8,))
    where = r[a] + low & WORD
    if op in UPDATE:
        r[a] = where
    if op in LOADS:
        width, sign = LOADS[op]
        return Access(where, None, cpu.load(t, sign), (width,))
    if op in STORES:
        width = STORES[op]
        data = (r[t] & (1 << 8 * width) - 1).to_bytes(width, "little")
        return Access(where, data, pieces=(width,))
    if op == 50:  # lfd
        return Access(where, None, _vector(cpu), (8,))
    if op == 54:  # stfd
        return Access(where, (cpu.xmm[0] >> 64).to_bytes(8, "little"), pieces=(8,))
    raise unknown(word, cpu)


def _indexed(cpu: Cpu, word: int, t: int, where: int) -> Access:
    match bits(word, 10, 1):
        case 87:  # lbzx
            return Access(where, None, cpu.load(t), (1,))
        case 534:  # lwbrx
            return Access(where, None, cpu.load(t, end="big"), (4,))
        case 532:  # ldbrx
            return Access(where, None, cpu.load(t, end="big"), (8,))
        case 844:  # lxvd2x
            return Access(where, None, _vector(cpu), (8, 8))
        case 972:  # stxvd2x
            low, high = cpu.xmm[0] & WORD, cpu.xmm[0] >> 64
            data = high.to_bytes(8, "little") + low.to_bytes(8, "little")
            return Access(where, data, pieces=(8, 8))
    raise unknown(word, cpu)


def _vector(cpu: Cpu) -> Callable[[int, bytes], None]:
    """The first doubleword, which is f0, is the upper half of what KVM_GET_ONE_REG tells on a
    little-endian machine (TS_FPROFFSET, arch/powerpc/include/asm/processor.h)."""

    def put(number: int, data: bytes) -> None:
        shift = 64 * (1 - number)
        kept = cpu.xmm[0] & ~(WORD << shift)
        cpu.xmm[0] = kept | int.from_bytes(data, "little") << shift

    return put


ACCESSES = (
    ("load 1", "lbz 3,0(4)", "00006488"),
    ("load 2", "lhz 3,0(4)", "000064a0"),
    ("load 4", "lwz 3,0(4)", "00006480"),
    ("load 8", "ld 3,0(4)", "000064e8"),
    ("load 2, signed", "lha 3,0(4)", "000064a8"),
    ("load 1, update", "lbzu 3,1(4)", "0100648c"),
    ("load 1, indexed", "lbzx 3,0,4", "ae20607c"),
    ("load 4, byte-reversed", "lwbrx 3,0,4", "2c24607c"),
    ("load 8, byte-reversed", "ldbrx 3,0,4", "2824607c"),
    ("load 4 across a page", "lwz 3,-2(10)", "feff6a80"),
    ("load 8, floating point", "lfd 0,0(4)", "000004c8"),
    ("store 1", "stb 3,0(4)", "00006498"),
    ("store 2", "sth 3,0(4)", "000064b0"),
    ("store 4", "stw 3,0(4)", "00006490"),
    ("store 8", "std 3,0(4)", "000064f8"),
    ("store 1, update", "stbu 3,1(4)", "0100649c"),
    ("store 8, floating point", "stfd 0,0(4)", "000004d8"),
    ("two loads", "lbz 3,0(4); lbz 6,0(4)", "000064880000c488"),
    ("two stores", "stb 3,0(4); stb 3,4(4)", "0000649804006498"),
    ("load, store", "lbz 3,0(4); stb 3,4(4)", "0000648804006498"),
    (
        "8 loads into RAM",
        "li 7,8; mtctr 7; 1: lbz 3,0(4); stb 3,0(5); addi 5,5,1; bdnz 1b",
        "0800e038a603e97c00006488000065980100a538f4ff0042",
    ),
    (
        "4 stores out of RAM",
        "li 7,4; mtctr 7; 1: lbz 3,0(5); stb 3,0(4); addi 5,5,1; bdnz 1b",
        "0400e038a603e97c00006588000064980100a538f4ff0042",
    ),
    ("load 16, vector", "lxvd2x 0,0,4", "9826007c"),
    ("store 16, vector", "stxvd2x 0,0,4", "9827007c"),
    ("hypercall to userspace", "li 3,0x7ff0; sc 1", "f07f603822000044"),
)
PACKET = (
    "li 7,10; li 8,0; 3: mtctr 7; 1: lbz 3,0(4); stb 3,0(5); addi 5,5,1; bdnz 1b; cmpwi 8,0;"
    " bne 2f; li 8,1; lbz 7,5(11); addi 7,7,-10; cmpwi 7,0; bgt 3b; 2: nop",
    "0a00e03800000039a603e97c00006488000065980100a538f4ff00420000082c"
    "18008240010000390500eb88f6ffe7380000072cd4ff814100000060",
)
POWERPC = Isa(
    "powerpc",
    "powerpc",
    PowerpcState,
    "r3",
    {
        "r3": 0x7766554433221177,
        "r4": FIFO,
        "r5": BUFFER,
        "r6": 0x33,
        "r9": END,
        "r10": PAGE_END,
        "r11": BUFFER,
        # 64 bits, machine check, floating point, VSX, vectors, little-endian
        "msr": 1 << 63 | 1 << 12 | 1 << 13 | 1 << 23 | 1 << 25 | 1,
        "vs0": 0x8F8E8D8C8B8A89888786858483828180,
    },
    step,
    ACCESSES,
    PACKET,
    end="00000990",
    nop="00000060",
)
