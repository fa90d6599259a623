"""A picture with a control: frames in one place, of which the control shows one.

Frames are HTML, made in Python. They lie on one another in one cell of a grid, which is as high as
the highest of them: nothing below moves when another is shown. What does not change, or glides
from place to place, is drawn once (``still``) and told by a rule of style where it is.

Without a script each frame has a radio button and a box of a strip, and the keys walk from one to
the next. The script (``picture.js``) puts a slider over the strip. On paper there is the frame
that is shown, and under it the words of all, but of one that plays its own words alone.

The address ``#picture-<name>-<n>``, ``n`` from 1, shows a frame. It is the frame's id, and a
selector, as the theme's scripts expect of an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from typing import Any

from kvmexit.show.views import styled, widget_view

KEYS = 'data-lm-suppress-shortcuts="true"'
"""JupyterLab takes no keys that are pressed in here for its own."""
NO_SCRIPT = "Choose a box of the strip; the arrow keys walk from one to the next."
STYLE = """
.kvmexit-picture{--line:color-mix(in srgb,currentColor 28%,transparent);margin:.8rem 0;
 font:14px/1.4 system-ui,sans-serif}
:has(>.kvmexit-picture){overflow:visible!important}
.kxp-title{margin:0 0 .3rem;font-weight:600}
.kxp-stage{display:grid;position:relative}
.kxp-stage>*{grid-row:1;grid-column:1;min-width:0}
.kxp-stage>input{position:absolute;opacity:0;margin:0}
.kxp-stage>.kxp-strip{grid-row:2}
.kxp-frame{visibility:hidden}
.kxp-stage>input:checked+.kxp-frame{visibility:visible}
.kxp-stage>input:focus-visible+.kxp-frame{outline:2px solid;outline-offset:3px}
.kxp-says{margin:.3rem 0 0;min-height:2.8em}
.kxp-still{pointer-events:none}
.kxp-still [class^=kxp-m]{transition:transform .3s}
.kxp-still [style*="--k"]{opacity:clamp(0,var(--at) - var(--k) + 1,1)}
.kxp-strip{display:flex;margin:.3rem 0 0}
.kxp-strip label{flex:1 1 0;min-width:0;height:1.6rem;margin:0;overflow:hidden;text-align:center;
 box-sizing:border-box;cursor:pointer;border-bottom:1px solid}
.kxp-control{display:flex;flex-wrap:wrap;align-items:center;align-content:start;
 gap:.2rem .5rem;margin-top:.2rem;min-height:4.2rem;position:sticky;bottom:0;
 background:var(--pst-color-background,var(--jp-layout-color0,Canvas))}
.kxp-control input{flex:1 1 100%;box-sizing:border-box;height:1.8rem;margin:0;
 padding-inline:calc(50%/var(--n) - 8px);touch-action:pan-y}
.kxp-control :is(button,select){font:inherit;color:inherit;min-width:2.8rem;min-height:2rem;
 border:1px solid var(--line);border-radius:4px;
 background:color-mix(in srgb,currentColor 7%,transparent)}
.kxp-control select option{color:CanvasText;background:Canvas}
.kxp-control button:disabled{opacity:.4}
.kxp-spoken{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
@media(pointer:coarse){
 .kxp-control{min-height:4.9rem}
 .kxp-control :is(button,select){min-height:2.75rem}
}
@media(prefers-reduced-motion:reduce){.kxp-still [class^=kxp-m]{transition:none}}
@media print{
 .kxp-control,.kxp-strip{display:none}
 .kxp-stage{break-inside:avoid}
 .kxp-stage>.kxp-frame{visibility:visible;grid-row:auto}
 .kxp-stage>input:checked+.kxp-frame{grid-row:1}
 .kxp-stage>input:not(:checked)+.kxp-frame>:not(.kxp-says){display:none}
 .kxp-stage>.kxp-frame>.kxp-says{min-height:0;font-size:9pt}
 [data-plays] .kxp-stage>input:not(:checked)+.kxp-frame{display:none}
}
"""


@dataclass(frozen=True, slots=True)
class Frame:
    """One state of a picture: what there is to see, in words and drawn.

    ``mark`` is the HTML of its box in the strip under the picture; ``moves`` says by how many
    pixels each part of the still is off its own place, by number.
    """

    says: str
    drawing: str
    mark: str = ""
    moves: Mapping[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """Frames and the control that chooses among them.

    ``name`` is the picture's in an address, ``label`` says what the control chooses, ``first`` is
    the frame shown at first, from 0. Of ``still``, a part of class ``kxp-m<n>`` moves, and a part
    with ``--k:<n>`` in its style is seen from frame ``n`` on (from 1). ``text`` is the picture for
    a terminal; ``plays`` says that time can run it. It takes the width that there is, but not more
    than ``widest`` pixels: as wide as its drawing.
    """

    name: str
    title: str
    label: str
    frames: tuple[Frame, ...]
    first: int
    text: str
    still: str = ""
    style: str = ""
    plays: bool = False
    widest: int = 704

    def __repr__(self) -> str:
        return self.text

    def html(self) -> str:
        """All frames, and a strip of boxes to choose one by."""
        body = "".join(self._frame(number, frame) for number, frame in enumerate(self.frames))
        key = "kx" + sha256((self.name + body + self.still).encode()).hexdigest()[:8]
        body = body.replace("kx-key", key)
        labels = "".join(
            f'<label for="{key}-{number}">{frame.mark}</label>'
            for number, frame in enumerate(self.frames)
        )
        still = (
            f'<div class="kxp-still" aria-hidden="true">{self.still}</div>' if self.still else ""
        )
        drawn = (
            f'<div class="kvmexit-picture" id="{key}" data-name="{self.name}" {KEYS}'
            f' data-label="{escape(self.label)}"{" data-plays" if self.plays else ""}'
            f' style="max-width:{self.widest}px">'
            f"<style>{STYLE}{self.style}{self._rules(key)}</style>"
            f'<p class="kxp-title">{escape(self.title)}</p>'
            f'<div class="kxp-stage" role="radiogroup" aria-label="{escape(self.label)}">'
            f'{body}{still}<div class="kxp-strip" aria-hidden="true">{labels}</div></div>'
            f'<div class="kxp-control"><noscript>{NO_SCRIPT}</noscript></div></div>'
        )
        return styled(drawn, "kvmexit-picture", f"{self.title}. {self.frames[self.first].says}")

    def _frame(self, number: int, frame: Frame) -> str:
        checked = " checked" if number == self.first else ""
        return (
            f'<input type="radio" autocomplete="off" name="kx-key" id="kx-key-{number}"'
            f' aria-label="{escape(frame.says)}"{checked}>'
            f'<div class="kxp-frame" id="picture-{self.name}-{number + 1}">{frame.drawing}'
            f'<p class="kxp-says">{escape(frame.says)}</p></div>'
        )

    def _rules(self, key: str) -> str:
        """What depends on the frame that is chosen: the parts of the still, and the strip."""
        rules = []
        for number, frame in enumerate(self.frames):
            chosen = f"#{key}-{number}:checked~"
            rules.append(
                f"{chosen}.kxp-strip>:nth-child({number + 1})"
                "{font-weight:700;border-bottom-width:5px}"
            )
            if "--k:" in self.still:
                rules.append(f"{chosen}.kxp-still{{--at:{number + 1}}}")
            rules += [
                f"{chosen}.kxp-still .kxp-m{part}{{transform:translate({x:g}px,{y:g}px)}}"
                for part, (x, y) in frame.moves.items()
            ]
        return "".join(rules)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self.html()}
        return {**bundle, **widget_view("PictureWidget", {"html": self.html()})}
