"""The film: one object that a page, a notebook and a terminal each show in their own way.

``text/plain`` is a digest and the outcome strip, ``text/html`` a still frame with the data in
it (the page's script plays it, and without scripts the still frame is complete), and where a
kernel and a widget manager live there is the widget, which plays the same data.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from kvmexit.errors import KvmExitError, known
from kvmexit.exits import Hlt, What
from kvmexit.packet.experiment import Landing, Phase, Scenario, phase_of, response_of
from kvmexit.packet.outcome import Kind
from kvmexit.show.frames import Tables, World
from kvmexit.show.reel import Reel, as_policy
from kvmexit.show.stage import Stage
from kvmexit.show.still import still
from kvmexit.show.story import stops
from kvmexit.show.views import widget_view
from kvmexit.vmm.devices import DEVICES
from kvmexit.vmm.machine import COMPENSATIONS, POLICIES

PHASES = {What.EXIT: Phase.UNSERVED, What.LOOK: Phase.SERVED, What.ENTRY: Phase.ENTERED}


class Film(Reel):
    """A reel that shows itself."""

    def html(self) -> str:
        """The still frame, with the data for the player of the page."""
        return still(self)

    def _repr_mimebundle_(self, **_: Any) -> Any:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self.html()}
        return {**bundle, **widget_view("FilmWidget", self.traits())}


def film(
    length: int = 16,
    *,
    response: bytes | None = None,
    device: Any = "tis-2011",
    policy: Any = "save-at-once",
    compensation: Any = "none",
    restore: Any = "new-vm",
    program: str = "driver",
    source: str | None = None,
    suspend: bool = True,
    read: int | None = None,
    phase: str = "served",
    landing: int | Landing | None = None,
    at: str | int = "auto",
    title: str = "",
    name: str = "",
    face: str = "whole",
    autoplay: bool = False,
    veiled: bool = False,
) -> Film:
    """A film of a response of ``length`` bytes, suspended at every landing.

    ``device``, ``policy``, ``compensation`` and ``restore`` are one value or a list of values;
    a list becomes a knob, its first entry the default; ``"all"`` takes all there are. A policy
    may be a function ``(vcpu, bus)``, a device a function from a response to a device.

    Where the suspend lands at first: ``read=4`` is the fourth read of the response (from 1) in
    ``phase`` (``unserved``, ``served``, ``entered``), ``landing`` a Landing of an experiment, or a
    step of the undisturbed run (from 1; 0 for none). ``suspend=False``: no landings at all.
    ``at`` is the step shown first: a named stop (``start``, ``request``, ``save``, ``restore``,
    ``wrong``, ``end``), a number from 0, or the first step of a kind (``exit``, ``serve``,
    ``complete`` ...). ``auto`` is the end where there is damage to be seen, else the restore,
    else the first exit.

    ``name`` is the film's in the addresses of its page, ``#film=name&l=269&s=save&p=drain``; if
    none is given, the words of the title. ``face="small"`` shows only the strip, the bytes, the
    driver's word and the knobs. With ``autoplay`` the suspend walks in, once, when the film is
    first seen; ``veiled`` keeps the strip grey until the reader has chosen a place on it;
    a small face asks for that place, and then says at how many a byte is lost.

    ``source`` films that program instead of the driver: lines of assembly that end with hlt.
    """
    known("face", face, ("whole", "small"))
    bytes_ = response if response is not None else response_of(length)
    base = Scenario(response=bytes_, program=program)
    devices = _axis(device, tuple(DEVICES))
    policies = tuple(as_policy(one) for one in _axis(policy, tuple(POLICIES)))
    compensations = _axis(compensation, tuple(COMPENSATIONS))
    restores = _axis(restore, ("new-vm", "same-vcpu"))
    tables = Tables()
    worlds = tuple(
        World(Stage(replace(base, device=one, policy=policies[0]), source=source), tables)
        for one in devices
    )
    made = Film(
        base,
        devices,
        policies,
        compensations,
        restores,
        source,
        0,
        0,
        suspend,
        title,
        name or _slug(title),
        face,
        autoplay,
        veiled,
        worlds,
        tables,
    )
    if read is not None:
        landing = landing_of(worlds[0], read, phase)
    if isinstance(landing, Landing):
        landing = next((n for n, one in landings_of(worlds[0]).items() if one == landing), -1)
    landing = landing or 0
    if not 0 <= landing <= len(worlds[0].frames):
        raise KvmExitError(
            f"landing {landing} is outside the run: it has steps 1 to {len(worlds[0].frames)}"
        )
    made = replace(made, landing=landing)
    return replace(made, step=_first_shown(made, at))


def _axis(value: Any, every: tuple[Any, ...]) -> tuple[Any, ...]:
    if value == "all":
        return every
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def landings_of(world: World) -> dict[int, Landing]:
    """The steps of the undisturbed run, from 1, that lie where an experiment.Landing does."""
    exits, named = 0, {}
    for number, frame in enumerate(world.frames, start=1):
        if isinstance(frame.about, Hlt):
            break
        exits += frame.what is What.EXIT
        if exits and frame.what in PHASES:
            named[number] = Landing(exits, PHASES[frame.what])
    return named


def landing_of(world: World, read: int, phase: str) -> int:
    """The step of the undisturbed run at which experiment.Landing(read, phase, True) lies."""
    wanted = Landing(read, phase_of(phase), data_only=True)
    reads, popped, bus = 0, False, world.stage.machine().bus
    for number, frame in enumerate(world.frames, start=1):
        if frame.what is What.EXIT:
            popped = bus.is_data_read(frame.about)
            reads += popped
        if popped and reads == read and PHASES.get(frame.what) is wanted.phase:
            return number
    raise KvmExitError(f"read {read} lies past the end: the run has {reads} reads of the response")


def _slug(title: str) -> str:
    """``Step back on load`` as ``step-back-on-load``."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower())) or "film"


def _first_shown(made: Film, at: str | int) -> int:
    frames, verdict = made.filmed(made.landing)
    if isinstance(at, int):
        return max(0, min(at, len(frames) - 1))
    named = stops(frames, verdict, made.worlds[0].expected)
    if at == "auto":
        harmed = verdict.kind != Kind.OK.value
        at = "end" if harmed else "restore" if "restore" in named else "exit"
    if at in named:
        return named[at]
    for number, frame in enumerate(frames):
        if frame.what.value == at:
            return number
    raise KvmExitError(
        f"no step {at!r} in this run; give {', '.join(named)}, a number, or one of"
        f" {', '.join(dict.fromkeys(frame.what.value for frame in frames))}"
    )


__all__ = ["Film", "film"]
