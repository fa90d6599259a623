"""One landing on two machines: what differs is where the program counter stands at an exit."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from kvmexit.errors import known
from kvmexit.exits import DATA_EXITS, MmioWrite, What
from kvmexit.kernel.retirement import MACHINES, Pc
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import (
    Landing,
    Phase,
    Result,
    Scenario,
    make_machine,
    phase_of,
    response_of,
    run,
)
from kvmexit.packet.outcome import Kind
from kvmexit.show.moving.drawing import BYTES, alarm, byte_row
from kvmexit.show.moving.picture import Frame, Picture

STYLE = """
.kxp-machine{margin:0 0 .6rem}
.kxp-machine p{display:flex;justify-content:space-between;gap:0 1rem;margin:0}
@media(max-width:30rem){.kxp-machine p{display:block}.kxp-machine p span{display:block}}
.kxp-letters{display:flex;font:12px/1.5 ui-monospace,monospace}
.kxp-letters i,.kxp-letters b{flex:1 1 0;min-width:0;font:inherit;text-align:center}
.kxp-letters b{font-weight:700;outline:2px solid;outline-offset:-1px;border-radius:4px}
"""
STANDS = {Pc.AT: "on the instruction", Pc.PAST: "behind the instruction"}


@dataclass(frozen=True, slots=True)
class Column:
    """One exit: what it is, and how the run ends that is saved there, on each machine."""

    what: str
    reads: bool
    results: tuple[Result, ...]


def two_machines(
    first: str = "x86",
    second: str = "powerpc",
    *,
    length: int = 16,
    policy: str = "save-at-once",
    phase: str = "served",
) -> Picture:
    """A packet of ``length`` bytes on two of :data:`kvmexit.kernel.MACHINES`, saved by ``policy``
    at each exit in ``phase`` and restored into a new VM: the bytes that each guest gets."""
    for name in (first, second):
        known("machine", name, MACHINES)
    names = (first, second)
    scenario = Scenario(response_of(length), policy=policy)
    columns = _columns(names, scenario, phase_of(phase))
    strips = ["".join(c.results[n].outcome.kind.letter for c in columns) for n in (0, 1)]
    frames = tuple(_frame(names, columns, strips, at) for at in range(len(columns)))
    differ = [at for at, (a, b) in enumerate(zip(*strips)) if a != b]
    title = f"The same save on {first} and on {second}"
    text = [title, *(f"{name:13} {strip}" for name, strip in zip(names, strips))]
    return Picture(
        "machines",
        title,
        "Exit at which it is saved",
        frames,
        differ[len(differ) * 3 // 4] if differ else 0,
        "\n".join(text),
        style=BYTES + STYLE,
    )


def _columns(names: tuple[str, str], scenario: Scenario, phase: Phase) -> list[Column]:
    kernels = [SimulatedKernel(MACHINES[name]) for name in names]
    machine = make_machine(SimulatedKernel(), scenario)
    found: list[Column] = []
    reads = 0
    for step in machine.steps():
        if step.what is not What.EXIT or not isinstance(step.about, DATA_EXITS):
            continue
        is_data = machine.bus.is_data_read(step.about)
        reads += is_data
        is_write = isinstance(step.about, MmioWrite)
        what = (
            f"read {reads} of the packet"
            if is_data
            else "a write"
            if is_write
            else ("a read of the status")
        )
        landing = Landing(len(found) + 1, phase)
        results = tuple(run(kernel, scenario, landing) for kernel in kernels)
        found.append(Column(what, not is_write, results))
    return found


def _frame(names: tuple[str, str], columns: list[Column], strips: list[str], at: int) -> Frame:
    column = columns[at]
    ends = "; ".join(f"{n}: {r.outcome}" for n, r in zip(names, column.results))
    blocks = []
    for name, result, strip in zip(names, column.results, strips):
        row = MACHINES[name]
        stands = STANDS[row.mmio_read if column.reads else row.mmio_write]
        ok = result.outcome.kind is Kind.OK
        end = escape(str(result.outcome)) if ok else alarm(str(result.outcome))
        letters = "".join(
            f"<b>{letter}</b>" if n == at else f"<i>{letter}</i>" for n, letter in enumerate(strip)
        )
        blocks.append(
            f'<div class="kxp-machine"><p><span><strong>{escape(name)}</strong>, program counter'
            f" {stands}</span><span>{end}</span></p>"
            f'<div class="kxp-letters" aria-hidden="true">{letters}</div>{_rows(result)}</div>'
        )
    same = strips[0][at] == strips[1][at]
    return Frame(
        f"Saved at exit {at + 1}, {column.what}. {ends}.",
        "".join(blocks),
        "" if same else "≠",
    )


def _rows(result: Result) -> str:
    """What the device sent and what the guest got; a byte that is missing leaves its column
    empty, so that the rest stands under what was sent."""
    want, got = result.undisturbed.guest, list[int | None](result.ending.guest)
    if result.outcome.kind is Kind.MISSING and result.outcome.index is not None:
        lost = max(1, result.ending.taken - result.undisturbed.taken)
        got[result.outcome.index : result.outcome.index] = [None] * lost
    got += [None] * (len(want) - len(got))
    wrong = [n for n, byte in enumerate(got) if byte != (want[n] if n < len(want) else None)]
    room = len(want) + 1
    return byte_row("sent", list(want), room=room) + byte_row("got", got, wrong, room)
