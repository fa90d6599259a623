"""riscv: its accesses, and what executes them.

KVM reads the instruction and emulates integer loads and stores, compressed ones too, if they are
aligned; KVM_RUN fails with EIO for those that are not, with EOPNOTSUPP for what it does not know.
Encodings: The RISC-V Instruction Set Manual, volume I, chapter 34, and 26 for the compressed.
"""

from __future__ import annotations

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

USERSPACE = range(0x09000000, 0x0A000000)
"""SBI extensions that KVM leaves to userspace: those of a vendor."""
SEED = 0x015
A0, A1 = 9, 10
"""Their places in ``gpr``, which begins with x1."""


class RiscvState(ForeignState):
    """x1 to x31 by their names in the calling convention, and pc."""

    __slots__ = ()
    names = tuple(
        "ra sp gp tp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5 a6 a7 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11"
        " t3 t4 t5 t6".split()
    )


def step(cpu: Cpu, word: int) -> Access | None:
    """One instruction."""
    cpu.length = 4 if word & 3 == 3 else 2
    if cpu.length == 2:
        return _compressed(cpu, word & 0xFFFF)
    at, first, second = bits(word, 11, 7), bits(word, 19, 15), bits(word, 24, 20)
    function, high = bits(word, 14, 12), signed(bits(word, 31, 20), 12)
    match word & 0x7F:
        case 0x13 if function == 0:  # addi
            _set(cpu, at, _get(cpu, first) + high)
        case 0x37:  # lui
            _set(cpu, at, signed(bits(word, 31, 12), 20) << 12)
        case 0x63:  # branches
            _branch(cpu, word, function, _get(cpu, first), _get(cpu, second))
        case 0x03:
            return _load(cpu, _get(cpu, first) + high, function, at)
        case 0x23:
            low = bits(word, 31, 25) << 5 | at
            return _store(_get(cpu, first) + signed(low, 12), function, _get(cpu, second))
        case 0x73:
            return _system(cpu, word, at)
        case 0x2F | 0x07:  # atomic, floating point
            return Access(_get(cpu, first), None, pieces=(4,), refused="EOPNOTSUPP")
        case _:
            raise unknown(word, cpu)
    return None


def _get(cpu: Cpu, at: int) -> int:
    return cpu.gpr[at - 1] if at else 0


def _set(cpu: Cpu, at: int, value: int) -> None:
    if at:
        cpu.gpr[at - 1] = value & WORD


def _branch(cpu: Cpu, word: int, function: int, a: int, b: int) -> None:
    far = bits(word, 31, 31) << 12 | bits(word, 7, 7) << 11
    offset = signed(far | bits(word, 30, 25) << 5 | bits(word, 11, 8) << 1, 13)
    if {1: a != b, 4: signed(a, 64) < signed(b, 64)}[function]:
        cpu.jump = cpu.pc + offset


def _load(cpu: Cpu, address: int, function: int, at: int) -> Access:
    width, wide = 1 << (function & 3), function & 4
    refused = "EIO" if address % width else ""
    if not at:
        return Access(address & WORD, None, pieces=(width,), refused=refused)
    put = cpu.load(at - 1, 0 if wide else 64)
    return Access(address & WORD, None, put, (width,), refused=refused)


def _store(address: int, function: int, value: int) -> Access:
    width = 1 << function
    data = (value & (1 << 8 * width) - 1).to_bytes(width, "little")
    return Access(address & WORD, data, pieces=(width,))


def _compressed(cpu: Cpu, half: int) -> Access | None:
    if half == 0x0001:  # c.nop
        return None
    base, at = 8 + bits(half, 9, 7), 8 + bits(half, 4, 2)
    offset = bits(half, 12, 10) << 3 | bits(half, 6, 6) << 2 | bits(half, 5, 5) << 6
    address = _get(cpu, base) + offset
    if half & 0xE003 == 0x4000:  # c.lw
        return _load(cpu, address, 2, at)
    if half & 0xE003 == 0xC000:  # c.sw
        return _store(address, 2, _get(cpu, at))
    raise unknown(half, cpu)


def _system(cpu: Cpu, word: int, at: int) -> Access:
    if word == 0x73:  # ecall: a0 gets the error, which is none, a1 the value
        extension = _get(cpu, 17)
        if extension not in USERSPACE:
            raise unknown(word, cpu)

        def put(number: int, data: bytes) -> None:
            cpu.gpr[A0], cpu.gpr[A1] = 0, int.from_bytes(data, "little")

        return Access(put=put, pieces=(8,), call=(Reason.RISCV_SBI, extension))
    if bits(word, 31, 20) != SEED:
        raise unknown(word, cpu)
    return Access(put=cpu.load(at - 1), pieces=(8,), call=(Reason.RISCV_CSR, SEED))


ACCESSES = (
    ("load 1", "lbu a0,0(a1)", "03c50500"),
    ("load 2", "lhu a0,0(a1)", "03d50500"),
    ("load 4", "lwu a0,0(a1)", "03e50500"),
    ("load 8", "ld a0,0(a1)", "03b50500"),
    ("load 1, signed", "lb a0,0(a1)", "03850500"),
    ("load 2, signed", "lh a0,0(a1)", "03950500"),
    ("load 4, signed", "lw a0,0(a1)", "03a50500"),
    ("load 1, to nowhere", "lbu x0,0(a1)", "03c00500"),
    ("load 4, compressed", "c.lw a0,0(a1); c.nop", "88410100"),
    ("store 1", "sb a0,0(a1)", "2380a500"),
    ("store 2", "sh a0,0(a1)", "2390a500"),
    ("store 4", "sw a0,0(a1)", "23a0a500"),
    ("store 8", "sd a0,0(a1)", "23b0a500"),
    ("store 4, compressed", "c.sw a0,0(a1); c.nop", "88c10100"),
    ("two loads", "lbu a0,0(a1); lbu a3,0(a1)", "03c5050083c60500"),
    ("two stores", "sb a0,0(a1); sb a0,4(a1)", "2380a5002382a500"),
    ("load, store", "lbu a0,0(a1); sb a0,4(a1)", "03c505002382a500"),
    (
        "8 loads into RAM",
        "li a4,8; 1: lbu a0,0(a1); sb a0,0(a2); addi a2,a2,1; addi a4,a4,-1; bnez a4,1b",
        "1307800003c505002300a600130616001307f7ffe31807fe",
    ),
    (
        "4 stores out of RAM",
        "li a4,4; 1: lbu a0,0(a2); sb a0,0(a1); addi a2,a2,1; addi a4,a4,-1; bnez a4,1b",
        "13074000034506002380a500130616001307f7ffe31807fe",
    ),
    ("SBI call to userspace", "li a7,0x09000000; li a6,7; ecall", "b70800091308700073000000"),
    ("CSR to userspace", "csrrw a0,0x015,x0", "73155001"),
    ("load 4, not aligned", "lw a0,2(a1)", "03a52500"),
    ("load 4 across a page", "lw a0,-2(s3)", "03a5e9ff"),
    ("atomic add 4", "amoadd.w a0,a0,(a1)", "2fa5a500"),
    ("load 4, reserved", "lr.w a0,(a1)", "2fa50510"),
    ("load 8, floating point", "fld fa0,0(a1)", "07b50500"),
)
PACKET = (
    "li a4,10; li a7,0; 1: lbu a0,0(a1); sb a0,0(a2); addi a2,a2,1; addi a4,a4,-1; bnez a4,1b;"
    " bnez a7,2f; li a7,1; lbu a4,5(a6); addi a4,a4,-10; blt x0,a4,1b; 2: nop",
    "1307a0009308000003c505002300a600130616001307f7ffe31807fe639a0800"
    "9308100003475800130767ffe34ee0fc13000000",
)
RISCV = Isa(
    "riscv64",
    "riscv",
    RiscvState,
    "a0",
    {
        "a0": 0x7766554433221177,
        "a1": FIFO,
        "a2": BUFFER,
        "a3": 0x33,
        "a6": BUFFER,
        "s1": END,
        "s3": PAGE_END,
    },
    step,
    ACCESSES,
    PACKET,
    end="23a00400",
    nop="13000000",
)
