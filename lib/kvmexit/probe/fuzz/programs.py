"""Random guest programs, and random things that a VMM does to them on the way.

Instructions are drawn from the table that the simulated kernel executes, so each encoding of
the subset comes up. Addresses are drawn from where accesses are difficult: page ends, the end
of RAM, the end of the address space.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from kvmexit.exits import GPR_NAMES
from kvmexit.guest.cpu import EAX, ECX, EDX, TF
from kvmexit.guest.forms import COMPARING, FORMS, Form
from kvmexit.guest.x86 import LOCKABLE, operand_size
from kvmexit.kernel.msrs import CLOCKS, COMMON, Msr
from kvmexit.probe.cases import ORIGIN, RAM, Case
from kvmexit.probe.verdict import REFUSED
from kvmexit.vmm.machine import SAVED

HLT, ZERO, OPERAND_SIZE, LOCK = b"\xf4", b"\0", b"\x66", b"\xf0"
REPEAT, REPEAT_NOT_EQUAL = b"\xf3", b"\xf2"
MSRS = (*range(0xDEAD0000, 0xDEAD0004), REFUSED[0])
"""MSRs that are known to no processor, so they go to userspace; it refuses the last."""
MSR_VALUES = (0, 1, 6, 0x800, 0xFFF, 0x0606060606060606, 0xFFFFFFFF, (1 << 64) - 1)
FLAGS = 0x3F7ED7
"""The flags that a processor has, but for TF: it ends a program at once, so it is drawn apart."""

PLACES = (
    (0x2000, 0x3000, 0x3FFE, 0x4FFF, 0x8000),  # RAM
    (RAM - 4, RAM - 2, RAM - 1),  # its end
    (RAM, 0xD0024, 0xD0040, 0xD0FFD, 0xD0FFF, 0xFED40024, 0xFFFFFFFD),  # MMIO
)
WEIGHTS = tuple(0.1 if form.name in ("lgdt", "lidt") else 1 for form in FORMS)
"""How often a form is drawn: from a device, ``lgdt`` never ends, and MOST_EXITS is a long time."""
POLICIES = ("none", "kick-once", "serve-once", "drain")
RESTORES = ("new-vm", "same-vcpu", "earlier", "changed")


@dataclass(frozen=True, slots=True)
class Save:
    """At the ``exit``-th exit: serve it or not, stop by ``policy``, restore by ``restore``.

    ``new-vm`` and ``same-vcpu`` restore what was saved; ``earlier`` loads the beginning into
    the vCPU as it is; ``changed`` loads what was saved with ``registers`` replaced. ``saved`` is
    a key of :data:`kvmexit.vmm.machine.SAVED`.
    """

    exit: int
    served: bool
    policy: str
    restore: str
    registers: dict[str, int] = field(default_factory=dict)
    saved: str = "whole"


@dataclass(frozen=True, slots=True)
class Program:
    """Instructions, what they begin with, and the saves on the way.

    ``fill`` is the byte in all RAM where nothing else is; ``again`` how often KVM_RUN is called
    once more after the end. A ``rip`` in ``registers`` leads to code in ``ram``.
    """

    seed: int
    instructions: tuple[bytes, ...]
    registers: dict[str, int]
    ram: tuple[tuple[int, bytes], ...]
    saves: tuple[Save, ...]
    fill: bytes = HLT
    again: int = 0

    def case(self) -> Case:
        """The code, with ``fill`` around it."""
        ram = ((0, self.fill * RAM), *self.ram)
        return Case(f"seed {self.seed}", b"".join(self.instructions) + HLT, self.registers, ram)


def program(seed: int) -> Program:
    """The program with this number: always the same one."""
    rng = Random(seed)
    step = TF if rng.random() < 0.05 else 0
    # What a kept MSR reads as is the kernel's own affair, and a trap would show it.
    instructions = _instructions(rng, rng.randint(1, 8), msrs=not step)
    registers = {name: _value(rng) for name in GPR_NAMES}
    registers["ecx"] = _count(rng)
    if rng.random() < 0.8:
        registers["esp"] = rng.choice((0x8000, 0x7FFE, 0xD0100, 0xD1002))
    registers["rflags"] = _flags(rng) | step
    registers |= {f"xmm{n}": rng.getrandbits(128) for n in range(8)}
    ram = tuple(
        (place, rng.randbytes(min(32, RAM - place)))
        for place in (*PLACES[0], 0x1FF8, RAM - 32)
        if rng.random() < 0.7
    )
    fill = HLT if rng.random() < 0.997 else ZERO
    if rng.random() < 0.1:  # at the end of RAM, mostly cut off by it
        place = RAM - rng.randint(1, 15)
        code = b"".join(_instructions(rng, 3, msrs=False)) + HLT
        registers["rip"], fill = place, rng.choice((HLT, ZERO))
        ram = (*ram, (place, code[: RAM - place]))
    saves = sorted((_save(rng, step) for _ in range(rng.randint(0, 3))), key=lambda s: s.exit)
    again = rng.choice((0, 0, 0, 1, 2))
    return Program(seed, instructions, registers, ram, tuple(saves), fill, again)


def _flags(rng: Random) -> int:
    """Arithmetic flags as they come and DF often, or any flag."""
    arithmetic = rng.getrandbits(12) & 0xCD5 | 2
    return rng.choice((2, 0x402, arithmetic, rng.getrandbits(22) & FLAGS))


def _save(rng: Random, step: int) -> Save:
    exit = rng.choice((0, 0, 1, 1, 2, 3, rng.randint(0, 30)))
    registers = {}
    restore = rng.choice(RESTORES)
    if restore == "changed":
        names = (*GPR_NAMES, "rip", "xmm0", "rflags")
        registers = {name: _replaced(rng, name) for name in rng.sample(names, rng.randint(1, 3))}
        if "rflags" in registers and rng.random() < 0.5:
            registers["rflags"] |= step
    served, policy, saved = rng.random() < 0.75, rng.choice(POLICIES), rng.choice(tuple(SAVED))
    return Save(exit, served, policy, restore, registers, saved)


def _replaced(rng: Random, name: str) -> int:
    match name:
        case "rip":
            return rng.choice((ORIGIN, 0x100, 0x6000))
        case "rflags":
            return _flags(rng)
        case "xmm0":
            return rng.getrandbits(128)
        case "ecx":
            return _count(rng)
    return _value(rng)


def _address(rng: Random) -> int:
    return rng.choice(rng.choice(PLACES)) + rng.choice((0, 0, 0, 1, 2, 8)) & 0xFFFFFFFF


def _value(rng: Random) -> int:
    kind = rng.random()
    if kind < 0.6:
        return _address(rng)
    return rng.getrandbits(32) if kind < 0.8 else rng.getrandbits(8)


def _count(rng: Random) -> int:
    """A repeat count: small, or near a multiple of 1024, where the kernel takes a break."""
    kind = rng.random()
    if kind < 0.04:
        return rng.choice((1024, 2048)) + rng.randint(-2, 2)
    return rng.randint(0, 6) if kind < 0.9 else _value(rng) & 0x1F


def _instructions(rng: Random, length: int, msrs: bool) -> tuple[bytes, ...]:
    """Random instructions; ``msrs`` says whether MSRs that KVM keeps may be read."""
    forms = rng.choices(FORMS, WEIGHTS, k=length)
    encoded: list[bytes] = []
    for form in reversed(forms):  # jumps lead forward: what follows them must be known
        encoded.insert(0, _encode(rng, form, encoded, msrs))
    return tuple(encoded)


def _encode(rng: Random, form: Form, following: list[bytes], msrs: bool) -> bytes:
    """A random instance of one encoding, prefixes included."""
    v, prefix = 4, b""
    if any(s.endswith("v") for s in form.operands) or form.operands == ("simm8",):
        if rng.random() < 0.3:
            v, prefix = 2, OPERAND_SIZE
    if form.string and rng.random() < 0.6:
        compares = form.name in COMPARING and rng.random() < 0.5
        prefix += REPEAT_NOT_EQUAL if compares else REPEAT
    memory = rng.random() < 0.8 or form.operands[-1:] in (("m4",), ("m6",))
    if memory and form.name in LOCKABLE and form.operands[0][:2] == "rm" and rng.random() < 0.2:
        prefix += LOCK
    opcode = form.opcode
    if form.modrm == "+r":
        opcode = opcode[:-1] + bytes([opcode[-1] | rng.randrange(8)])
    code = prefix + opcode
    if form.modrm[:1] == "/":
        number = rng.randrange(8) if form.modrm == "/r" else int(form.modrm[1])
        if "sreg" in form.operands:
            number = rng.choice((0, 2, 3, 4, 5) if form.operands[0] == "sreg" else range(6))
        code += _modrm(rng, number, memory)
    for spec in form.operands:
        code += _tail(rng, spec, v, following)
    if form.name == "rdmsr":
        return _rdmsr(rng, code, msrs)
    return _wrmsr(rng, code) if form.name == "wrmsr" else code


def _rdmsr(rng: Random, code: bytes, known: bool) -> bytes:
    """Unknown to KVM; or known, and the value thrown away."""
    if not known or rng.random() < 0.5:
        return _mov(ECX, rng.choice(MSRS)) + code
    rest = _mov(EAX, _value(rng)) + _mov(EDX, _value(rng))
    return _mov(ECX, _known(rng, (*COMMON, *CLOCKS))) + code + rest


def _wrmsr(rng: Random, code: bytes) -> bytes:
    """Unknown to KVM; or known, with a value that it may take or not. Not a clock of KVM's:
    it would write into RAM, at its own time."""
    if rng.random() < 0.5:
        return _mov(ECX, rng.choice(MSRS)) + code
    value = rng.choice((*MSR_VALUES, rng.getrandbits(64)))
    return (
        _mov(ECX, _known(rng, COMMON))
        + _mov(EAX, value & 0xFFFFFFFF)
        + _mov(EDX, value >> 32)
        + code
    )


def _known(rng: Random, rows: tuple[Msr, ...]) -> int:
    row = rng.choice(rows)
    return rng.randint(row.first, row.last)


def _mov(register: int, value: int) -> bytes:
    return bytes([0xB8 + register]) + value.to_bytes(4, "little")


def _modrm(rng: Random, number: int, memory: bool) -> bytes:
    field = number << 3
    if not memory:
        return bytes([0xC0 | field | rng.randrange(8)])
    kind = rng.random()
    if kind < 0.5:
        return bytes([field | 5]) + _address(rng).to_bytes(4, "little")
    mode, base = rng.choice((0, 1, 2)), rng.randrange(8)
    if mode == 0 and base == 5:
        mode = 1
    displacement = rng.randbytes(1) if mode == 1 else b""
    if mode == 2:
        displacement = rng.choice((0, 1, 0xFFFFFFFC, 0xD0000)).to_bytes(4, "little")
    if base == 4 or kind > 0.85:
        sib = rng.randrange(256) & 0xF8 | base
        return bytes([mode << 6 | field | 4, sib]) + displacement
    return bytes([mode << 6 | field | base]) + displacement


def _tail(rng: Random, spec: str, v: int, following: list[bytes]) -> bytes:
    """Immediate bytes, jump distances and absolute addresses."""
    if spec.startswith("rel"):
        skipped = following[: rng.randint(0, len(following))]
        return len(b"".join(skipped)).to_bytes(int(spec[3]), "little")
    if spec.startswith("moffs"):
        return _address(rng).to_bytes(4, "little")
    if spec == "simm8":
        return rng.randbytes(1)
    if spec.startswith("imm"):
        return (_value(rng) & 0xFFFFFFFF).to_bytes(4, "little")[: operand_size(spec, v)]
    return b""
