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
from typing import TYPE_CHECKING, Any, TypeAlias

from kvmexit.guest.cpu import Cpu

if TYPE_CHECKING:
    from kvmexit.guest.x86 import Insn

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


FORMS: list[Form] = []


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
