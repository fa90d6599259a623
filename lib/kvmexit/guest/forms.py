"""How an instruction is stated: once, as its encodings and what it does.

An encoding is written as in the processor manuals: opcode bytes; then ``/r`` (a register in
the ModRM byte), ``/0`` to ``/7`` (an opcode extension there) or ``+r`` (a register in the
opcode); then the operands. ``8`` means one byte, ``v`` two or four by operand size, ``b`` and
``v`` alone the element size of a string instruction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import isgeneratorfunction
from typing import Any, TypeAlias

from kvmexit.guest.cpu import Cpu, Immediate, Located, Memory, Operand, Register, Relative, Segment

Body: TypeAlias = Callable[[Cpu, "Insn"], Any]


@dataclass(frozen=True, slots=True)
class Form:
    """One encoding of one instruction."""

    name: str
    opcode: bytes
    modrm: str  # "", "/r", "/0".."/7" or "+r"
    operands: tuple[str, ...]
    run: Body
    plain: bool  # touches no memory and no port: runs to its end at once

    @property
    def string(self) -> bool:
        """Is it a string instruction, which names a size and no operands, and takes ``rep``?"""
        return self.operands in (("b",), ("v",))

    @property
    def written(self) -> tuple[str, ...]:
        """The operands that a line of assembler gives: a string instruction has none."""
        return () if self.string else self.operands


@dataclass(slots=True)
class Insn:
    """A decoded instruction, good at any address.

    ``size`` is the operand or element size in bytes, ``length`` that of the encoding. ``rep``
    says that it repeats, ``repne`` that it does so until two operands are equal.
    """

    form: Form
    operands: tuple[Operand, ...]
    size: int
    length: int
    rep: bool = False
    lock: bool = False
    repne: bool = False

    def locate(self, cpu: Cpu) -> list[Located]:
        """The operands, memory addresses computed with the registers of now."""
        # Only a memory operand has in_memory true; mypy does not narrow by a property.
        return [o.place(cpu) if o.in_memory else o for o in self.operands]  # type: ignore[union-attr,misc]

    def after(self, cpu: Cpu) -> int:
        """The address of the next instruction, while ``rip`` is on this one."""
        return (cpu.rip + self.length) & 0xFFFFFFFF

    def target(self, cpu: Cpu) -> int:
        """Where a relative jump leads."""
        (operand,) = self.operands
        assert isinstance(operand, Relative)
        return (self.after(cpu) + operand.distance) & 0xFFFFFFFF

    def text(self, address: int) -> str:
        """The instruction in assembler's words, as if it stood at ``address``."""
        prefix = "lock " if self.lock else ""
        if self.rep:
            compares = self.form.name in COMPARING
            prefix += "repne " if self.repne else "repe " if compares else "rep "
        if self.form.string:
            return f"{prefix}{self.form.name}{SUFFIX[self.size]}"
        words = []
        for operand in self.operands:
            if isinstance(operand, Relative):
                words.append(f"{address + self.length + operand.distance & 0xFFFFFFFF:#x}")
            elif isinstance(operand, Memory) and self._says_size(operand):
                words.append(f"{KEYWORD[operand.size]} {operand}")
            elif len(self.operands) == 1 and isinstance(operand, Immediate) and self.size == 2:
                words.append(f"word {operand}")  # without it, push pushes a dword
            else:
                words.append(str(operand))
        return f"{prefix}{self.form.name} {', '.join(words)}".rstrip()

    def _says_size(self, operand: Memory) -> bool:
        """Is a size written before it? Not where a register says it, nor where there is but one."""
        if operand.size == TABLE_REGISTER or any(isinstance(o, Segment) for o in self.operands):
            return False
        sized = any(isinstance(o, Register) for o in self.operands)
        return not sized or operand.size != self.size


TABLE_REGISTER = 6
"""Bytes of what ``lgdt`` and ``lidt`` load."""
SUFFIX = {1: "b", 2: "w", 4: "d"}
COMPARING = ("cmps", "scas")
"""String instructions that end when two operands are unequal (``repe``) or equal (``repne``)."""
KEYWORD = {1: "byte", 2: "word", 4: "dword", 16: "xmmword"}


FORMS: list[Form] = []
OUTSIDE = "no instruction of the subset"
"""How the refusal of anything else begins."""


def instruction(name: str, *encodings: str) -> Callable[[Body], Body]:
    """Register ``body`` as what every encoding of ``name`` does."""

    def register(body: Body) -> Body:
        for encoding in encodings:
            opcode, modrm = bytearray(), ""
            operands: list[str] = []
            for word in encoding.split():
                if word[0] in "/+":
                    modrm = word
                elif len(word) == 2 and not operands and set(word) <= set("0123456789abcdef"):
                    opcode += bytes.fromhex(word)
                else:
                    operands.append(word)
            plain = not isgeneratorfunction(body)
            FORMS.append(Form(name, bytes(opcode), modrm, tuple(operands), body, plain))
        return body

    return register
