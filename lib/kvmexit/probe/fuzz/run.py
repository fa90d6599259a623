"""Many programs on two kernels; the first that they do not agree on, made small."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from kvmexit.exits import EINTR
from kvmexit.guest.forms import OUTSIDE
from kvmexit.kernel.protocol import Kernel
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.fuzz.compare import Record, Runner, compare
from kvmexit.probe.fuzz.programs import Program, program
from kvmexit.probe.fuzz.shrink import shrink


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where two kernels part: the ``index``-th thing that userspace sees, on either."""

    program: Program
    index: int
    one: Any
    other: Any


@dataclass(slots=True)
class Tally:
    """What was compared. ``left`` counts the programs that the simulated kernel had to leave,
    equal up to there: by the bytes it could not execute, and by what the other did there."""

    programs: int = 0
    exits: int = 0
    saves: int = 0
    left: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: float = 0.0
    divergence: Divergence | None = None


class Pair:
    """Two kernels side by side."""

    def __init__(self, one: Kernel, other: Kernel) -> None:
        self.one, self.other = Runner(one), Runner(other)

    def run(self, program: Program) -> tuple[Record, Record]:
        """Run ``program`` on both. If either needs a new VM afterwards, both get one: what a
        vCPU has left in the kernel's buffers must be the same on both."""
        records = self.one.run(program), self.other.run(program)
        if not (self.one.reusable and self.other.reusable):
            self.close()
        return records

    def divergence(self, program: Program) -> Divergence | None:
        """Where the two part on new VMs, if they do."""
        self.close()
        found = compare(*self.run(program))
        return Divergence(program, *found) if found else None

    def close(self) -> None:
        """Close the VMs at hand."""
        self.one.close()
        self.other.close()


def fuzz(
    other: Kernel,
    seeds: Iterable[int],
    *,
    one: Kernel | None = None,
    seconds: float = float("inf"),
    watch: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Compare the simulated kernel with ``other`` on the programs with these ``seeds``.

    Ends at the first divergence, shrunk, or after ``seconds``. ``watch`` is called after each
    program. ``one`` replaces the simulated kernel, for tests of this function.
    """
    pair, tally, start = Pair(one or SimulatedKernel(limit=LIMIT), other), Tally(), monotonic()
    try:
        for seed in seeds:
            one_record, other_record = pair.run(program(seed))
            tally.programs += 1
            tally.exits += one_record.exits
            tally.saves += one_record.saves
            found = compare(one_record, other_record)
            if one_record.left and not found:
                tally.left[_bytes(one_record), _there(one_record, other_record)] += 1
            if found:
                tally.divergence = _smallest(pair, Divergence(program(seed), *found))
                break
            tally.seconds = monotonic() - start
            watch(tally)
            if tally.seconds > seconds:
                break
    finally:
        pair.close()
    return tally


def _bytes(record: Record) -> str:
    """The kind of bytes that a program was left at: prefixes and opcode."""
    if not record.left.startswith(OUTSIDE):
        return "a loop without an exit"
    code = record.at
    end = next((i for i, byte in enumerate(code) if byte not in PREFIXES), len(code))
    end += 2 if code[end : end + 1] == b"\x0f" else 1
    return code[:end].hex(" ")


def _there(one: Record, other: Record) -> str:
    """The next thing that userspace saw of the other kernel, where the first was left."""
    if len(other.events) <= len(one.events):
        return "nothing: it was left there too"
    result = other.events[len(one.events)][1]
    return "EINTR" if result is EINTR else type(result).__name__


def _smallest(pair: Pair, found: Divergence) -> Divergence:
    if pair.divergence(found.program) is None:
        return found  # it needs what an earlier program has left behind
    small = shrink(found.program, lambda program: pair.divergence(program) is not None)
    return pair.divergence(small) or found


LIMIT = 100_000
"""Instructions in one KVM_RUN after which a program is left: it loops without an exit."""
PREFIXES = bytes.fromhex("f0 f2 f3 2e 36 3e 26 64 65 66 67")
EVENT = ("result", "exit_reason", "registers", "rip", "flags", "xmm", "events")


def describe(divergence: Divergence, names: tuple[str, str]) -> str:
    """The program as a listing with bytes, what it begins with, and the difference."""
    program = divergence.program
    case = program.case()
    lines = [case.listing(), ""]
    registers = " ".join(f"--reg {n}={v:#x}" for n, v in program.registers.items())
    ram = " ".join(f"--ram {a:#x}={data.hex()}" for a, data in program.ram)
    lines.append(f"kvmexit probe --code {case.code.hex()} {registers} {ram}".rstrip())
    lines += [f"save: {save}" for save in program.saves]
    lines.append(f"seed {program.seed}, event {divergence.index}:")
    for name, event in zip(names, (divergence.one, divergence.other)):
        lines.append(f"  {name}: {_event(event)}")
    return "\n".join(lines)


def _event(event: Any) -> str:
    if event is None:
        return "ended before"
    if event[0] != "state":
        return f"{event[0]} differs at the end ({event[1]!r})"
    words = []
    for name, value in zip(EVENT, event[1:]):
        if isinstance(value, tuple):
            text = " ".join(f"{v:x}" for v in value)
        else:
            text = f"{value:#x}" if isinstance(value, int) else repr(value)
        words.append(f"{name} {text}")
    return ", ".join(words)
