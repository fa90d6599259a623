"""The race of a kick as a film: choose where its acts land, and read what happens, step by step.

A strip a kick, a column a landing. It needs no script: each landing is a radio button, the style
shows the story of the one that is chosen, and arrow keys walk from one to the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from kvmexit.packet.kicks import KICKS, Race, kick_races
from kvmexit.packet.outcome import Kind
from kvmexit.show.vocabulary import LANES, OUTCOMES

STYLE = """
.kx-kicks{border:0;margin:.6rem 0;padding:0}
.kx-kicks>input{position:absolute;opacity:0}
.kx-kicks>p{margin:.3rem 0}
.kx-kicks label{display:inline-block;min-width:2.2rem;padding:.25rem 0;text-align:center;
 border:1px solid;border-radius:4px;cursor:pointer;margin:.1rem}
.kx-kicks ol{display:none;margin:.6rem 0;padding-left:1.6rem;min-height:14rem}
.kx-kicks li{border-left:4px solid;padding:.15rem .6rem;margin:.2rem 0}
"""


@dataclass(frozen=True, slots=True)
class KickFilm:
    """Every landing of every kick, each with its story."""

    all: tuple[Race, ...]

    def __repr__(self) -> str:
        lines = []
        for kick in KICKS:
            strip = "".join("." if race.stops else "x" for race in self.all if race.kick == kick)
            lines.append(f"{kick:18} {strip}")
        for race in self.all:
            if not race.stops:
                told = "; ".join(f"{LANES[lane].name} {what}" for lane, what in race.story)
                lines.append(f"{race.kick}, lost: {told}")
        return "\n".join(lines)

    def html(self) -> str:
        """A strip a kick, and under them the story of the landing that is chosen."""
        chosen = next(n for n, race in enumerate(self.all) if not race.stops)
        inputs = "".join(
            f'<input type="radio" name="kx-kick" id="kx-kick-{n}" aria-label="{spoken(race)}"'
            f"{' checked' if n == chosen else ''}>"
            for n, race in enumerate(self.all)
        )
        strips = "".join(f"<p>{escape(kick)}<br>{self.strip(kick)}</p>" for kick in KICKS)
        stories = "".join(
            f'<ol class="kx-s{n}" aria-label="{spoken(race)}">{story(race)}</ol>'
            for n, race in enumerate(self.all)
        )
        shown = "".join(
            f"#kx-kick-{n}:checked~.kx-s{n}{{display:block}}"
            f'#kx-kick-{n}:checked~p label[for="kx-kick-{n}"]{{outline:3px solid}}'
            f'#kx-kick-{n}:focus-visible~p label[for="kx-kick-{n}"]{{outline:3px dashed}}'
            for n in range(len(self.all))
        )
        return (
            f"<style>{STYLE}{shown}</style>"
            f'<fieldset class="kx-kicks"><legend>Where the acts of a kick land: choose one. A dot'
            f" stops, a cross never does.</legend>{inputs}{strips}{stories}</fieldset>"
        )

    def strip(self, kick: str) -> str:
        """The landings of one kick, as labels of their radio buttons."""
        lost = OUTCOMES[Kind.MISSING].colour
        return "".join(
            f'<label for="kx-kick-{n}"'
            + ("" if race.stops else f' style="box-shadow:inset 0 -.35rem {lost}"')
            + f">{'·' if race.stops else '×'}</label>"
            for n, race in enumerate(self.all)
            if race.kick == kick
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}


def spoken(race: Race) -> str:
    """One landing in words: ``signal, then flag: between look and entry, in the guest: lost``."""
    where = ", then ".join(place.value for place in race.places)
    return escape(f"{race.kick}: {where}: {'it stops' if race.stops else 'it never stops'}")


def story(race: Race) -> str:
    """What happens, a line an act."""
    return "".join(
        f'<li style="border-color:{LANES[lane].colour}"><strong>{LANES[lane].name}</strong>'
        f" {escape(what)}</li>"
        for lane, what in race.story
    )


def kicks() -> KickFilm:
    """The film of every kick of :data:`kvmexit.packet.KICKS`."""
    return KickFilm(tuple(race for kick in KICKS for race in kick_races(kick)))
