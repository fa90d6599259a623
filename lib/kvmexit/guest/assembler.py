"""Assembler: text with labels to machine code, and machine code to a listing.

A line is ``label: instruction ; comment``, each part optional. ``db`` puts bytes: numbers, and
text in quotes. A jump and a number take a short encoding where it holds them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from kvmexit.errors import KvmExitError, said
from kvmexit.guest.encoder import MNEMONICS, encode
from kvmexit.guest.operands import HIGHEST, REGISTERS, SIZES, number, operand
from kvmexit.guest.refusals import wrong_count
from kvmexit.guest.x86 import LONGEST, decode

EQUAL, NOT_EQUAL = ("rep", "repe", "repz"), ("repne", "repnz")
PREFIXES = (*EQUAL, *NOT_EQUAL, "lock")
RESERVED = {*MNEMONICS, *REGISTERS, *SIZES, *PREFIXES, "db", "ptr"}
_LABEL = re.compile(r"\s*([^\s:\"'\[,]+)\s*:")
_NAME = re.compile(r"[A-Za-z_.][\w.]*\Z")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


@dataclass(frozen=True)
class Program:
    """Machine code and where it belongs: ``code`` at ``origin``, ``labels`` as addresses.

    ``data`` are the addresses of bytes that ``db`` has put.
    """

    origin: int
    code: bytes
    labels: dict[str, int] = field(default_factory=dict)
    data: frozenset[int] = field(default=frozenset(), repr=False)

    def rows(self) -> list[tuple[int, bytes, str]]:
        """Address, bytes and text of every instruction, and of every run of data.

        Raises KvmExitError at the first instruction that is not in the subset.
        """
        rows, at = list[tuple[int, bytes, str]](), 0
        while at < len(self.code):
            address = self.origin + at
            if length := self._data_at(address):
                text = "db " + ", ".join(f"{byte:#04x}" for byte in self.code[at : at + length])
            else:
                insn = decode(self.code[at : at + LONGEST], address)
                length, text = insn.length, insn.text(address)
            rows.append((address, self.code[at : at + length], text))
            at += length
        return rows

    def _data_at(self, address: int) -> int:
        """How many bytes of data one line shows: up to eight, up to the next label."""
        labels, end = set(self.labels.values()), address
        while end in self.data and end - address < 8 and (end == address or end not in labels):
            end += 1
        return end - address

    def listing(self) -> str:
        """Address, bytes and text of every instruction, one a line, labels between."""
        names: dict[int, list[str]] = {}
        for name, address in self.labels.items():
            names.setdefault(address, []).append(name)
        rows = self.rows()
        wide = max((len(raw.hex(" ")) for _, raw, _ in rows), default=0)
        lines = []
        for address, raw, text in rows:
            lines += [f"{name}:" for name in names.get(address, ())]
            lines.append(f"  {address:04x}  {raw.hex(' '):<{wide}}  {text}")
        lines += [f"{name}:" for name in names.get(self.origin + len(self.code), ())]
        return "\n".join(lines)


@dataclass
class _Line:
    """A line of the source: a label, an instruction, or data. ``short`` until it had to grow."""

    number: int
    source: str
    label: str = ""
    short: bool = True
    code: bytes = b""
    problem: str = ""

    @property
    def is_data(self) -> bool:
        return not self.label and _word(self.source)[0].lower() == "db"


def assemble(source: str, origin: int = 0x1000, **names: int) -> Program:
    """Assemble ``source`` for ``origin``; ``names`` are constants that the text may use.

    One instruction a line, labels end with a colon, ``;`` begins a comment. Numbers are ``12``,
    ``0x0c`` or ``0b1100``, with + and - between; a size (``byte [eax]``) stands before memory
    where no register beside it has one; ``db 1, "text"`` puts bytes. Raises KvmExitError with the
    line's number and text and the reason, if a line is not an instruction of the subset.
    """
    if not isinstance(source, str):
        raise KvmExitError(f"assemble takes the text of a program, not {said(source)}")
    if not isinstance(origin, int) or not 0 <= origin <= HIGHEST:
        where = hex(origin) if isinstance(origin, int) else said(origin)
        raise KvmExitError(f"the code cannot stand at {where}: addresses have 32 bits")
    for name, value in names.items():
        reason = _unusable(name) or (not isinstance(value, int) and f"{said(value)} is no number")
        if reason:
            raise KvmExitError(f"the constant {name!r} cannot be used: {reason}")
    lines = _lines(source, names)
    _begin(lines, origin, names)
    while True:
        # Lines only grow, so lengths settle; then the labels are true, and only then is a line
        # refused.
        before = [len(line.code) for line in lines]
        labels = _layout(lines, origin, names)
        if before == [len(line.code) for line in lines]:
            break
    for line in lines:
        if line.problem:
            raise _refused(line.number, line.source, line.problem)
    code = b"".join(line.code for line in lines)
    if origin + len(code) > HIGHEST + 1:
        raise KvmExitError(
            f"{len(code)} bytes at {origin:#x} go beyond 4 GiB: addresses have 32 bits"
        )
    return Program(origin, code, labels, _data(lines, origin))


def _refused(number: int, source: str, reason: str) -> KvmExitError:
    return KvmExitError(f"line {number}: cannot assemble {source!r}: {reason}")


# -- lines ----------------------------------------------------------------------------------


def _lines(source: str, names: Mapping[str, int]) -> list[_Line]:
    """The lines that are not empty, each label as one of its own."""
    lines: list[_Line] = []
    seen = set(names)
    for line, raw in enumerate(source.splitlines(), 1):
        text = _outside_quotes(raw, ";")[0].strip()
        while match := _LABEL.match(text):
            label = match[1]
            reason = _unusable(label) or (f"{label!r} is there already" if label in seen else "")
            if reason:
                raise _refused(line, text, reason)
            seen.add(label)
            lines.append(_Line(line, text, label))
            text = text[match.end() :].strip()
        if text:
            lines.append(_Line(line, text))
    return lines


def _unusable(name: str) -> str:
    """Why ``name`` can be no label and no constant, or nothing."""
    if name.lower() in RESERVED:
        return f"{name!r} is a word of the language"
    if not _NAME.match(name):
        return f"{name!r} is no name: letters, digits, _ and ., not a digit first"
    return ""


def _outside_quotes(text: str, separator: str) -> list[str]:
    """``text`` split at each ``separator`` that does not stand in quotes."""
    hidden = _QUOTED.sub(lambda quoted: "_" * len(quoted[0]), text)
    parts, at = [], 0
    for part in hidden.split(separator):
        parts.append(text[at : at + len(part)])
        at += len(part) + len(separator)
    return parts


# -- code -----------------------------------------------------------------------------------


def _begin(lines: list[_Line], origin: int, names: Mapping[str, int]) -> None:
    """Encode every line behind those before it, a label ahead taken to be where the line is: so
    every jump ahead begins short."""
    address, known, ahead = origin, dict(names), [line.label for line in lines if line.label]
    for line in lines:
        if line.label:
            known[ahead.pop(0)] = address
        else:
            known.update(dict.fromkeys(ahead, address))
            _encode_line(line, address, known)
            address += len(line.code)


def _layout(lines: list[_Line], origin: int, names: Mapping[str, int]) -> dict[str, int]:
    """Where the labels stand, by the lengths that the lines have; every line encoded for that."""
    places = list(accumulate((len(line.code) for line in lines), initial=origin))
    labels = {line.label: place for line, place in zip(lines, places) if line.label}
    known = {**names, **labels}
    for line, place in zip(lines, places):
        if not line.label:
            _encode_line(line, place, known)
    return labels


def _encode_line(line: _Line, address: int, names: Mapping[str, int]) -> None:
    """Give the line its code or its problem. It only grows: one that does not fit short stays
    long, and so does one that would become shorter again, as ``0x84-label`` might for ever."""
    try:
        code = long = _encode(line, address, names, short=False)
        if line.short:
            code = _encode(line, address, names, short=True)
            line.short = len(line.code) <= len(code) < len(long)
        line.code, line.problem = code if line.short else long, ""
    except ValueError as problem:
        line.problem = str(problem)


def _encode(line: _Line, address: int, names: Mapping[str, int], *, short: bool) -> bytes:
    name, rest = _word(line.source)
    prefixes = dict[str, str]()
    while name.lower() in PREFIXES:
        kind = "lock" if name.lower() == "lock" else "repeat"
        if kind in prefixes:
            raise ValueError(f"{name} is one prefix of its kind too many")
        prefixes[kind] = name.lower()
        name, rest = _word(rest)
    if not name:
        raise ValueError("no instruction follows the prefix")
    texts = [part.strip() for part in _outside_quotes(rest, ",")] if rest else []
    if "" in texts:
        raise ValueError("an operand is missing beside a comma")
    if line.is_data:
        return _bytes(texts, names)
    if name.lower() not in MNEMONICS:
        raise ValueError(f"no instruction {name!r} in the subset")
    if reason := wrong_count(name, MNEMONICS[name.lower()], len(texts)):
        raise ValueError(reason)
    return encode(
        name.lower(),
        [operand(text, names) for text in texts],
        address,
        rep=prefixes.get("repeat") in EQUAL,
        repne=prefixes.get("repeat") in NOT_EQUAL,
        lock="lock" in prefixes,
        short=short,
    )


def _word(text: str) -> tuple[str, str]:
    """The first word, and what follows it."""
    word = text.split(None, 1)[0] if text else ""
    return word, text[len(word) :].strip()


def _bytes(texts: list[str], names: Mapping[str, int]) -> bytes:
    """What ``db`` puts: a byte for each number, the text of what is quoted."""
    if not texts:
        raise ValueError("db wants numbers of a byte, or text in quotes")
    code = b""
    for text in texts:
        if _QUOTED.fullmatch(text):
            code += text[1:-1].encode()
            continue
        value = number(text, names)
        if not -128 <= value < 256:
            raise ValueError(f"{value:#x} does not fit into a byte")
        code += bytes([value & 0xFF])
    return code


def _data(lines: list[_Line], origin: int) -> frozenset[int]:
    """The addresses of what ``db`` has put."""
    found, address = set[int](), origin
    for line in lines:
        if line.is_data:
            found |= set(range(address, address + len(line.code)))
        address += len(line.code)
    return frozenset(found)
