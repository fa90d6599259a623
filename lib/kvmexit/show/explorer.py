"""The film with a kernel behind it: every change of a knob runs the machine again.

A landing costs one run. The outcome strip is a sweep; it follows the film by a moment, so that
the film itself answers at once. The reader's own policy is a function, the reader's own device
another: both are passed as Python.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from html import escape
from typing import Any

import ipywidgets

from kvmexit.errors import KvmExitError
from kvmexit.exits import What
from kvmexit.guest.driver import PROGRAMS
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Landing, Phase, Scenario, response_of
from kvmexit.packet.sweeps import sweep_policies
from kvmexit.show.films import Film, film, landing_of
from kvmexit.show.frames import Tables, World
from kvmexit.show.reel import as_policy, film_data, name_of
from kvmexit.show.stage import Stage
from kvmexit.show.widget import FilmWidget
from kvmexit.vmm.devices import DEVICES
from kvmexit.vmm.machine import COMPENSATIONS, POLICIES, RESTORES

LONGEST_LIVE = 256
PHASES = {
    What.EXIT: Phase.UNSERVED,
    What.SERVE: Phase.SERVED,
    What.LOOK: Phase.SERVED,
    What.ENTRY: Phase.ENTERED,
}


@lru_cache(maxsize=8)
def world_of(response: bytes, device: Any, program: str) -> World:
    """The undisturbed run, kept while the reader plays with the rest."""
    scenario = Scenario(response=response, device=device, program=program)
    return World(Stage(scenario), Tables(), dense=False)


def live_data(scenario: Scenario, landing: int) -> dict[str, Any]:
    """What the player needs for one run, computed now."""
    world = world_of(scenario.response, scenario.device, scenario.program).alone()
    live = list(world.run(scenario, landing)[:3]) if landing else None
    data = film_data([world], scenario, [[]])
    return {**data, "live": live, "landings": len(world.frames)}


def live_strip(scenario: Scenario) -> list[str]:
    """The outcome at every step of the undisturbed run, by a sweep over the exits.

    Between an entry and the next exit nothing changes that a save could miss, so a landing at
    an instruction has the outcome of the entry before it.
    """
    world = world_of(scenario.response, scenario.device, scenario.program)
    (swept,) = sweep_policies(SimulatedKernel(), [scenario])
    outcomes = dict(zip(swept.landings, swept.outcomes, strict=True))
    exits, kinds = 0, []
    here = world.alone().run(scenario, 1)[3].kind
    for frame in world.frames:
        if frame.what is What.EXIT:
            exits += 1
        if exits and frame.what in PHASES:
            landing = Landing(exits, PHASES[frame.what])
            here = outcomes[landing].kind.value if landing in outcomes else here
        kinds.append(here)
    return kinds


class Explorer(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Knobs and a film. ``scenario`` is what the knobs say, ``landing`` where the suspend is."""

    def __init__(self, scenario: Scenario, landing: int, own: dict[str, dict[str, Any]]) -> None:
        self.own = own
        self.length = ipywidgets.BoundedIntText(
            len(scenario.response), min=1, max=LONGEST_LIVE, description="bytes"
        )
        self.knobs = {
            "device": _choice("device", {**_names(DEVICES), **own["device"]}, scenario.device),
            "policy": _choice("policy", {**_names(POLICIES), **own["policy"]}, scenario.policy),
            "compensation": _choice(
                "on load", {**_names(COMPENSATIONS), **own["compensation"]}, scenario.compensation
            ),
            "restore": _choice("restore", {one: one for one in RESTORES}, scenario.restore),
            "program": _choice("program", {one: one for one in PROGRAMS}, scenario.program),
        }
        self.problem = ipywidgets.HTML()
        self.response = scenario.response
        self._waiting: asyncio.TimerHandle | None = None
        self.player = FilmWidget(live=True, landing=landing)
        super().__init__()
        self.children = (
            ipywidgets.HBox(
                [self.length, *self.knobs.values()],
                layout=ipywidgets.Layout(flex_flow="row wrap"),
            ),
            self.problem,
            self.player,
        )
        self._update(strip=True)
        if not self.problem.value:
            self.player.step = self._film(at="auto").step
        self.length.observe(self._changed, "value")
        for knob in self.knobs.values():
            knob.observe(self._changed, "value")
        self.player.observe(self._landed, "landing")

    @property
    def scenario(self) -> Scenario:
        """What the knobs say. Raises KvmExitError if they do not go together."""
        if self.length.value != len(self.response):
            self.response = response_of(self.length.value)
        values = {name: knob.value for name, knob in self.knobs.items()}
        if values["device"] == "tis-indexed":
            values["program"] = "driver"
        return Scenario(response=self.response, **values)

    def _changed(self, _: Any) -> None:
        self._update(strip=True)

    def _landed(self, _: Any) -> None:
        self._update(strip=False)

    def _update(self, strip: bool) -> None:
        """Run again. The film goes first, the strip follows."""
        try:
            self._send_film()
            if strip:
                self._soon(self._send_strip)
        except Exception as problem:  # the reader's own function may raise anything
            words = escape(f"{type(problem).__name__}: {problem}")
            self.problem.value = f"<p role='alert'>{words}</p>"
        else:
            self.problem.value = ""

    def _soon(self, send: Callable[[], None]) -> None:
        """In a kernel: when the film is on its way, and only if no newer one is asked for."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            send()
        else:
            self._waiting = loop.call_later(0.06, send)

    def _send_strip(self) -> None:
        self.player.strip = live_strip(self.scenario)

    def _send_film(self) -> None:
        scenario = self.scenario
        world = world_of(scenario.response, scenario.device, scenario.program)
        landing = min(self.player.landing, len(world.frames))
        data = live_data(scenario, landing)
        with self.player.hold_sync():
            self.player.data = data
            if landing != self.player.landing:
                self.player.landing = landing

    def _film(self, **settings: Any) -> Film:
        """What stands here now, as a film of one run."""
        one = self.scenario
        return film(
            response=one.response,
            device=one.device,
            policy=one.policy,
            compensation=one.compensation,
            restore=one.restore,
            program=one.program,
            landing=self.player.landing,
            **settings,
        )

    def __repr__(self) -> str:
        scenario = self.scenario
        return (
            f"explorer of {len(scenario.response)} bytes: {name_of(scenario.device)},"
            f" {name_of(scenario.policy)}, {name_of(scenario.compensation)} on load,"
            f" {scenario.restore}, {scenario.program}, landing {self.player.landing}"
        )

    def _repr_mimebundle_(self, **settings: Any) -> Any:
        """The widget where one can live, else the same film as the page has it."""
        bundle: Any = super()._repr_mimebundle_(**settings)
        still = self._film()
        return {**(bundle or {}), "text/plain": repr(self), "text/html": still.html()}


def _names(known: Any) -> dict[str, str]:
    return {name: name for name in known}


def _choice(label: str, options: dict[str, Any], value: Any) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(
        options=list(options.items()),
        value=value,
        description=label,
        layout=ipywidgets.Layout(width="15rem"),
    )


def explore(
    length: int = 64,
    *,
    response: bytes | None = None,
    device: Any = "tis-2011",
    policy: Any = "save-at-once",
    compensation: Any = "none",
    restore: str = "new-vm",
    program: str = "driver",
    read: int | None = None,
    phase: str = "served",
    landing: int | None = None,
) -> Explorer:
    """An explorer that starts from this scenario.

    ``policy`` may be a function ``(vcpu, bus)``, ``device`` a function from a response to a
    device, ``compensation`` a function on device states; it joins the names in the menu.
    Raises KvmExitError for what a scenario or a landing cannot be.
    """
    if response is None:
        response = response_of(length)
    if len(response) > LONGEST_LIVE:
        raise KvmExitError(f"the explorer takes up to {LONGEST_LIVE} bytes, not {len(response)}")
    policy = as_policy(policy)
    scenario = Scenario(response, device, policy, compensation, restore, program)
    own: dict[str, dict[str, Any]] = {
        what: {} if isinstance(value, str) else {name_of(value): value}
        for what, value in (("device", device), ("policy", policy), ("compensation", compensation))
    }
    world = world_of(response, device, program)
    if read is not None:
        landing = landing_of(world, read, phase)
    if landing is None:
        landing = landing_of(world, min(13, len(response)), phase)
    if not 0 <= landing <= len(world.frames):
        raise KvmExitError(
            f"landing {landing} is outside the run: it has steps 1 to {len(world.frames)}"
        )
    return Explorer(scenario, landing, own)


__all__ = ["Explorer", "explore"]
