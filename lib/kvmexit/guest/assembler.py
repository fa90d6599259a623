"""Assembler: text with labels to machine code, and machine code to a listing."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kvmexit.errors import KvmExitError
from kvmexit.exits import GPR_NAMES
from kvmexit.guest.cpu import Immediate, Memory, Operand, Relative
from kvmexit.guest.forms import FORMS
from kvmexit.guest.moves import ALIASES
from kvmexit.guest.x86 import REGISTERS, decode, encode

SIZES = {"byte": 1, "word": 2, "dword": 4, "xmmword": 16}
_STRING = re.compile(rf"({'|'.join(sorted({form.name for form in FORMS if form.string}))})([bwd])$")
_RELATIVE = re.compile(r"(j[a-z]+|loop|call)$")
_TERM = re.compile(r"\s*([+-]?)\s*([^\s+-][^+-]*)")


@dataclass(frozen=True)
class Program:
    """Machine code and where it belongs: ``code`` at ``origin``, ``labels`` as addresses."""

    origin: int
    code: bytes
    labels: dict[str, int] = field(default_factory=dict)

    def listing(self) -> str:
        """Address, bytes and text of every instruction, one a line, labels between."""
        names = {address: name for name, address in self.labels.items()}
        rows, at = [], 0
        while at < len(self.code):
            address = self.origin + at
            insn = decode(self.code[at : at + 15], address)
            rows.append((address, self.code[at : at + insn.length].hex(" "), insn.text(address)))
            at += insn.length
        wide = max((len(raw) for _, raw, _ in rows), default=0)
        lines = []
        for address, raw, text in rows:
            if address in names:
                lines.append(f"{names[address]}:")
            lines.append(f"  {address:04x}  {raw:<{wide}}  {text}")
        return "\n".join(lines)


@dataclass
class _Line:
    number: int
    source: str
    wide: bool = False  # a jump that did not fit into one byte


def assemble(source: str, origin: int = 0x1000, **names: int) -> Program:
    """Assemble ``source`` for ``origin``; ``names`` are constants that the text may use.

    One instruction or ``label:`` a line, ``;`` begins a comment. Raises KvmExitError with
    the line's number and text.
    """
    lines = [
        _Line(number, text)
        for number, raw in enumerate(source.splitlines(), 1)
        if (text := raw.split(";")[0].strip())
    ]
    labels = {line.source[:-1]: origin for line in lines if line.source.endswith(":")}
    while True:
        # Jumps start short; one that does not reach is widened, until nothing changes.
        before = dict(labels), [line.wide for line in lines]
        code, found = b"", {}
        for line in lines:
            if line.source.endswith(":"):
                found[line.source[:-1]] = origin + len(code)
            else:
                code += _encode_line(line, origin + len(code), {**names, **labels})
        labels = found
        if before == (labels, [line.wide for line in lines]):
            return Program(origin, code, labels)


def _encode_line(line: _Line, address: int, names: dict[str, int]) -> bytes:
    try:
        words = line.source.split(None, 1)
        rep = lock = False
        while words[0] in ("rep", "lock"):
            rep, lock = rep or words[0] == "rep", lock or words[0] == "lock"
            words = words[1].split(None, 1)
        name = ALIASES.get(words[0], words[0])
        rest = words[1] if len(words) > 1 else ""
        if match := _STRING.match(name):
            return encode(match[1], (), size={"b": 1, "w": 2, "d": 4}[match[2]], rep=rep, lock=lock)
        if _RELATIVE.match(name) and "[" not in rest and rest not in REGISTERS:
            return _encode_jump(line, name, _number(rest, names) - address)
        texts = [part.strip() for part in rest.split(",")] if rest else []
        return encode(name, _operands(texts, names), size=0, rep=rep, lock=lock)
    except (LookupError, ValueError) as problem:
        raise KvmExitError(
            f"line {line.number}: cannot assemble {line.source!r}"
            + (f" ({problem})" if isinstance(problem, ValueError) else "")
        ) from None


def _encode_jump(line: _Line, name: str, distance: int) -> bytes:
    for size in (1, 4):
        if size == 1 and (line.wide or name == "call"):
            continue
        overhead = len(_relative(name, 0, size))
        half = 1 << 8 * size - 1
        if -half <= distance - overhead < half:
            return _relative(name, distance - overhead, size)
        line.wide = True
    raise ValueError("the target is out of reach")


def _relative(name: str, distance: int, size: int) -> bytes:
    return encode(name, [Relative(distance, size)], size=0, rep=False, lock=False)


def _operands(texts: list[str], names: dict[str, int]) -> list[Operand]:
    """Parse operands; memory and constants take the size of the register beside them."""
    register = next((REGISTERS[t].size for t in texts if t in REGISTERS and t != "dx"), 4)
    stated = next((SIZES[t.split()[0]] for t in texts if t.split()[0] in SIZES), register)
    operands: list[Operand] = []
    for text in texts:
        size, text = (
            (SIZES[text.split()[0]], text.split(None, 1)[1])
            if (text.split()[0] in SIZES)
            else (register, text)
        )
        if text in REGISTERS:
            operands.append(REGISTERS[text])
        elif text.startswith("["):
            operands.append(_memory(text[1:-1], size, names))
        else:
            operands.append(Immediate(_number(text, names), stated))
    return operands


def _memory(text: str, size: int, names: dict[str, int]) -> Memory:
    displacement, base, index, scale = 0, None, None, 1
    for sign, term in _TERM.findall(text):
        name, _, factor = (part.strip() for part in term.partition("*"))
        if name in GPR_NAMES:
            if base is None and not factor:
                base = GPR_NAMES.index(name)
            else:
                index, scale = GPR_NAMES.index(name), int(factor or 1)
        else:
            displacement += _number(term.strip(), names) * (-1 if sign == "-" else 1)
    displacement = (displacement & 0xFFFFFFFF ^ 0x80000000) - 0x80000000
    return Memory(displacement, base, index, scale, size)


def _number(text: str, names: dict[str, int]) -> int:
    if text in names:
        return names[text]
    if "+" in text or "-" in text[1:]:
        return sum(
            _number(term.strip(), names) * (-1 if sign == "-" else 1)
            for sign, term in _TERM.findall(text)
        )
    return int(text, 0)
