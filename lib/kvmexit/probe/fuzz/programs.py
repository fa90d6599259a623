"""Random guest programs, and random things that a VMM does to them on the way.

Instructions are drawn from the table that the simulated kernel executes, so each encoding of
the subset comes up. Addresses are drawn from where accesses are difficult: page ends, the end
of RAM, the end of the address space.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from kvmexit.exits import GPR_NAMES
from kvmexit.guest.forms import FORMS, Form
from kvmexit.guest.x86 import LOCKABLE, operand_size
from kvmexit.probe.cases import ORIGIN, RAM, Case

HLT, OPERAND_SIZE, REPEAT, LOCK = b"\xf4", b"\x66", b"\xf3", b"\xf0"
MSR = 0xDEAD0000
"""MSRs from here on are known to no processor, so they go to userspace."""

PLACES = (
    (0x2000, 0x3000, 0x3FFE, 0x4FFF, 0x8000),  # RAM
    (RAM - 4, RAM - 2, RAM - 1),  # its end
    (RAM, 0xD0024, 0xD0040, 0xD0FFD, 0xD0FFF, 0xFED40024, 0xFFFFFFFD),  # MMIO
)
POLICIES = ("none", "kick-once", "serve-once", "drain")
RESTORES = ("new-vm", "same-vcpu", "earlier", "changed")


@dataclass(frozen=True, slots=True)
class Save:
    """At the ``exit``-th exit: serve it or not, stop by ``policy``, restore by ``restore``.

    ``new-vm`` and ``same-vcpu`` restore what was saved; ``earlier`` loads the beginning into
    the vCPU as it is; ``changed`` loads what was saved with ``registers`` replaced.
    """

    exit: int
    served: bool
    policy: str
    restore: str
    registers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Program:
    """Instructions, what they begin with, and the saves on the way."""

    seed: int
    instructions: tuple[bytes, ...]
    registers: dict[str, int]
    ram: tuple[tuple[int, bytes], ...]
    saves: tuple[Save, ...]

    def case(self) -> Case:
        """The code, with ``hlt`` in all RAM where nothing else is."""
        ram = ((0, HLT * RAM), *self.ram)
        return Case(f"seed {self.seed}", b"".join(self.instructions) + HLT, self.registers, ram)


def program(seed: int) -> Program:
    """The program with this number: always the same one."""
    rng = Random(seed)
    instructions = _instructions(rng, rng.randint(1, 8))
    registers = {name: _value(rng) for name in GPR_NAMES}
    registers["ecx"] = _count(rng)
    if rng.random() < 0.8:
        registers["esp"] = rng.choice((0x8000, 0x7FFE, 0xD0100, 0xD1002))
    # CF, PF, AF, ZF, SF, OF as they come, and DF often
    registers["rflags"] = rng.choice((2, 2, 0x402, rng.getrandbits(12) & 0xCD5 | 2))
    registers |= {f"xmm{n}": rng.getrandbits(128) for n in range(8)}
    ram = tuple(
        (place, rng.randbytes(min(32, RAM - place)))
        for place in (*PLACES[0], 0x1FF8, RAM - 32)
        if rng.random() < 0.7
    )
    saves = sorted((_save(rng) for _ in range(rng.randint(0, 3))), key=lambda save: save.exit)
    return Program(seed, instructions, registers, ram, tuple(saves))


def _save(rng: Random) -> Save:
    exit = rng.choice((0, 0, 1, 1, 2, 3, rng.randint(0, 30)))
    registers = {}
    restore = rng.choice(RESTORES)
    if restore == "changed":
        names = (*GPR_NAMES, "rip", "xmm0", "rflags")
        registers = {name: _replaced(rng, name) for name in rng.sample(names, rng.randint(1, 3))}
    return Save(exit, rng.random() < 0.75, rng.choice(POLICIES), restore, registers)


def _replaced(rng: Random, name: str) -> int:
    match name:
        case "rip":
            return rng.choice((ORIGIN, 0x100, 0x6000))
        case "rflags":
            return rng.getrandbits(12) & 0xCD5 | 2
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


def _instructions(rng: Random, length: int) -> tuple[bytes, ...]:
    forms = [rng.choice(FORMS) for _ in range(length)]
    encoded: list[bytes] = []
    for form in reversed(forms):  # jumps lead forward: what follows them must be known
        encoded.insert(0, _encode(rng, form, encoded))
    return tuple(encoded)


def _encode(rng: Random, form: Form, following: list[bytes]) -> bytes:
    """A random instance of one encoding, prefixes included."""
    v, prefix = 4, b""
    if any(s.endswith("v") for s in form.operands) or form.operands == ("simm8",):
        if rng.random() < 0.3:
            v, prefix = 2, OPERAND_SIZE
    if form.string and rng.random() < 0.6:
        prefix += REPEAT
    memory = rng.random() < 0.8 or "m4" in form.operands
    if memory and form.name in LOCKABLE and form.operands[0][:2] == "rm" and rng.random() < 0.2:
        prefix += LOCK
    opcode = form.opcode
    if form.modrm == "+r":
        opcode = opcode[:-1] + bytes([opcode[-1] | rng.randrange(8)])
    code = prefix + opcode
    if form.modrm[:1] == "/":
        number = rng.randrange(8) if form.modrm == "/r" else int(form.modrm[1])
        code += _modrm(rng, number, memory)
    for spec in form.operands:
        code += _tail(rng, spec, v, following)
    if form.name in ("rdmsr", "wrmsr"):
        index = MSR + rng.randrange(4)
        code = b"\xb9" + index.to_bytes(4, "little") + code
    return code


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
