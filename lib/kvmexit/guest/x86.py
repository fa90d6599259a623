"""Machine code: decode bytes into an instruction, encode an instruction into bytes.

32-bit protected mode, flat segments: a linear address is a physical address. The subset is
what this book's guests need (see :mod:`arithmetic`, :mod:`moves`, :mod:`strings`); anything
else is refused with its bytes and its address.

The simulated kernel differs from the real one there, by design: it raises KvmExitError where a
real one

- runs an instruction that is none of these, or an encoding of one of them that is not listed
  (``82``, ``f6 /1``, ``91`` to ``97``, ``c2``, a prefix that changes nothing, segment overrides,
  address size, the 16-bit forms of jumps, calls and ``lea``);
- ends in SHUTDOWN, as the guest has no handlers: an undefined opcode (``0f 0b``), ``lock`` where
  it is not allowed (``f0 89``), a division by 0, a segment that cannot be loaded;
- ends in INTERNAL_ERROR, suberror 1, where its emulator has no such instruction (``int``,
  ``lea`` of a register, and much of x87 and SSE on a device).

What exceptions the subset itself can raise are the same on both: the trap of TF, and the general
protection fault of an instruction longer than 15 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from kvmexit.errors import KvmExitError
from kvmexit.guest import arithmetic, moves, strings  # noqa: F401 - they fill FORMS
from kvmexit.guest.cpu import (
    EAX,
    ESP,
    REGISTER_NAMES,
    Immediate,
    Memory,
    Operand,
    Register,
    Relative,
)
from kvmexit.guest.forms import FORMS, Form, Insn

OPERAND_SIZE, REPEAT, LOCK = 0x66, 0xF3, 0xF0
LOCKABLE = set("add or adc sbb and sub xor inc dec not neg xadd cmpxchg xchg".split())
DX = Register(2, 2)
OUTSIDE = "no instruction of the subset"
"""How the refusal of anything else begins."""


def operand_size(spec: str, v: int) -> int:
    """The size in bytes of an operand written ``spec``, where ``v`` is that of the instruction."""
    if spec in ("al", "b") or spec.endswith("8"):
        return 1
    if spec == "dx" or spec.endswith("2"):
        return 2
    if spec.startswith("xmm"):
        return 16
    return 4 if spec.endswith("4") else v


def _form_size(form: Form, v: int) -> int:
    """What ``Insn.size`` is: the size of the first operand that is not a port."""
    specs = [s for s in form.operands if s not in ("dx", "imm8", "simm8")] or ["v"]
    return operand_size(specs[0], v)


def _uses_v(form: Form) -> bool:
    return any(spec.endswith("v") for spec in form.operands) or form.operands == ("simm8",)


def _index() -> dict[bytes, list[Form]]:
    """Opcode bytes -> its forms (several where ModRM extends the opcode)."""
    index: dict[bytes, list[Form]] = {}
    for form in FORMS:
        opcodes = [form.opcode]
        if form.modrm == "+r":
            opcodes = [form.opcode[:-1] + bytes([form.opcode[-1] + r]) for r in range(8)]
        for opcode in opcodes:
            index.setdefault(opcode, []).append(form)
    return index


OPCODES = _index()


class CutShortError(KvmExitError):
    """An instruction goes on where the given bytes end."""


class _Reader:
    def __init__(self, code: bytes) -> None:
        self.code, self.at = code, 0

    def take(self, size: int, signed: bool = False) -> int:
        end = self.at + size
        if end > len(self.code):
            raise CutShortError(f"an instruction is cut short: bytes {self.code.hex(' ')}")
        value = int.from_bytes(self.code[self.at : end], "little", signed=signed)
        self.at = end
        return value


def decode(code: bytes, address: int) -> Insn:
    """The instruction at the beginning of ``code``, which stands at ``address``.

    Raises CutShortError if it goes on behind ``code``, and KvmExitError for anything outside
    the subset, naming bytes and address.
    """
    try:
        return _decode(_Reader(code))
    except (LookupError, ValueError, StopIteration):
        raise KvmExitError(
            f"{OUTSIDE} at {address:#x}: bytes {code[:8].hex(' ')}"
            " (`kvmexit probe --kernel real` may know it)"
        ) from None


def _decode(reader: _Reader) -> Insn:
    prefixes = set()
    while (byte := reader.take(1)) in (OPERAND_SIZE, REPEAT, LOCK):
        prefixes.add(byte)
    v = 2 if OPERAND_SIZE in prefixes else 4
    opcode = bytes([byte])
    if opcode == b"\x0f":
        opcode += bytes([reader.take(1)])
    forms = OPCODES[opcode]
    modrm = reader.take(1) if forms[0].modrm not in ("", "+r") else 0
    number = modrm >> 3 & 7
    form = next(f for f in forms if f.modrm in ("", "+r", "/r", f"/{number}"))
    rm: Register | Memory | None = None
    if form.modrm not in ("", "+r"):
        rm = _modrm_operand(reader, modrm)
    operands = tuple(
        operand
        for spec in form.operands
        if (operand := _operand(reader, spec, v, opcode[-1] & 7, number, rm)) is not None
    )
    insn = Insn(
        form, operands, _form_size(form, v), reader.at, REPEAT in prefixes, LOCK in prefixes
    )
    _check_prefixes(insn, v)
    return insn


def _check_prefixes(insn: Insn, v: int) -> None:
    form = insn.form
    if insn.rep and not form.string:
        raise ValueError("rep")
    if v == 2 and not _uses_v(form):
        raise ValueError("operand size")
    if insn.lock and not (form.name in LOCKABLE and isinstance(insn.operands[0], Memory)):
        raise ValueError("lock")


def _modrm_operand(reader: _Reader, modrm: int) -> Register | Memory:
    """The operand that ModRM (and SIB) describe; its size is set by who uses it."""
    mode, rm = modrm >> 6, modrm & 7
    if mode == 3:
        return Register(rm, 4)
    base: int | None = rm
    index, scale = None, 1
    if rm == 4:
        sib = reader.take(1)
        base, scale = sib & 7, 1 << (sib >> 6)
        index = None if sib >> 3 & 7 == 4 else sib >> 3 & 7
    if mode == 0 and base == 5:
        return Memory(reader.take(4, signed=True), None, index, scale, 4)
    displacement = 0 if mode == 0 else reader.take(1 if mode == 1 else 4, signed=True)
    return Memory(displacement, base, index, scale, 4)


def _operand(
    reader: _Reader, spec: str, v: int, low: int, number: int, rm: Register | Memory | None
) -> Operand | None:
    size = operand_size(spec, v)
    match spec:
        case "b" | "v":
            return None
        case "al" | "eaxv":
            return Register(EAX, size)
        case "dx":
            return DX
        case "simm8":
            return Immediate(reader.take(1, signed=True), v)
        case "imm8" | "immv":
            return Immediate(reader.take(size), size)
        case "rel1" | "rel4":
            width = int(spec[3])
            return Relative(reader.take(width, signed=True), width)
        case "moffs8" | "moffsv":
            return Memory(reader.take(4, signed=True), None, None, 1, size)
        case "xmm":
            return Register(number, 16)
    if spec.startswith("rm") or spec in ("xmm16", "m4"):
        if isinstance(rm, Register):
            if spec == "m4":
                raise ValueError(spec)
            return Register(rm.number, size)
        assert rm is not None
        return Memory(rm.displacement, rm.base, rm.index, rm.scale, size)
    return Register(number if rm is not None else low, size)


# ---------------------------------------------------------------------------- encoding


def encode(name: str, operands: Iterable[Operand], *, size: int, rep: bool, lock: bool) -> bytes:
    """The shortest-listed encoding of ``name`` with ``operands``; LookupError if there is none.

    ``size`` is the element size of a string instruction, else ignored.
    """
    given = tuple(operands)
    for form in FORMS:
        if form.name == name:
            for v in (4, 2):
                code = _try_form(form, given, v, size)
                if code is not None:
                    prefix = b"\xf0" * lock + b"\xf3" * rep
                    if v == 2:
                        if not _uses_v(form):
                            continue
                        prefix += b"\x66"
                    return prefix + code
    raise LookupError(name)


def _try_form(form: Form, given: tuple[Operand, ...], v: int, size: int) -> bytes | None:
    if form.operands in (("b",), ("v",)):
        return form.opcode if operand_size(form.operands[0], v) == size and not given else None
    if len(form.operands) != len(given):
        return None
    opcode, number, rm, tail = bytearray(form.opcode), 0, None, b""
    if form.modrm[:1] == "/" and form.modrm != "/r":
        number = int(form.modrm[1])
    for spec, operand in zip(form.operands, given, strict=True):
        if not _fits(spec, operand, operand_size(spec, v)):
            return None
        if isinstance(operand, Relative):
            tail += operand.distance.to_bytes(operand.size, "little", signed=True)
        elif isinstance(operand, Immediate):
            tail += _immediate(operand, 1 if spec in ("imm8", "simm8") else v)
        elif spec.startswith("moffs"):
            assert isinstance(operand, Memory)
            tail += (operand.displacement & 0xFFFFFFFF).to_bytes(4, "little")
        elif spec.startswith("rm") or spec in ("xmm16", "m4"):
            rm = operand
        elif spec not in ("al", "eaxv", "dx"):
            assert isinstance(operand, Register)
            if form.modrm == "+r":
                opcode[-1] += operand.number
            else:
                number = operand.number
    return bytes(opcode) + (_encode_modrm(number, rm) if form.modrm[:1] == "/" else b"") + tail


def _immediate(operand: Immediate, size: int) -> bytes:
    return (operand.value & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def _fits(spec: str, operand: Operand, size: int) -> bool:
    match operand:
        case Register():
            fixed = {"al": EAX, "eaxv": EAX, "dx": 2}
            if spec in fixed:
                return operand.number == fixed[spec] and operand.size == size
            register = spec[0] == "r" and not spec.startswith("rel") or spec.startswith("xmm")
            return register and operand.size == size
        case Memory():
            if spec.startswith("moffs"):
                return operand.base is None and operand.index is None and operand.size == size
            return (spec.startswith("rm") or spec in ("xmm16", "m4")) and operand.size == size
        case Immediate():
            if spec == "simm8":
                half = 1 << 8 * operand.size - 1
                return -128 <= (operand.value ^ half) - half < 128
            return spec in ("imm8", "immv") and operand.value < 1 << 8 * size
        case Relative():
            return spec == f"rel{operand.size}"


def _encode_modrm(number: int, rm: Operand | None) -> bytes:
    if isinstance(rm, Register):
        return bytes([0xC0 | number << 3 | rm.number])
    assert isinstance(rm, Memory)
    field = number << 3
    if rm.base is None and rm.index is None:
        return bytes([field | 5]) + (rm.displacement & 0xFFFFFFFF).to_bytes(4, "little")
    mode, width = 2, 4
    if rm.base is None:
        mode = 0
    elif rm.displacement == 0 and rm.base != 5:
        mode, width = 0, 0
    elif -128 <= rm.displacement < 128:
        mode, width = 1, 1
    displacement = (rm.displacement & (1 << 8 * width) - 1).to_bytes(width, "little")
    if rm.index is None and rm.base != ESP:
        assert rm.base is not None
        return bytes([mode << 6 | field | rm.base]) + displacement
    index = 4 if rm.index is None else rm.index
    sib = (rm.scale.bit_length() - 1) << 6 | index << 3 | (5 if rm.base is None else rm.base)
    return bytes([mode << 6 | field | 4, sib]) + displacement


REGISTERS = {
    name: Register(number, size)
    for size, names in REGISTER_NAMES.items()
    for number, name in enumerate(names)
}
