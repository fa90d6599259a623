"""A stop policy on trial: every landing of every program, and the first at which it fails."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from kvmexit.guest.driver import PROGRAMS
from kvmexit.kernel.protocol import Vcpu
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Landing, Scenario, response_of, run
from kvmexit.packet.outcome import Kind, Outcome
from kvmexit.packet.sweeps import Sweep, sweep
from kvmexit.show.chart import Chart
from kvmexit.show.figures import rows_of_cells
from kvmexit.show.films import Film, film
from kvmexit.show.reel import as_policy
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.machine import Policy

TRIED = tuple(name for name in PROGRAMS if name != "retry")
"""All programs; ``retry`` is the driver, which asks again."""
KERNEL = SimulatedKernel()
"""One for all trials: it has walked each program once."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of a policy: a strip of each program, and the first landing that is not ok.

    A cell shows the strips at once, and then the film of that landing.
    """

    policy: Policy
    sweeps: tuple[Sweep, ...]

    @property
    def first(self) -> tuple[Scenario, Landing, Outcome] | None:
        """Where it fails first, in the order of the programs and of their runs."""
        for swept in self.sweeps:
            for landing, outcome in zip(swept.landings, swept.outcomes, strict=True):
                if outcome.kind is not Kind.OK:
                    return swept.scenario, landing, outcome
        return None

    @property
    def sentence(self) -> str:
        """The result in words."""
        count = sum(len(swept.landings) for swept in self.sweeps)
        if self.first is None:
            return f"Every one of {count} landings is ok, in all {len(self.sweeps)} programs."
        scenario, landing, outcome = self.first
        wrong = sum(one.kind is not Kind.OK for swept in self.sweeps for one in swept.outcomes)
        return (
            f"{wrong} of {count} landings are not ok. The first: program {scenario.program},"
            f" exit {landing.exit}, {landing.phase.value}: {outcome.kind.value}."
        )

    def chart(self) -> Chart:
        """All landings of all programs."""
        size = len(self.sweeps[0].scenario.response)
        title = f"{self.policy.name} on trial: {size} bytes, {self.sweeps[0].scenario.restore}"
        rows = [
            (swept.scenario.program, [one.kind for one in swept.outcomes]) for swept in self.sweeps
        ]
        lines = [f"{name:<8} {''.join(kind.letter for kind in kinds)}" for name, kinds in rows]
        svg = rows_of_cells(rows, [], "landing")
        return Chart(title, self.sentence, "\n".join([title, *lines, self.sentence]), svg)

    def lines(self) -> str:
        """The policy's own lines, each with what it brought about at the first failing landing."""
        assert self.first is not None
        scenario, landing, _ = self.first
        noted = _noted(scenario, landing)
        source, begin = _source(self.policy.stop)
        wide = max((len(line.rstrip()) for line in source), default=0)
        shown = []
        for number, line in enumerate(source, start=begin):
            did = "; ".join(what for at, what in noted if at == number)
            shown.append(f"{line.rstrip():<{wide}}  ← {did}" if did else line.rstrip())
        return "\n".join(shown)

    def film(self) -> Film:
        """The film of the first failing landing."""
        assert self.first is not None
        scenario, landing, _ = self.first
        return film(
            response=scenario.response,
            policy=self.policy,
            restore=scenario.restore,
            program=scenario.program,
            landing=landing,
            at="save",  # the policy's own lines stand before it
            title=f"{self.policy.name}: program {scenario.program} at exit {landing.exit}",
            name="trial",
        )

    def _ipython_display_(self) -> None:
        from IPython.display import display

        show: Any = display
        chart = self.chart()
        words, said = f"<p>{escape(self.sentence)}</p>", repr(chart)
        if self.first is not None and (lines := self.lines()):
            words += f"<pre>{escape(lines)}</pre>"
            said += f"\n\n{lines}"
        show({"text/plain": said, "text/html": chart.html() + words}, raw=True)
        if self.first is not None:
            show(self.film())

    def __repr__(self) -> str:
        return repr(self.chart())


def trial(
    stop: str | Policy | Callable[[Vcpu, Bus], None],
    length: int = 40,
    *,
    restore: str = "new-vm",
) -> Trial:
    """Try a stop policy at all landings of all programs with a response of ``length`` bytes.

    ``stop`` is a function ``(vcpu, bus)``, a policy or the name of one. What it raises is raised.
    """
    given = Scenario(response_of(length), policy=as_policy(stop), restore=restore)
    policy = given.make_policy()
    of = [replace(given, policy=policy, program=program) for program in TRIED]
    return Trial(policy, tuple(sweep(KERNEL, one) for one in of))


class _Noting:
    """A vCPU or a bus that notes on which line of a policy it was asked for something."""

    def __init__(self, of: Any, act: str, code: Any, notes: list[tuple[int, str]]) -> None:
        self._of, self._act, self._code, self._notes = of, act, code, notes

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._of, name)
        if name != self._act:
            return value

        def noting(*given: Any) -> Any:
            result = value(*given)
            frame = sys._getframe(1)
            if frame.f_code is self._code:
                self._notes.append((frame.f_lineno, _in_words(name, result, given)))
            return result

        return noting


def _in_words(act: str, result: Any, given: tuple[Any, ...]) -> str:
    if act == "serve":
        return f"served {given[0].exit()!r}" if given else "served"
    return repr(result)


def _source(stop: Callable[..., None]) -> tuple[list[str], int]:
    """The lines of a policy and the number of the first; none, where they are nowhere to be read:
    of what is no function, or has come by ``exec``."""
    try:
        lines, first = inspect.getsourcelines(stop)
    except (OSError, TypeError):
        return [], 1
    # Python 3.13 keeps the lines of `python -c`, and takes for them what else is named `<string>`.
    return (lines, first) if inspect.getfile(stop) != "<string>" else ([], 1)


def _noted(scenario: Scenario, landing: Landing) -> list[tuple[int, str]]:
    """What each line of the policy asked for at one landing, and what it got."""
    notes: list[tuple[int, str]] = []
    policy = scenario.policy
    assert isinstance(policy, Policy)
    code = getattr(inspect.unwrap(policy.stop), "__code__", None)

    def stop(vcpu: Vcpu, bus: Bus) -> None:
        del notes[:]
        runs: Any = _Noting(vcpu, "run", code, notes)
        serves: Any = _Noting(bus, "serve", code, notes)
        policy.stop(runs, serves)

    run(KERNEL, replace(scenario, policy=replace(policy, stop=stop)), landing)
    return notes
