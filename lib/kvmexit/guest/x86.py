"""Machine code: decode bytes into an instruction.

32-bit protected mode, flat segments: a linear address is a physical address, and a segment
prefix changes nothing, but that nobody writes through cs (such an access is refused). Nor does
``rep`` before ``ret``, which compilers emit. The subset is what this book's guests need (see
:mod:`arithmetic`, :mod:`moves`, :mod:`strings`, :mod:`system`); anything else is refused with its
bytes and its address.

The simulated kernel differs from the real one there, by design: it raises KvmExitError where a
real one

- runs an instruction that is none of these, or an encoding of one of them that is not listed
  (``82``, ``f6 /1``, ``c2``, a prefix that changes nothing, address size, the 16-bit forms of
  jumps, calls and ``lea``), loads a null selector or a descriptor table (see :mod:`system`);
- ends in SHUTDOWN, as the guest has no handlers: an undefined opcode (``0f 0b``, ``mov cs``),
  ``lock`` where it is not allowed (``f0 89``);
- ends in INTERNAL_ERROR, suberror 1, where its emulator has no such instruction (``int``,
  ``lea`` of a register, and much of x87 and SSE on a device).

What the subset itself can raise is the same on both: the trap of TF, the general protection fault
of an instruction longer than 15 bytes, a division that has no quotient, a selector that has no
descriptor, an MSR that userspace refuses.
"""

from __future__ import annotations

from kvmexit.errors import KvmExitError, said
from kvmexit.guest import arithmetic, moves, strings, system  # noqa: F401  # they fill FORMS
from kvmexit.guest.cpu import (
    EAX,
    Immediate,
    Memory,
    Operand,
    Register,
    Relative,
    Segment,
)
from kvmexit.guest.forms import COMPARING, FORMS, OUTSIDE, TABLE_REGISTER, Form, Insn

OPERAND_SIZE, REPEAT, REPEAT_NOT_EQUAL, LOCK = 0x66, 0xF3, 0xF2, 0xF0
CODE_SEGMENT = 0x2E
SEGMENTS = (0x26, CODE_SEGMENT, 0x36, 0x3E, 0x64, 0x65)
PREFIXES = (OPERAND_SIZE, REPEAT, REPEAT_NOT_EQUAL, LOCK, *SEGMENTS)
LOCKABLE = set("add or adc sbb and sub xor inc dec not neg xadd cmpxchg xchg".split())
DX = Register(2, 2)


def operand_size(spec: str, v: int) -> int:
    """The size in bytes of an operand written ``spec``, where ``v`` is that of the instruction."""
    if spec in ("al", "b") or spec.endswith("8"):
        return 1
    if spec in ("dx", "sreg") or spec.endswith("2"):
        return 2
    if spec.startswith("xmm"):
        return 16
    if spec == "m6":
        return TABLE_REGISTER
    return 4 if spec.endswith("4") else v


def memory_size(spec: str, v: int) -> int:
    """The same where the operand is in memory: of a segment register that is two bytes."""
    return 2 if spec == "rm2v" else operand_size(spec, v)


def _form_size(form: Form, v: int) -> int:
    """What ``Insn.size`` is: the size of the first operand that is not a port."""
    specs = [s for s in form.operands if s not in ("dx", "imm2", "imm8", "simm8", "sreg")] or ["v"]
    return operand_size(specs[0], v)


def uses_v(form: Form) -> bool:
    """Does the operand-size prefix choose among sizes of this form?"""
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
    index[b"\x90"].sort(key=lambda form: form.name)  # nop is not xchg eax, eax, but 66 90 is
    return index


OPCODES = _index()


LONGEST = 15
"""Bytes of the longest instruction: a longer one is #GP (Intel SDM volume 2, 2.3.11)."""


class Truncated(KvmExitError):
    """The bytes end before the instruction does."""


class TooLong(KvmExitError):
    """The instruction has more bytes than a processor takes: it raises #GP instead."""


class _Reader:
    def __init__(self, code: bytes) -> None:
        self.code, self.at = code, 0

    def take(self, size: int, signed: bool = False) -> int:
        end = self.at + size
        if end > LONGEST:
            raise TooLong
        if end > len(self.code):
            raise EOFError
        value = int.from_bytes(self.code[self.at : end], "little", signed=signed)
        self.at = end
        return value


def decode(code: bytes, address: int) -> Insn:
    """The instruction at the beginning of ``code``, which stands at ``address``.

    Raises Truncated if ``code`` ends before the instruction does, TooLong beyond 15 bytes, and
    KvmExitError for anything outside the subset; all name bytes and address.
    """
    if not isinstance(code, bytes | bytearray | memoryview) or not isinstance(address, int):
        raise KvmExitError(f"decode takes bytes and their address, not {said((code, address))}")
    try:
        return _decode(_Reader(code))
    except EOFError:
        raise Truncated(
            f"the instruction at {address:#x} is cut off: its bytes end after {code.hex(' ')!r}"
        ) from None
    except TooLong:
        raise TooLong(
            f"the instruction at {address:#x} has more than {LONGEST} bytes, which no processor"
            f" takes (#GP): {code[:LONGEST].hex(' ')}"
        ) from None
    except (LookupError, ValueError):
        raise KvmExitError(
            f"{OUTSIDE} at {address:#x}: bytes {code[:8].hex(' ')}"
            " (`kvmexit probe --kernel real` may know it)"
        ) from None


def _decode(reader: _Reader) -> Insn:
    prefixes = set()
    first = reader.take(1)
    while first in PREFIXES:
        prefixes.add(first)
        first = reader.take(1)
    v = 2 if OPERAND_SIZE in prefixes else 4
    opcode = bytes([first])
    if opcode == b"\x0f":
        opcode += bytes([reader.take(1)])
    forms = OPCODES[opcode]
    modrm = reader.take(1) if forms[0].modrm not in ("", "+r") else 0
    number = modrm >> 3 & 7
    fitting = [f for f in forms if f.modrm in ("", "+r", "/r", f"/{number}")]
    form = next((f for f in fitting if v == 2 and uses_v(f)), fitting[0])
    repne = REPEAT_NOT_EQUAL in prefixes
    rep = repne or REPEAT in prefixes and form.name != "ret"
    if repne and (form.name not in COMPARING or REPEAT in prefixes):
        raise ValueError("repne")
    if rep and not form.string or v == 2 and not uses_v(form):
        raise ValueError("prefix")  # before the operands are read: it may change their length
    rm: Register | Memory | None = None
    if form.modrm not in ("", "+r"):
        rm = _modrm_operand(reader, modrm)
    operands = tuple(
        operand
        for spec in form.operands
        if (operand := _operand(reader, spec, v, opcode[-1] & 7, number, rm)) is not None
    )
    size = _form_size(form, v)
    if "rm2v" in form.operands and isinstance(rm, Memory):
        size = 2
    insn = Insn(form, operands, size, reader.at, rep, LOCK in prefixes, repne)
    _check_operands(insn, CODE_SEGMENT in prefixes)
    return insn


def _check_operands(insn: Insn, through_cs: bool) -> None:
    """Refuse what a prefix makes of the memory operand, or asks of one that is not there; and
    a load of cs."""
    form, in_memory = insn.form, any(isinstance(o, Memory) for o in insn.operands)
    if through_cs and (form.string or in_memory and "m4" not in form.operands):
        raise ValueError("cs")
    if form.operands[:1] == ("sreg",) and str(insn.operands[0]) == "cs":
        raise ValueError("mov cs")  # #UD
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
        case "sreg":
            return Segment(number)
        case "imm2" | "imm8" | "immv":
            return Immediate(reader.take(size), size)
        case "rel1" | "rel4":
            width = int(spec[3])
            return Relative(reader.take(width, signed=True), width)
        case "moffs8" | "moffsv":
            return Memory(reader.take(4, signed=True), None, None, 1, size)
        case "xmm":
            return Register(number, 16)
    if spec.startswith("rm") or spec in ("xmm16", "m4", "m6"):
        if isinstance(rm, Register):
            if spec in ("m4", "m6"):
                raise ValueError(spec)
            return Register(rm.number, size)
        assert rm is not None
        return Memory(rm.displacement, rm.base, rm.index, rm.scale, memory_size(spec, v))
    return Register(number if rm is not None else low, size)
