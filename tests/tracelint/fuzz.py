"""Damaged logs: nothing crashes, nothing hangs, and damage never turns *bad* into *clean*.

    python tests/tracelint/fuzz.py [COUNT] [--seed N]      (the whole: 100000)

Five kinds of damage, each with what must hold afterwards:

- *any*: bytes flipped, lines swapped, cut, doubled, removed. It ends, with a verdict or in one
  line.
- *bad, damaged elsewhere*: up to five lines of a bad log removed or cut, none of them a line
  of the finding itself. Not clean.
- *drain removed*: a line that proves a drain of a good log is removed or cut. Not clean.
- *spliced*: a bad log put whole into another log, of its own format or of a different one.
  Not clean.
- *cut short*: a log ends, or begins, in the middle of a line. A bad one is not clean.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

from kvmexit.errors import KvmExitError
from kvmexit.tracelint import Report, Verdict, lint_bytes
from seeds import seeds

LOGS = Path(__file__).parents[2] / "book" / "logs"
Lines = list[bytes]


@cache
def corpus() -> dict[str, Lines]:
    """The book's real logs, as lines."""
    logs = [path for path in sorted(LOGS.iterdir()) if path.suffix != ".md"]
    return {path.name: path.read_bytes().splitlines(keepends=True) for path in logs}


@cache
def report_of(name: str) -> Report:
    """What lint says of the undamaged log."""
    return lint_bytes(b"".join(corpus()[name]), name)


def bad_names() -> list[str]:
    """Logs that a reader can know to be bad: with findings, or with the format hiding them."""
    return [name for name in corpus() if "-bug-" in name or "-bad-" in name or "-ignore-" in name]


def good_names() -> list[str]:
    """Logs that lint calls clean."""
    return [name for name in corpus() if report_of(name).verdict is Verdict.CLEAN]


@cache
def window(name: str) -> frozenset[int]:
    """Indices of the lines that make up the findings of a bad log, and those it hides."""
    lines = corpus()[name]
    report = report_of(name)
    marked: set[int] = set()
    for finding in report.findings:
        # the exit is several lines in kernel events; the state ioctls are all of the window
        marked.update(range(finding.exit_line - 4, finding.exit_line))
        last = max(line.number for line in finding.lines)
        marked.update(range(finding.exit_line - 1, last + 2))
    if not report.findings:
        marked.update(
            i for i, line in enumerate(lines) if b"KVM_GET" in line or b"type 0x8" in line
        )
    return frozenset(i for i in marked if 0 <= i < len(lines))


def proofs(name: str) -> list[int]:
    """Indices of the lines of a good log that show KVM_RUN to have failed with EINTR."""
    lines = corpus()[name]
    signs = (b"EINTR", b"-> 0xfffffffffffffffc")
    found = [i for i, line in enumerate(lines) if any(sign in line for sign in signs)]
    if name.endswith("perfscript"):  # the drain is an exit that no access belongs to
        texts = [line.decode() for line in lines]
        ends = [i for i, text in enumerate(texts) if "userspace_exit: reason KVM_EXIT_MMIO" in text]
        found = [i for i in ends if "mmio read" in texts[i - 1]]
    return found


def cut_line(rng: random.Random, line: bytes) -> bytes:
    """``line`` with its end missing; its newline stays."""
    body = line.rstrip(b"\n")
    return body[: rng.randrange(len(body))] + b"\n" if body else line


def any_damage(rng: random.Random) -> tuple[bytes, bool]:
    """Anything at all; nothing is promised but an end."""
    lines = list(corpus()[rng.choice(list(corpus()))])
    for _ in range(rng.randrange(1, 30)):
        if not lines:
            break
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        act = rng.randrange(6)
        if act == 0:
            del lines[i]
        elif act == 1:
            lines[i], lines[j] = lines[j], lines[i]
        elif act == 2:
            lines[i] = cut_line(rng, lines[i])
        elif act == 3:
            lines.insert(j, lines[i])
        elif act == 4:
            lines[i] = bytes(
                b ^ 1 << rng.randrange(8) if rng.random() < 0.1 else b for b in lines[i]
            )
        else:
            lines.insert(i, rng.randbytes(rng.randrange(60)) + b"\n")
    return b"".join(lines), False


def bad_damaged_elsewhere(rng: random.Random) -> tuple[bytes, bool]:
    name = rng.choice(bad_names())
    lines = list(corpus()[name])
    others = [i for i in range(len(lines)) if i not in window(name)]
    for i in sorted(rng.sample(others, min(len(others), rng.randrange(1, 6))), reverse=True):
        if rng.random() < 0.5:
            del lines[i]
        else:
            lines[i] = cut_line(rng, lines[i])
    return b"".join(lines), True


def drain_removed(rng: random.Random) -> tuple[bytes, bool]:
    name = rng.choice([name for name in good_names() if proofs(name)])
    lines = list(corpus()[name])
    i = proofs(name)[-1] if name.startswith("probe") else rng.choice(saves_after(name))
    if rng.random() < 0.5:
        del lines[i]
    else:
        whole = lines[i]
        lines[i] = cut_line(rng, whole)
        if len(lines[i]) > len(whole) - 25:  # a cut that leaves the proof readable is no damage
            del lines[i]
    return b"".join(lines), True


@cache
def _saves_after(name: str) -> tuple[int, ...]:
    lines = corpus()[name]
    found = []
    for i in proofs(name):
        rest = b"".join(lines[i + 1 : i + 12])
        runs = min(x for x in (rest.find(b"KVM_RUN"), rest.find(b"0xae80"), 1 << 30) if x >= 0)
        state = [rest.find(s) for s in (b"KVM_GET_", b"ae9f", b"c008ae88")]
        if any(0 <= x < runs for x in state):
            found.append(i)
    return tuple(found)


def saves_after(name: str) -> tuple[int, ...]:
    """The proofs that a state ioctl follows before the next KVM_RUN."""
    return _saves_after(name) or (proofs(name)[-1],)


def spliced(rng: random.Random) -> tuple[bytes, bool]:
    bad = corpus()[rng.choice(bad_names())]
    host = list(corpus()[rng.choice(list(corpus()))])
    at = rng.randrange(len(host) + 1)
    return b"".join(host[:at] + bad + host[at:]), True


def cut_short(rng: random.Random) -> tuple[bytes, bool]:
    name = rng.choice(list(corpus()))
    data = b"".join(corpus()[name])
    start, end = rng.randrange(len(data)), rng.randrange(1, len(data) + 1)
    if rng.random() < 0.5:
        return data[:end], name in bad_names() and "qemu" not in name
    return data[start:], name in bad_names() and "qemu" not in name


DAMAGES: tuple[Callable[[random.Random], tuple[bytes, bool]], ...] = (
    any_damage,
    bad_damaged_elsewhere,
    drain_removed,
    spliced,
    cut_short,
)


def check(seed: int) -> str:
    """One damaged log; what was said of it. Raises AssertionError if that is wrong."""
    rng = random.Random(seed)
    damage = DAMAGES[seed % len(DAMAGES)]
    data, bad = damage(rng)
    try:
        report = lint_bytes(data)
        said = report.verdict.value
        report.as_json()
    except KvmExitError as problem:
        assert "\n" not in str(problem), f"seed {seed}: an error of two lines"
        said = "refused"
    assert not (bad and said == "clean"), f"seed {seed}: {damage.__name__}: false clean"
    return said


def main() -> int:
    asked = seeds(__doc__)
    said: Counter[str] = Counter()
    wrong, slowest = 0, (0.0, 0)
    for seed in asked:
        begin = time.process_time()
        try:
            said[check(seed)] += 1
        except AssertionError as problem:
            wrong += 1
            print(problem, file=sys.stderr)
        slowest = max(slowest, (time.process_time() - begin, seed))
    print(f"{len(asked)} damaged logs: {dict(said)}, {wrong} wrong")
    print(f"the slowest took {slowest[0]:.2f} s of processor time: --seed {slowest[1]}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
