"""Predict by hand: tap the first damage on a grey strip, or paint all of it; then the run answers.

The strip is a sweep of the library's own: one column an exit, in one phase of it. Without scripts
the strip and what is to be said about it are a ``<details>``.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import DATA_EXITS, READS, What
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Phase, Scenario, make_machine, phase_of, response_of
from kvmexit.packet.outcome import Kind
from kvmexit.packet.sweeps import sweep
from kvmexit.show.questions import GUESS, box, bundle, code, digest
from kvmexit.show.words import count, register_name

ACTS = {
    "tap": "The strip has one column for each exit. Choose one.",
    "paint": "The strip has one column for each exit. Paint those at which it ends badly.",
}


@dataclass(frozen=True, slots=True)
class StripQuestion:
    """``kinds`` is how a suspend at each exit ends, ``exits`` what each of them asks for.

    ``act`` is ``tap`` (the first that is not ok) or ``paint`` (all that are not).
    """

    act: str
    question: str
    answer: str
    phase: Phase
    kinds: tuple[Kind, ...]
    exits: tuple[str, ...]

    @property
    def key(self) -> str:
        """By what a browser remembers it."""
        return digest(self.act, self.question, self.strip)[:10]

    @property
    def strip(self) -> str:
        """One letter an exit."""
        return "".join(kind.letter for kind in self.kinds)

    @property
    def first(self) -> int:
        """The number of the first exit, from 1, at which a suspend ends badly."""
        return 1 + next(n for n, kind in enumerate(self.kinds) if kind is not Kind.OK)

    @property
    def truth(self) -> str:
        """What the strip shows, in words."""
        bad = sum(kind is not Kind.OK for kind in self.kinds)
        where = f"the first at exit {self.first}: {self.exits[self.first - 1]}"
        return f"{bad} of {count(len(self.kinds), 'exit')} end badly, {where}."

    def __repr__(self) -> str:
        asked = textwrap.wrap(f"Predict: {self.question} {ACTS[self.act]}", 78)
        told = textwrap.wrap(f"{self.truth} {self.answer}", 72)
        indented = [f"     {line}" for line in [f"{self.phase.value}  {self.strip}", *told]]
        return "\n".join([*asked, *indented])

    def html(self) -> str:
        """A box whose only disclosure is the strip, as letters, with its words."""
        kinds = [kind.value for kind in self.kinds]
        strip = json.dumps({"phase": self.phase.value, "kinds": kinds, "exits": self.exits})
        data = f' data-strip="{escape(strip, quote=True)}"'
        inside = (
            f'<p style="margin:0 0 .4rem">{ACTS[self.act]}</p><details style="{GUESS}">'
            '<summary style="cursor:pointer">The strip</summary><div class="kvmexit-answer">'
            f'<pre style="white-space:pre-wrap;overflow-wrap:anywhere">{self.strip}</pre>'
            f'<p style="margin:0">{self.truth} {code(self.answer)}</p></div></details>'
        )
        return box(self.key, self.act, self.question, inside, data)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return bundle(repr(self), self.html())


def tap(question: str, answer: str, *, length: int = 20, **machine: Any) -> StripQuestion:
    """Where is the first damage? The reader chooses an exit, and is told how far off it is.

    ``phase`` is where around the exit the suspend lands (``served`` if it is left out). The other
    arguments are those of :class:`Scenario`, with a response of ``length`` bytes. KvmExitError
    where nothing ends badly.
    """
    return _ask("tap", question, answer, length, **machine)


def paint(question: str, answer: str, *, length: int = 20, **machine: Any) -> StripQuestion:
    """At which exits does a suspend end badly? The reader paints them.

    Arguments are those of :func:`tap`.
    """
    return _ask("paint", question, answer, length, **machine)


def _ask(
    act: str, question: str, answer: str, length: int, *, phase: str = "served", **machine: Any
) -> StripQuestion:
    moment = phase_of(phase)
    asked = Scenario(response_of(length), **machine)
    kinds = tuple(one.kind for _, one in sweep(SimulatedKernel(), asked).at(moment))
    if set(kinds) == {Kind.OK}:
        raise KvmExitError("no suspend ends badly in this phase: there is nothing to point at")
    return StripQuestion(act, question, answer, moment, kinds, tuple(exits_of(asked)))


def exits_of(scenario: Scenario) -> Iterator[str]:
    """What each exit of the undisturbed run asks for: ``a read of STS``."""
    machine = make_machine(SimulatedKernel(), scenario)
    for step in machine.steps():
        if step.what is What.EXIT and isinstance(step.about, DATA_EXITS):
            if machine.bus.is_data_read(step.about):
                yield "a read of the response"
            else:
                act = "a read of" if isinstance(step.about, READS) else "a write to"
                yield f"{act} {register_name(step.about)}"
