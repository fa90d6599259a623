"""The strips of a student's stop path: all landings of all programs of its question."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.kernel.protocol import Vcpu
from kvmexit.lab.landings import KERNEL, Desk
from kvmexit.lab.questions import Verdict
from kvmexit.lab.stop import GROUPS, play_stop, scenario_of
from kvmexit.lab.words import StudentError
from kvmexit.packet.sweeps import Sweep, sweep_policies
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.machine import Policy

TRIED = tuple(
    [(program, "new-vm") for group in GROUPS.values() for program in group]
    + [(program, "same-vcpu") for group in ("driver", "wide") for program in GROUPS[group]]
)
"""What the parts of question 2.1 try: programs, and what they are restored into."""


def strips_of(verdict: Verdict, player: Any, seed: int) -> Any:
    """A chart of question 2.1 with the program of each row; None where there is none to be made:
    of another question, of an answer that cannot be played to the end at every landing."""
    if verdict.question != "2.1" or not (verdict.is_full or verdict.failure):
        return None

    def stop(vcpu: Vcpu, bus: Bus) -> None:
        play_stop(player, Desk(vcpu, bus))

    swept: list[tuple[str, Sweep]] = []
    try:
        for program, restore in TRIED:
            scenario = scenario_of(seed, program, restore)
            yours = replace(scenario, policy=Policy("yours", stop))
            name = program if restore == "new-vm" else f"{program}, same"
            (result,) = sweep_policies(KERNEL, [yours])
            swept.append((name, result))
        return _chart(swept)
    except (ImportError, KvmExitError, StudentError):
        return None


def _chart(swept: list[tuple[str, Sweep]]) -> Any:
    from kvmexit.packet.outcome import Kind
    from kvmexit.show.chart import Chart
    from kvmexit.show.figures import rows_of_cells

    rows = [(name, [one.kind for one in result.outcomes]) for name, result in swept]
    count = sum(len(kinds) for _, kinds in rows)
    wrong = sum(kind is not Kind.OK for _, kinds in rows for kind in kinds)
    title = "Your stop path, at every landing; same: back on the same vCPU"
    said = f"{wrong} of {count} landings are not ok." if wrong else f"All {count} landings are ok."
    lines = [f"{name:<13} {''.join(kind.letter for kind in kinds)}" for name, kinds in rows]
    return Chart(title, said, "\n".join([title, *lines, said]), rows_of_cells(rows, [], "landing"))
