"""What a student calls in a cell: problems, and checks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.kernel.protocol import Vcpu
from kvmexit.lab import (
    catalogue,
    grade,
    history,
    jail,
    players,
    starting,
    submission,
    wire,
)
from kvmexit.lab.catalogue import Problem, wrapped
from kvmexit.lab.landings import KERNEL, Desk, Failure
from kvmexit.lab.questions import Verdict, judge
from kvmexit.lab.stop import play_stop
from kvmexit.lab.strips import strips_of
from kvmexit.lab.words import NOT_ANSWERED, StudentError
from kvmexit.packet.experiment import Arrival, Landing, Scenario, make_machine
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.machine import Policy

PUBLIC_SEED = 1


class Checked:
    """A verdict, as a cell shows it: the points, the reason, the ioctls of the landing, and
    ``seen``: the strips of all landings, and the film of what happened at that one.
    """

    def __init__(self, verdict: Verdict, seen: Iterable[Any] = ()) -> None:
        self.verdict, self.printed, self.seen = verdict, verdict.printed, seen

    def _ipython_display_(self) -> None:
        from IPython.display import display

        show: Any = display
        show({"text/plain": repr(self)}, raw=True)
        shown = []
        for one in self.seen:  # it may be made only now
            show(one)
            shown.append(one)
        self.seen = shown

    def __repr__(self) -> str:
        verdict = self.verdict
        lines = [f"{verdict.question}: {verdict.points} of {verdict.out_of} points"]
        for label, points, out_of in verdict.parts:
            lines.append(f"  {'ok' if points else '--'}  {label} ({points} of {out_of})")
        lines.append(wrapped(verdict.reason))
        if verdict.failure and verdict.failure.calls:
            lines.append("From that landing on the VMM did:")
            lines += counted(verdict.failure.calls)
        if self.printed:
            lines.append(f"In {'the last' if verdict.is_full else 'that'} try your code printed:")
            lines.append(self.printed.rstrip("\n"))
        return "\n".join(lines)


def counted(calls: Sequence[str]) -> list[str]:
    """A line a call; the same call more than three times in a row is one line."""
    lines: list[str] = []
    for call, same in groupby(calls):
        times = len(list(same))
        lines += [f"  {call}, {times} times"] if times > 3 else [f"  {call}"] * times
    return lines


@dataclass(frozen=True, slots=True)
class Shown:
    """A film that is complete: the process that played in it has ended."""

    text: str
    bundle: dict[str, Any]

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return self.bundle


class Mark(float):
    """Points as nbgrader reads them: the number is what the cell returns."""

    def __repr__(self) -> str:
        return f"{float(self):g}"


def check(number: str, answer: Callable[..., Any], seed: int = PUBLIC_SEED) -> Checked:
    """Try ``answer`` on question ``number``, e.g. ``check("2.1", stop)``.

    The grader does the same with another ``seed``; give any number to try more problems.
    """
    name = catalogue.question(number).name
    return judged(number, {name: answer}, seed, seen_of)


def mark(number: str, names: dict[str, Any], seed: int) -> Mark:
    """Print the verdict on the answer that ``names`` (``globals()``) hold; returns the points."""
    checked = judged(number, names, seed)
    print(checked)
    return Mark(checked.verdict.points)


def judged(
    number: str,
    names: dict[str, Any],
    seed: int,
    see: Callable[[Verdict, Any, int], Iterable[Any]] = lambda verdict, player, seed: (),
) -> Checked:
    """As the grader does it, with the cells that this notebook has run. Where those do not make
    the answer, or cannot be graded on this machine, with the answer as it is.

    ``see`` makes what is to be seen besides the words, while the answer can still be played.
    """
    question = catalogue.question(number)
    answer = names.get(question.name)
    answers = history.answers(question.name, answer) if jail.available() else None
    if answers is not None:
        verdict, seen = grade.judged(
            question, answers, seed, lambda verdict, player: list(see(verdict, player, seed))
        )
        history.remember(answers)
        if not verdict.is_blank or verdict.reason == NOT_ANSWERED or not callable(answer):
            return Checked(verdict, seen or ())
    namespace = dict(names) if answer is None else {question.name: answer}
    with starting.fork(namespace) if starting.CAN_FORK else starting.Direct(namespace) as player:
        verdict = judge(question, player, seed)
        seen = see(verdict, player, seed)
        return Checked(verdict, seen if isinstance(player, starting.Direct) else list(seen))


def seen_of(verdict: Verdict, player: Any, seed: int) -> Iterator[Any]:
    """The strips of an answer, and the film of where it fails first: those that there are."""
    for make in (
        partial(strips_of, verdict, player, seed),
        partial(film_of, verdict.failure, player),
    ):
        if (made := make()) is not None:
            yield made


def film_of(failure: Failure | None, player: Any) -> Shown | None:
    """The film of a failing landing, complete, for a cell."""
    try:
        made = raw_film(failure, player)
        return None if made is None else Shown(repr(made), made._repr_mimebundle_())
    except (ImportError, KvmExitError):
        return None


def raw_film(failure: Failure | None, player: Any) -> Any:
    """The film of a failing landing, where films can be made and there is something to see.

    A stop path is played by the student's process once more, at this and at all other landings,
    while the film is shown: the process must still be there.
    """
    if failure is None or failure.outcome is None or "stop" not in player.names:
        return None
    scenario, landing = failure.scenario, failure.landing
    if scenario is None or landing is None:
        return None

    def stop(vcpu: Vcpu, bus: Bus) -> None:
        with contextlib.suppress(StudentError):
            play_stop(player, Desk(vcpu, bus))

    from kvmexit.show import film

    return film(
        response=scenario.response,
        device=scenario.device,
        policy=Policy("yours", stop),
        restore=scenario.restore,
        program=scenario.program,
        landing=step_of(scenario, landing),
        title=f"Your stop path at exit {landing.exit}, the first where it fails",
    )


def step_of(scenario: Scenario, landing: Landing) -> int:
    """Before which step of the undisturbed run, counted from 1, the request arrives."""
    machine = make_machine(KERNEL, replace(scenario, policy="drain"))
    machine.vm.vcpu.watched = True  # type: ignore[attr-defined]  # a simulated vCPU has it
    arrival = Arrival(landing, machine.bus)
    return next(n for n, step in enumerate(machine.steps(), start=1) if arrival.due(step))


def problem(lab: int, seed: int = PUBLIC_SEED) -> Problem:
    """Problem ``seed`` of ``lab``."""
    return catalogue.problem(lab, seed)


def answer(lab: int, seed: int = PUBLIC_SEED) -> Problem:
    """The same problem with its answer. Look after you have tried."""
    return catalogue.problem(lab, seed, with_answer=True)


class Limits:
    """What an answer may use, a line each. Read where it is enforced."""

    def rows(self) -> dict[str, str]:
        """What is limited, and to how much."""
        return {
            "one call of your code, computing": f"{players.CALL_CPU:.0f} s",
            "one call of your code, waiting": f"{players.CALL_SECONDS:.0f} s",
            "all calls of a question, computing": f"{players.PLAY_CPU:.0f} s",
            "all calls of a question, waiting": f"{players.PLAY_SECONDS:.0f} s",
            "one cell, computing or waiting": f"{players.CELL_CPU:.0f} s",
            "all cells": f"{players.LOAD_SECONDS:.0f} s",
            "a question, all its processes": f"{players.QUESTION_SECONDS:.0f} s",
            "memory": f"{jail.MEMORY >> 20} MiB",
            "code in all cells": f"{starting.LARGEST_CODE >> 20} MiB",
            "the file that is handed in": f"{submission.LARGEST >> 20} MiB",
            "one value that is handed over": f"{wire.LONGEST_LINE >> 10} KiB",
        }

    def __repr__(self) -> str:
        return "\n".join(f"{what:36}{much:>8}" for what, much in self.rows().items())


def limits() -> Limits:
    """What is limited while an answer is checked, or graded, and to how much."""
    return Limits()
