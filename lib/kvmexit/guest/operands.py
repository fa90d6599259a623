"""What an operand of the assembler's language means: numbers, names, registers, memory.

A number is decimal, ``0x…`` or ``0b…``; numbers and names are added and subtracted. Memory is
``[base + index*scale + number]``. A size (byte, word, dword, xmmword; ``ptr`` may follow) stands
before a number or before memory. Mnemonics, registers and sizes may be written in capitals,
names mean what they mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from kvmexit.guest.cpu import ESP, REGISTER_NAMES, SEGMENT_NAMES, Memory, Register, Segment
from kvmexit.guest.forms import KEYWORD, TABLE_REGISTER

SIZES = {word: size for size, word in KEYWORD.items()} | {"fword": TABLE_REGISTER}
REGISTERS = {
    name: Register(number, size)
    for size, names in REGISTER_NAMES.items()
    for number, name in enumerate(names)
} | {name: Segment(number) for number, name in enumerate(SEGMENT_NAMES)}
UNSAID = 0
"""The size of memory or of a number that the line leaves to the instruction."""
LOWEST, HIGHEST = -(1 << 31), (1 << 32) - 1
"""What 32 bits hold, read as signed or as unsigned."""

_WORD = re.compile(r"[A-Za-z_.][\w.]*")
_TOKEN = re.compile(r"\s*(?:(\d\w*)|([A-Za-z_.][\w.]*)|(\S))")
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0|[1-9][0-9]*)\Z")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written: an immediate, a port or a target. ``size`` in bytes, or UNSAID."""

    value: int
    size: int = UNSAID


Written: TypeAlias = Register | Memory | Number


@dataclass(frozen=True, slots=True)
class _Term:
    """``sign`` times a value, or times a register and its scale (0 where none is written)."""

    sign: int
    value: int
    register: Register | None = None
    scale: int = 0


def operand(text: str, names: Mapping[str, int]) -> Written:
    """The operand that ``text`` writes. Raises ValueError with the reason if it is none."""
    if text.lower() in REGISTERS:
        return REGISTERS[text.lower()]
    size, text = _size(text)
    if text.startswith("["):
        if not text.endswith("]"):
            raise ValueError(f"{text!r} lacks its closing bracket")
        if not text[1:-1].strip():
            raise ValueError("nothing stands in the brackets")
        return _memory(text[1:-1], size, names)
    if text.lower() in REGISTERS:
        raise ValueError(f"{text} is a register and has its own size")
    return Number(number(text, names), size)


def _size(text: str) -> tuple[int, str]:
    """A size keyword before an operand, and what follows it."""
    word = _WORD.match(text)
    if word is None or word[0].lower() not in SIZES:
        return UNSAID, text
    rest = text[word.end() :].strip()
    if (pointer := _WORD.match(rest)) and pointer[0].lower() == "ptr":
        rest = rest[pointer.end() :].strip()
    if not rest:
        raise ValueError(f"nothing follows {word[0]!r}")
    return SIZES[word[0].lower()], rest


def number(text: str, names: Mapping[str, int]) -> int:
    """The value of a sum of numbers and names. Raises ValueError with the reason."""
    total = 0
    for term in _terms(text, names):
        if term.register is not None:
            raise ValueError(f"{term.register} cannot be part of a number")
        total += term.sign * term.value
    return total


def _memory(text: str, size: int, names: Mapping[str, int]) -> Memory:
    displacement, plain, scaled = 0, list[Register](), list[tuple[Register, int]]()
    for term in _terms(text, names):
        if term.register is None:
            displacement += term.sign * term.value
            continue
        if term.register.size != 4:
            raise ValueError(f"{term.register} cannot address memory: a 32-bit register can")
        if term.sign < 0:
            raise ValueError(f"{term.register} cannot be subtracted in an address")
        if term.scale:
            scaled.append((term.register, term.scale))
        else:
            plain.append(term.register)
    if not LOWEST <= displacement <= HIGHEST:
        raise ValueError(f"{displacement:#x} is no address of 32 bits")
    if len(plain) + len(scaled) > 2 or len(scaled) > 1:
        raise ValueError("an address has one base and one index, of which one may be scaled")
    if len(plain) == 2:
        plain.sort(key=lambda register: register.number != ESP)  # esp is no index
        scaled.append((plain.pop(), 1))
    base = plain[0].number if plain else None
    index, scale = (scaled[0][0].number, scaled[0][1]) if scaled else (None, 1)
    if index == ESP:
        raise ValueError("esp cannot be an index")
    displacement = (displacement & HIGHEST ^ 1 << 31) - (1 << 31)
    return Memory(displacement, base, index, scale, size)


def _terms(text: str, names: Mapping[str, int]) -> list[_Term]:
    """The signed terms of a sum: ``a``, ``-a``, ``a+b*4-c``."""
    tokens = [next(filter(None, found)) for found in _TOKEN.findall(text.strip())]
    terms: list[_Term] = []
    at = 0
    while at < len(tokens) or not terms:
        sign = 1
        if at < len(tokens) and tokens[at] in "+-":
            sign = -1 if tokens[at] == "-" else 1
            at += 1
        elif terms:
            raise ValueError(f"{tokens[at]!r} is not expected in {text!r}")
        if at == len(tokens):
            raise ValueError(f"a number is missing at the end of {text!r}")
        end = at + (3 if tokens[at + 1 : at + 2] == ["*"] else 1)
        terms.append(_term(sign, tokens[at:end], names))
        at = end
    return terms


def _term(sign: int, tokens: list[str], names: Mapping[str, int]) -> _Term:
    """A number, a name, a register, or a register times a scale in either order."""
    factors = [_factor(token, names) for token in tokens[::2]]
    if len(tokens) == 1:
        (factor,) = factors
        if isinstance(factor, Register):
            return _Term(sign, 0, factor)
        return _Term(sign, factor)
    match factors:
        case [Register() as register, int() as scale] | [int() as scale, Register() as register]:
            if scale not in (1, 2, 4, 8):
                raise ValueError(f"an index is scaled by 1, 2, 4 or 8, not by {scale}")
            return _Term(sign, 0, register, scale)
    raise ValueError(f"{''.join(tokens)!r} is not a register times 1, 2, 4 or 8")


def _factor(token: str, names: Mapping[str, int]) -> int | Register:
    if token in names:
        return names[token]
    if token.lower() in REGISTERS:
        return REGISTERS[token.lower()]
    if _NUMBER.match(token):
        return int(token, 0)
    if token[0].isdigit():
        raise ValueError(f"{token!r} is no number: write 12, 0x0c or 0b1100")
    if token[0].isalpha() or token[0] in "_.":
        raise ValueError(f"{token!r} is no label, constant or register")
    raise ValueError(f"{token!r} is not expected here")
