"""Why an instruction does not take the operands that a line gives it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from kvmexit.guest.cpu import Memory
from kvmexit.guest.forms import KEYWORD, Form
from kvmexit.guest.operands import Number, Written
from kvmexit.guest.x86 import uses_v

Sized: TypeAlias = tuple[Form, int]
"""A form, and the operand size that ``v`` stands for in it: 4 or 2."""


def wrong_count(name: str, forms: Sequence[Sized], count: int) -> str:
    """Why ``name`` cannot have so many operands, or nothing."""
    wanted = len(forms[0][0].written)
    if count == wanted:
        return ""
    return f"{name} takes {('no operands', 'one operand', 'two operands')[wanted]}, not {count}"


def why_not(name: str, forms: Sequence[Sized], given: Sequence[Written]) -> str:
    """Why none of the ``forms`` of ``name`` takes operands of these kinds and sizes."""
    if sum(isinstance(operand, Memory) for operand in given) > 1:
        return "only one operand may be in memory"
    what = " and ".join(_in_words(operand) for operand in given)
    return f"{name} does not take {what}; it takes {_takes_in_words(forms)}"


def _in_words(operand: Written) -> str:
    if isinstance(operand, Number):
        return f"the {KEYWORD.get(operand.size, '')} number {operand.value:#x}".replace("  ", " ")
    return f"{KEYWORD.get(operand.size, '')} {operand}".lstrip()


def _takes_in_words(forms: Sequence[Sized]) -> str:
    """The operands of the forms as the manuals write them, sizes in bits where not all exist."""
    sizes: dict[str, list[int]] = {}
    for form, v in forms:
        words = ", ".join(_spec_in_words(spec, form) for spec in form.written)
        sizes.setdefault(words, []).append(8 * v if uses_v(form) else 8)
    found = []
    for words, bits in sizes.items():
        if len(set(bits)) == 3 or "#" not in words:
            found.append(words.replace("#", ""))
        else:
            found += [words.replace("#", str(n)) for n in dict.fromkeys(bits)]
    one = any(len(set(bits)) == 3 and words.count("#") > 1 for words, bits in sizes.items())
    return " or ".join(found) + " (of one size)" * one


def _spec_in_words(spec: str, form: Form) -> str:
    """An operand of a form; ``#`` stands for the size that it shares with the others."""
    if spec.startswith("rel"):
        return "address"
    if "imm" in spec:
        return "number"
    if spec == "rm8" and "rv" in form.operands:
        return "r/m8"
    words = {"al": "al/ax/eax", "eaxv": "al/ax/eax", "m4": "memory", "xmm16": "xmm/memory"}
    words |= {"sreg": "segment register", "rm2v": "r16/r32/m16", "m6": "memory"}
    words |= {"rm2": "r/m16", "rm4": "r/m32", "r4": "r32", "moffs8": "memory", "moffsv": "memory"}
    words |= {"r8": "r#", "rv": "r#", "rm8": "r/m#", "rmv": "r/m#"}
    return words.get(spec, spec)
