"""Encode an instruction: the first form of the table that takes the operands, or the reason.

A form that takes a memory operand whose size nothing says is one of several: then the line is
refused, not guessed at.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvmexit.guest.cpu import EAX, EDX, ESP, MASK, Memory, Register, Segment
from kvmexit.guest.forms import COMPARING, FORMS, KEYWORD, SUFFIX, Form
from kvmexit.guest.moves import ALIASES
from kvmexit.guest.operands import UNSAID, Number, Written
from kvmexit.guest.refusals import Sized, why_not
from kvmexit.guest.x86 import (
    LOCK,
    LOCKABLE,
    OPERAND_SIZE,
    REPEAT,
    REPEAT_NOT_EQUAL,
    memory_size,
    operand_size,
    uses_v,
)

SYMMETRIC = ("test", "xchg")
"""Their operands may be written in either order; the table has one."""
EXTENDING = ("movzx", "movsx")
"""The size of the source says what is extended, so it must be written."""
STACK = ("push", "pop")
"""What has no size is a dword here, as the stack is of dwords."""


def _by_name() -> dict[str, list[Sized]]:
    """Mnemonic -> its forms, each with the operand sizes (4 or 2) that it has."""
    found: dict[str, list[Sized]] = {}
    for form in FORMS:
        if form.string:
            for size in (1,) if form.operands == ("b",) else (4, 2):
                found.setdefault(form.name + SUFFIX[size], []).append((form, size))
            continue
        for v in (4, 2) if uses_v(form) else (4,):
            found.setdefault(form.name, []).append((form, v))
    return found | {alias: found[name] for alias, name in ALIASES.items()}


MNEMONICS = _by_name()


def encode(
    name: str,
    given: Sequence[Written],
    address: int,
    *,
    rep: bool = False,
    repne: bool = False,
    lock: bool = False,
    short: bool = True,
) -> bytes:
    """Machine code of ``name`` with the operands ``given``, for ``address``.

    Not ``short`` means: distances, displacements and immediates in their full width, where the
    instruction has one. ``name`` is one of MNEMONICS. Raises ValueError with the reason if it has
    no such form.
    """
    if name in SYMMETRIC and [type(o) for o in given] == [Register, Memory]:
        given = given[::-1]
    if name in STACK:
        given = [_dword(operand) for operand in given]
    sized = [(form, v) for form, v in MNEMONICS[name] if _takes(form, v, given)]
    if not sized:
        raise ValueError(why_not(name, MNEMONICS[name], given))
    _check_size(name, given)
    holding = [one for one in sized if _holds(*one, given, address, short)]
    if not holding:
        raise ValueError(_too_large(sized, given, address))
    form, v = holding[0]
    if rep and not form.string:
        raise ValueError("rep repeats string instructions only")
    if repne and form.name not in COMPARING:
        raise ValueError("repne repeats cmps and scas only")
    if form.operands[:1] == ("sreg",) and str(given[0]) == "cs":
        raise ValueError("mov cannot load cs")
    if lock and not (form.name in LOCKABLE and isinstance(given[0], Memory)):
        raise ValueError("lock wants an instruction that reads and writes one place in memory")
    repeat = [REPEAT] * rep + [REPEAT_NOT_EQUAL] * repne
    prefix = bytes([LOCK] * lock + repeat + [OPERAND_SIZE] * (v == 2))
    return prefix + _bytes(form, given, v, address, short)


def _dword(operand: Written) -> Written:
    match operand:
        case Number(value, size) if size == UNSAID:
            return Number(value, 4)
        case Memory() if operand.size == UNSAID:
            return Memory(operand.displacement, operand.base, operand.index, operand.scale, 4)
    return operand


def _check_size(name: str, given: Sequence[Written]) -> None:
    """Refuse memory whose size neither the line nor the instruction says. The size of a number
    beside it is not that of memory: ``add dword [eax], 1`` has a number of one byte."""
    bare = [Number(o.value) if isinstance(o, Number) else o for o in given]
    for place, operand in enumerate(given):
        if not isinstance(operand, Memory) or operand.size != UNSAID:
            continue
        forms = [(form, v) for form, v in MNEMONICS[name] if _takes(form, v, bare)]
        sizes = {memory_size(form.operands[place], v) for form, v in forms}
        if len(sizes) > 1 or name in EXTENDING:
            *words, last = (KEYWORD[size] for size in sorted(sizes))
            either = f"{', '.join(words)} or {last}" if words else last
            raise ValueError(f"the size of {operand} is open: write {either} before it")


# -- what a form takes ----------------------------------------------------------------------


def _takes(form: Form, v: int, given: Sequence[Written]) -> bool:
    """Are the operands of the kinds and sizes of the form's? Numbers are looked at later."""
    specs = form.written
    return len(specs) == len(given) and all(
        is_kind(spec, operand) and _has_size(form, spec, v, operand)
        for spec, operand in zip(specs, given)
    )


def is_kind(spec: str, operand: Written) -> bool:
    """Is it of the kind that ``spec`` writes: this register, a register, memory, a number?"""
    fixed = {"al": EAX, "eaxv": EAX, "dx": EDX}
    match operand:
        case Segment():
            return spec == "sreg"
        case Register():
            if spec in fixed:
                return operand.number == fixed[spec]
            return spec[0] == "r" and not spec.startswith("rel") or spec.startswith("xmm")
        case Memory():
            if spec.startswith("moffs"):
                return operand.base is None and operand.index is None
            return spec.startswith("rm") or spec in ("xmm16", "m4", "m6")
    return spec.startswith(("imm", "simm", "rel"))


def _has_size(form: Form, spec: str, v: int, operand: Written) -> bool:
    if isinstance(operand, Number):
        if spec.startswith("rel") or form.name in ("enter", "in", "out"):
            return operand.size == UNSAID  # it could be meant of what is pushed, or of what is read
        return operand.size in (UNSAID, v if spec == "simm8" else operand_size(spec, v))
    if not isinstance(operand, Memory):
        return operand.size == operand_size(spec, v)
    return operand.size in (UNSAID, memory_size(spec, v))


def _range(form: Form, spec: str, v: int) -> tuple[int, int]:
    """The least and the largest number that may be written for ``spec``."""
    if spec.startswith("rel"):
        return 0, MASK[4]
    if spec == "imm8" and form.name in ("in", "out"):
        return 0, 0xFF  # a port
    bits = 8 * (v if spec == "simm8" else operand_size(spec, v))
    return -(1 << bits - 1), (1 << bits) - 1


def _holds(form: Form, v: int, given: Sequence[Written], address: int, short: bool) -> bool:
    """Can the bytes that the form encodes hold the numbers?"""
    for spec, number in zip(form.written, given):
        if not isinstance(number, Number):
            continue
        least, largest = _range(form, spec, v)
        if not least <= number.value <= largest:
            return False
        if spec == "rel1":
            near = -128 <= _distance(form, spec, number, address) < 128
            if not near or not (short or len(MNEMONICS[form.name]) == 1):
                return False
        if spec == "simm8" and not (short and -128 <= _signed(number.value, v) < 128):
            return False
    return True


def _too_large(forms: Sequence[Sized], given: Sequence[Written], address: int) -> str:
    """Which number none of the forms holds."""
    form, v = max(forms, key=lambda one: one[1])
    for spec, number in zip(form.written, given):
        if isinstance(number, Number):
            least, largest = _range(form, spec, v)
            if not least <= number.value <= largest:
                return f"{number.value:#x} is not between {least:#x} and {largest:#x}"
            if not spec.startswith("rel"):
                continue
            away = _distance(form, spec, number, address)
            return f"out of reach: {form.name} reaches 127 bytes ahead, 128 back, not {away}"
    raise AssertionError(form)


def _signed(value: int, size: int) -> int:
    half = 1 << 8 * size - 1
    return (value & MASK[size] ^ half) - half


def _distance(form: Form, spec: str, target: Number, address: int) -> int:
    """From the end of the jump to its target; addresses wrap at 4 GiB."""
    return _signed(target.value - address - len(form.opcode) - int(spec[3]), 4)


# -- the bytes ------------------------------------------------------------------------------


def _bytes(form: Form, given: Sequence[Written], v: int, address: int, short: bool) -> bytes:
    opcode, number, rm, tail = bytearray(form.opcode), 0, None, b""
    if form.modrm[:1] == "/" and form.modrm != "/r":
        number = int(form.modrm[1])
    for spec, operand in zip(form.written, given):
        if isinstance(operand, Number):
            tail += _number(form, spec, v, operand, address)
        elif spec.startswith("moffs"):
            assert isinstance(operand, Memory)
            tail += (operand.displacement & MASK[4]).to_bytes(4, "little")
        elif spec.startswith("rm") or spec in ("xmm16", "m4", "m6"):
            rm = operand
        elif spec not in ("al", "eaxv", "dx"):
            assert isinstance(operand, Register)
            if form.modrm == "+r":
                opcode[-1] += operand.number
            else:
                number = operand.number
    modrm = _modrm(number, rm, short) if form.modrm[:1] == "/" else b""
    return bytes(opcode) + modrm + tail


def _number(form: Form, spec: str, v: int, number: Number, address: int) -> bytes:
    if spec.startswith("rel"):
        width, value = int(spec[3]), _distance(form, spec, number, address)
    else:
        width, value = 1 if spec == "simm8" else operand_size(spec, v), number.value
    return (value & MASK[width]).to_bytes(width, "little")


def _modrm(number: int, rm: Written | None, short: bool) -> bytes:
    if isinstance(rm, Register):
        return bytes([0xC0 | number << 3 | rm.number])
    assert isinstance(rm, Memory)
    field = number << 3
    if rm.base is None and rm.index is None:
        return bytes([field | 5]) + (rm.displacement & MASK[4]).to_bytes(4, "little")
    mode, width = 2, 4
    if rm.base is None:
        mode = 0
    elif short and rm.displacement == 0 and rm.base != 5:
        mode, width = 0, 0
    elif short and -128 <= rm.displacement < 128:
        mode, width = 1, 1
    displacement = (rm.displacement & (1 << 8 * width) - 1).to_bytes(width, "little")
    if rm.index is None and rm.base != ESP:
        assert rm.base is not None
        return bytes([mode << 6 | field | rm.base]) + displacement
    index = 4 if rm.index is None else rm.index
    sib = (rm.scale.bit_length() - 1) << 6 | index << 3 | (5 if rm.base is None else rm.base)
    return bytes([mode << 6 | field | 4, sib]) + displacement
