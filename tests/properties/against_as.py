"""The assembler against GNU as: lines of every kind, right and wrong.

What this assembler accepts must mean the same to `as --32` (Intel syntax). What it refuses and
`as` takes must be outside the subset, or refused for one of the reasons in ``STRICTER``.

    python tests/properties/against_as.py 20000 [SEED]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from kvmexit.errors import KvmExitError
from kvmexit.guest.assembler import PREFIXES, assemble
from kvmexit.guest.cpu import GPR_NAMES, REGISTER_NAMES, SEGMENT_NAMES, Relative
from kvmexit.guest.encoder import MNEMONICS
from kvmexit.guest.operands import REGISTERS, SIZES
from kvmexit.guest.x86 import decode, memory_size, operand_size
from meaning import meaning

STRICTER = {
    "is not between": "as cuts a number to what fits, most often without a word",
    "is no address of 32 bits": "as cuts it",
    "'-' is not expected here": "two signs in a row",
    "the size of .* is open": "as takes a size before a number for one before memory",
    "nothing stands in the brackets": "as reads no address as 0",
    "(in|out) does not take .*the byte number": "as takes the size for that of what is moved",
    "enter does not take .*the (byte|word) number": "as takes it for the size of what is pushed",
    "the (byte|word|dword|xmmword) number": "as ignores the size of a number",
    r"(in|out) does not take .*dword edx": "as takes edx for dx",
    "lea does not take": "as ignores the size of what lea does not access",
    "takes no operands": "as takes an address beside a string instruction",
    r"i?div takes one operand": "as takes the accumulator beside it",
    "(in|out) takes two operands": "as takes the accumulator for granted",
    r"mov does not take .*word [c-gs]s and dword e": "as takes eax for ax beside a segment",
    "loop does not take": "as reads a bracket as a target",
    "jecxz does not take": "as reads a bracket as a target",
    "rep repeats string": "as knows that compilers write rep before ret",
    "no instruction 'movl'": "as knows AT&T's names",
    "no instruction 'pushw'": "as knows AT&T's names",
}
"""Reasons (patterns) for which a line of the subset is refused that as takes, and why as does."""

NUMBERS = (0, 1, 5, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0xFED40024)
NUMBERS += (0x7FFFFFFF, 0x80000000, 0xFFFFFF7F, 0xFFFFFF80, 0xFFFFFFFF, 0x100000000)
KEYWORDS = ("byte", "word", "dword", "xmmword")
WORDS = {size: word for word, size in SIZES.items()}
ENCODINGS = [(name, form, v) for name, forms in MNEMONICS.items() for form, v in forms]
BATCH = 1000
"""Lines in one run of as."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line in this assembler's words and in those of as. ``absolute``: jumps to a number."""

    ours: str
    theirs: str
    absolute: bool = False


@dataclass
class Tally:
    """Lines by what became of them; ``wrong`` are those that must not be."""

    lines: int = 0
    equal: int = 0
    both_refuse: Counter = field(default_factory=Counter)
    outside: int = 0
    stricter: Counter = field(default_factory=Counter)
    moved: int = 0  # short jumps that reach since as has dropped a line between
    wrong: list[str] = field(default_factory=list)

    def text(self) -> str:
        refused = sum(self.both_refuse.values())
        rows = [
            f"{self.lines} lines: {self.equal} mean the same, {refused} refused by both,"
            f" {self.outside} outside the subset, {sum(self.stricter.values())} refused here only,"
            f" {self.moved} moved, {len(self.wrong)} wrong"
        ]
        rows += [f"  {n:6} refused here only: {why}" for why, n in self.stricter.most_common()]
        rows += [f"  {n:6} refused by both: {why}" for why, n in self.both_refuse.most_common()]
        return "\n".join(rows + self.wrong[:20])


# -- lines ----------------------------------------------------------------------------------


def any_number(rng: Random) -> str:
    value = rng.choice(NUMBERS) if rng.random() < 0.8 else rng.getrandbits(rng.choice((7, 15, 31)))
    if rng.random() < 0.25:
        value = -value
    text = rng.choice((str, hex, bin))(value)
    if rng.random() < 0.06:
        text = text.upper()
    if rng.random() < 0.06:
        text += rng.choice(("+1", "-1", " + 4", "-0x10"))
    return "-" + text if rng.random() < 0.01 else text


def any_memory(rng: Random) -> str:
    """Brackets and what may or may not stand in them."""
    registers = GPR_NAMES if rng.random() < 0.95 else REGISTER_NAMES[rng.choice((1, 2))]
    kind, terms = rng.random(), []
    if kind > 0.3:
        terms.append(rng.choice(registers))
    if kind > 0.6:
        scale = rng.choice((1, 2, 4, 8)) if rng.random() < 0.95 else rng.randrange(10)
        index = rng.choice(registers)
        terms.append(rng.choice((index, f"{index}*{scale}", f"{scale}*{index}")))
    if kind > 0.98:
        terms.append(rng.choice(registers))
    elif kind > 0.93:
        del terms[0]  # an index alone
    if kind <= 0.3 or rng.random() < 0.5:
        terms.append(any_number(rng))
    rng.shuffle(terms)
    if rng.random() < 0.005:
        terms = []
    joined = rng.choice(("+", " + ")).join(terms).replace("+-", "-").replace("+ -", "- ")
    return f"[{joined}]" if rng.random() < 0.99 else f"[{joined.replace('+', '-', 1)}]"


def sized(rng: Random, text: str, share: float) -> tuple[str, str]:
    """The operand with a size before it, in both languages; ``ptr`` is needed by as only."""
    if rng.random() > share:
        return text, text
    word = rng.choice(KEYWORDS[:3]) if rng.random() < 0.95 else rng.choice(KEYWORDS)
    return rng.choice((f"{word} {text}", f"{word} ptr {text}")), f"{word} ptr {text}"


def operand_for(rng: Random, spec: str, v: int, labels: list[str], jump: bool) -> tuple[str, str]:
    """An operand of the kind that a form wants, now and then one of another kind. A label is a
    target to a ``jump``, else a number, which as calls its offset."""
    if rng.random() < 0.08:
        spec = rng.choice(("rm8", "rmv", "immv", "r2", "xmm16", "rel4", "dx", "al"))
    if spec.startswith("rel"):
        number = spec == "rel4" and rng.random() < 0.4
        target = any_number(rng) if number else rng.choice(labels)
        return target, target if jump or target not in labels else f"offset {target}"
    if "imm" in spec:
        if rng.random() < 0.05:
            label = rng.choice(labels)
            return label, label if jump else f"offset {label}"
        return sized(rng, any_number(rng), 0.1)
    width = operand_size(spec, v)
    if spec in ("al", "dx"):
        return spec, spec
    if spec == "sreg":
        return (both := rng.choice(SEGMENT_NAMES)), both
    if spec == "eaxv":
        return (both := "eax" if v == 4 else "ax"), both
    if spec[:1] == "m" or (spec[:2] == "rm" or spec == "xmm16") and rng.random() < 0.7:
        text = any_memory(rng)
        if rng.random() < 0.5:
            word = WORDS[memory_size(spec, v)]
            return f"{word} {text}", f"{word} ptr {text}"
        return sized(rng, text, 0.08)
    name = rng.choice(REGISTER_NAMES[width])
    return name, name


def a_line(rng: Random, labels: list[str]) -> Line:
    """A random line: an instruction of the subset, often with something wrong."""
    name, form, v = rng.choice(ENCODINGS)
    jump = any(spec.startswith("rel") for one, _ in MNEMONICS[name] for spec in one.written)
    pairs = [operand_for(rng, spec, v, labels, jump) for spec in form.written]
    if rng.random() < 0.03 and pairs:
        pairs.pop()
    if rng.random() < 0.03:
        pairs.append(operand_for(rng, rng.choice(("rmv", "immv")), v, labels, jump))
    if rng.random() < 0.1:
        pairs.reverse()
    if rng.random() < 0.01:
        name = rng.choice(("cpuid", "movl", "pushw", "repne", "j", "xmovs"))
    if name in ("loop", "jecxz"):  # as has no number for a short jump
        pairs = [(rng.choice(labels),) * 2 if re.match(r"-?\d", p[1]) else p for p in pairs]
    prefix = "rep " if form.string and rng.random() < 0.5 else ""
    if rng.random() < 0.1:
        prefix += f"{rng.choice(PREFIXES)} "
    ours, theirs = (f"{prefix}{name} {', '.join(p[n] for p in pairs)}".strip() for n in (0, 1))
    if rng.random() < 0.05:
        ours = re.sub(r"\b[a-z]{2,}\b", lambda word: word[0].upper(), ours)
    absolute = jump and bool(pairs) and re.match(r"-?\d", pairs[0][1]) is not None
    return Line(ours, theirs, absolute)


# -- as -------------------------------------------------------------------------------------


def run_as(lines: list[str]) -> tuple[dict[int, str], dict[int, tuple[int, bytes]]]:
    """What as says of each line number: its error or warning, and address and bytes."""
    complaints: dict[int, str] = {}
    while True:
        kept = [
            "" if n in complaints and "Warning" not in complaints[n] else text
            for n, text in enumerate(lines)
        ]
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "lines.s")
            source.write_text(".intel_syntax noprefix\n" + "\n".join(kept) + "\n")
            done = subprocess.run(
                ["as", "--32", "-aln", "--listing-lhs-width=6", str(source), "-o", f"{folder}/o"],
                capture_output=True,
                text=True,
                env={**os.environ, "LC_ALL": "C"},  # its complaints are read
            )
        found = re.findall(r"^[^:\n]*:(\d+): ((?:Error|Warning): .*)$", done.stderr, re.MULTILINE)
        errors = {int(n) - 2: what for n, what in found if what.startswith("Error")}
        complaints |= {int(n) - 2: what for n, what in found if what.startswith("Warning")}
        complaints |= errors
        if not errors:
            assert done.returncode == 0, done.stderr
            return complaints, listed(done.stdout)


def listed(listing: str) -> dict[int, tuple[int, bytes]]:
    """Line number -> (address, bytes) of a listing of as; long lines go on without an address."""
    found: dict[int, tuple[int, bytes]] = {}
    for row in re.finditer(r"^ *(\d+) ([0-9a-f]{4,8}) ([0-9A-F ]+?)(?:\s*\t.*)?$", listing, re.M):
        number = int(row[1]) - 2
        address, code = found.get(number, (int(row[2], 16), b""))
        found[number] = address, code + bytes.fromhex(row[3])
    return found


# -- the comparison -------------------------------------------------------------------------


def compare(lines: list[Line], tally: Tally) -> None:
    """Give one batch to both, with a labelled nop before every tenth line."""
    text, where = [], []
    for number, line in enumerate(lines):
        if number % 10 == 0:
            text.append(f"l{number}: nop")
        where.append(len(text))
        text.append(line.theirs)
    complaints, listing = run_as(text)
    labels = {f"l{n}": listing[where[n] - 1][0] for n in range(0, len(lines), 10)}
    address = 0
    for at, line in zip(where, lines):
        address, theirs = listing.get(at, (address, None))
        judge(line, address, theirs, complaints.get(at, ""), labels, tally)
        tally.lines += 1


def judge(
    line: Line,
    address: int,
    theirs: bytes | None,
    complaint: str,
    labels: dict[str, int],
    tally: Tally,
) -> None:
    """Add one line to the tally; ``theirs`` is None where as refuses it."""
    try:
        ours = assemble(line.ours, address, **labels).code
    except KvmExitError as refusal:
        reason = re.fullmatch(r"line 1: cannot assemble (?:'.*'|\".*\"): (.+)", str(refusal))
        if reason is None:
            tally.wrong.append(f"{line.ours!r}: refused without a reason: {refusal}")
        elif theirs is None:
            tally.both_refuse[shape(reason[1])] += 1
        else:
            judge_refusal(line, reason[1], address, theirs, tally)
        return
    if theirs is None and "too large for field of 1 byte" in complaint:
        tally.moved += 1
        return
    if theirs is None:
        tally.wrong.append(f"{line.ours!r}: {ours.hex(' ')}, and as refuses it: {complaint}")
        return
    same = False
    try:
        expected = decode(theirs, address)
        moved = 0
        if line.absolute and any(isinstance(o, Relative) for o in expected.operands):
            moved = -(address + expected.length - 4)  # what the linker would do
        same = meaning(decode(ours, address), address) == meaning(expected, address, moved)
        same &= expected.length == len(theirs)
    except KvmExitError:
        same = ours == theirs
    if same:
        tally.equal += 1
    else:
        tally.wrong.append(f"{line.ours!r}: {ours.hex(' ')}, as {theirs.hex(' ')} {complaint}")


def judge_refusal(line: Line, reason: str, address: int, theirs: bytes, tally: Tally) -> None:
    """as takes a line that is refused here: outside the subset, or one of ``STRICTER``."""
    try:
        decode(theirs, address)
    except KvmExitError:
        tally.outside += 1
        return
    known = next((words for words in STRICTER if re.search(words, reason, re.I)), None)
    if known is None:
        tally.wrong.append(f"{line.ours!r}: refused ({reason}), as {theirs.hex(' ')}")
    else:
        tally.stricter[f"{known} ({STRICTER[known]})"] += 1


def shape(reason: str) -> str:
    """A reason without its numbers and names, to count by."""
    if "does not take" in reason:
        return "… does not take …"
    words = re.sub(r"'[^']*'|\[[^]]*\]|-?0x[0-9a-f]+|-?\b\d+\b", "…", reason)
    names = "|".join(sorted({*MNEMONICS, *REGISTERS} - {"in", "or", "not", "and"}))
    return re.sub(rf"\b({names})\b", "…", words)


def campaign(count: int, seed: int = 0) -> Tally:
    """``count`` random lines."""
    rng, tally = Random(seed), Tally()
    while tally.lines < count:
        size = min(BATCH, count - tally.lines)
        labels = [f"l{n}" for n in range(0, size, 10)]
        compare([a_line(rng, labels) for _ in range(size)], tally)
    return tally


if __name__ == "__main__":
    result = campaign(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(f"against GNU as: {result.text()}")
    sys.exit(bool(result.wrong))
