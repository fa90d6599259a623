"""The decoder against iced-x86 on random bytes: length, mnemonic, every operand, rep and lock.

What this decoder accepts must not differ. What it refuses is counted by what iced calls it.

    python tests/properties/against_iced.py 100000 [SEED]
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import iced_x86 as iced
from kvmexit.errors import KvmExitError
from kvmexit.guest.cpu import (
    REGISTER_NAMES,
    SEGMENT_NAMES,
    Immediate,
    Memory,
    Register,
    Relative,
    Segment,
)
from kvmexit.guest.forms import FORMS, SUFFIX, Insn
from kvmexit.guest.x86 import OPCODES, PREFIXES, Truncated, decode

ADDRESS = 0x1000
MNEMONIC = {value: name.lower() for name, value in vars(iced.Mnemonic).items() if name.isupper()}
REGISTER = {value: name.lower() for name, value in vars(iced.Register).items() if name.isupper()}
KIND = {value: name for name, value in vars(iced.OpKind).items() if name.isupper()}
TARGETS = ("NEAR_BRANCH32", "NEAR_BRANCH16")
NUMBERS = ("IMMEDIATE8", "IMMEDIATE16", "IMMEDIATE32", "IMMEDIATE8TO16", "IMMEDIATE8TO32")
NUMBERS += ("IMMEDIATE8_2ND",)
SUBSET = {form.name for form in FORMS}
NAMES = {"pusha": "pushad", "iret": "iretd"}
"""What iced calls otherwise."""


@dataclass
class Tally:
    """Strings of bytes by what became of them."""

    strings: int = 0
    equal: int = 0
    cut_off: int = 0
    other: Counter = field(default_factory=Counter)  # refused; iced's mnemonic is not in the subset
    form: Counter = field(default_factory=Counter)  # refused; a form or a prefix that is not
    invalid: int = 0  # refused by both
    wrong: list[str] = field(default_factory=list)

    def text(self) -> str:
        def most(counter: Counter) -> str:
            return ", ".join(f"{name} {n}" for name, n in counter.most_common(12))

        rows = [
            f"{self.strings} strings: {self.equal} equal, {self.cut_off} cut off for both,"
            f" {self.invalid} refused by both, {sum(self.other.values())} other instructions,"
            f" {sum(self.form.values())} other forms, {len(self.wrong)} wrong",
            f"  other instructions: {most(self.other)}",
            f"  other forms of instructions of the subset: {most(self.form)}",
        ]
        return "\n".join(rows + self.wrong[:20])


def bytes_of(rng: Random) -> bytes:
    """Random bytes; most begin with an opcode of the subset, some with prefixes; some are short."""
    prefixes = bytes(rng.choices(PREFIXES, k=rng.choice((0, 0, 0, 1, 1, 2, 3, 12, 15))))
    opcode = rng.choice(list(OPCODES)) if rng.random() < 0.7 else b""
    code = prefixes + opcode + rng.randbytes(15)
    return code[: rng.choice((15, 15, 15, 15, rng.randint(1, 15)))]


def shown_by_us(insn: Insn) -> tuple:
    """Mnemonic, length, rep, lock and operands."""
    operands = [operand_by_us(operand, insn) for operand in insn.operands]
    if not insn.form.string and insn.text(0) == "xchg ax, ax":
        return "nop", insn.length, "", False, ()  # both names are right
    name = insn.form.name + (SUFFIX[insn.size] if insn.form.string else "")
    repeat = ("repne" if insn.repne else "rep") if insn.rep else ""
    return NAMES.get(name, name), insn.length, repeat, insn.lock, tuple(operands)


def operand_by_us(operand, insn: Insn) -> tuple:
    match operand:
        case Segment():
            return ("register", str(operand))
        case Register():
            return ("register", REGISTER_NAMES[operand.size][operand.number])
        case Immediate():
            return ("number", operand.value)
        case Relative():
            return ("target", ADDRESS + insn.length + operand.distance & 0xFFFFFFFF)
        case Memory():
            names = REGISTER_NAMES[4]
            base, index = (None if n is None else names[n] for n in (operand.base, operand.index))
            scale = operand.scale if index else 1
            displacement = operand.displacement & 0xFFFFFFFF
            size = 0 if "m4" in insn.form.operands else operand.size  # lea accesses nothing
            return ("memory", base, index, scale, displacement, size)
    raise AssertionError(operand)


def shown_by_iced(theirs: iced.Instruction) -> tuple:
    """The same of iced's instruction. A string instruction's operands are left out, and a rep
    that means nothing."""
    name = MNEMONIC[theirs.mnemonic]
    string = theirs.is_string_instruction
    operands = [] if string else [operand_by_iced(theirs, n) for n in range(theirs.op_count)]
    if name == "xchg" and operands == [("register", "ax")] * 2:
        name, operands = "nop", []
    return (
        name,
        theirs.len,
        repeat_by_iced(theirs) if string else "",
        theirs.has_lock_prefix,
        tuple(operands),
    )


def repeat_by_iced(theirs: iced.Instruction) -> str:
    if theirs.has_repne_prefix:
        return "repne"
    return "rep" if theirs.has_rep_prefix else ""


def operand_by_iced(theirs: iced.Instruction, n: int) -> tuple:
    kind = KIND[theirs.op_kind(n)]
    if kind == "REGISTER":
        name = REGISTER[theirs.op_register(n)]
        loads_segment = REGISTER[theirs.op0_register] in SEGMENT_NAMES
        return ("register", name.removeprefix("e") if n == 1 and loads_segment else name)
    if kind in TARGETS:
        return ("target", theirs.near_branch_target)
    if kind in NUMBERS:
        size = {"IMMEDIATE8": 1, "IMMEDIATE8_2ND": 1, "IMMEDIATE16": 2, "IMMEDIATE8TO16": 2}.get(
            kind, 4
        )
        return ("number", theirs.immediate(n) & (1 << 8 * size) - 1)
    if kind != "MEMORY":
        return (kind,)
    base, index = (REGISTER[r] for r in (theirs.memory_base, theirs.memory_index))
    base, index = (None if r == "none" else r for r in (base, index))
    info = iced.MemorySizeInfo(theirs.memory_size)
    displacement = theirs.memory_displacement & 0xFFFFFFFF
    return (
        "memory",
        base,
        index,
        theirs.memory_index_scale if index else 1,
        displacement,
        info.size,
    )


def compare(code: bytes, tally: Tally) -> None:
    """Add one string to the tally."""
    tally.strings += 1
    decoder = iced.Decoder(32, code, ip=ADDRESS)
    theirs = decoder.decode()
    ended = decoder.last_error == iced.DecoderError.NO_MORE_BYTES
    name = MNEMONIC[theirs.mnemonic]
    try:
        ours = decode(code, ADDRESS)
    except Truncated:
        if ended:
            tally.cut_off += 1
        else:
            tally.wrong.append(f"{code.hex(' ')}: cut off, iced {theirs}")
        return
    except KvmExitError:
        if name == "invalid":
            tally.invalid += 1
        elif name in SUBSET or theirs.is_string_instruction and name[:-1] in SUBSET:
            tally.form[name] += 1
        else:
            tally.other[name] += 1
        return
    if shown_by_us(ours) == shown_by_iced(theirs):
        tally.equal += 1
    else:
        tally.wrong.append(
            f"{code.hex(' ')}: {shown_by_us(ours)}, iced {theirs} {shown_by_iced(theirs)}"
        )


def campaign(count: int, seed: int = 0) -> Tally:
    """``count`` random strings."""
    rng, tally = Random(seed), Tally()
    for _ in range(count):
        compare(bytes_of(rng), tally)
    return tally


if __name__ == "__main__":
    result = campaign(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(f"against iced-x86: {result.text()}")
    sys.exit(bool(result.wrong))
