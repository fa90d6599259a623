"""A chart: a drawing with its words, and what strips, grids and bars are drawn with.

A drawing has no background and its ink is the page's own (``currentColor``), so it reads in light
and dark; its text stays text. It is 350 pixels wide, a telephone's width, and grows by a quarter
on a wide screen: its text is never under 12 pixels and never larger than the page's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Any

from kvmexit.show.views import styled

WIDTH = 350
"""Pixels from side to side."""
TEXT = 12.8
"""Pixels of a letter's height."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with its words: ``summary`` is the text form, ``alt`` the description."""

    title: str
    alt: str
    summary: str
    svg: str

    def __repr__(self) -> str:
        return self.summary

    def html(self) -> str:
        """The SVG in line, with title and description; both as a sentence where it is not drawn."""
        key = "kx" + sha256(self.svg.encode()).hexdigest()[:10]
        head = (
            f'<title id="{key}-t">{escape(self.title)}</title>'
            f'<desc id="{key}-d">{escape(self.alt)}</desc>'
        )
        start = self.svg.index("<svg")
        end = self.svg.index(">", start)
        tag = self.svg[start:end]
        drawn = (
            '<div class="kvmexit-figure" style="max-width:440px">'
            f'{tag} role="img" aria-labelledby="{key}-t {key}-d"'
            f' style="width:100%;height:auto;display:block">{head}{self.svg[end + 1 :]}</div>'
        )
        return styled(drawn, "kvmexit-figure", f"{self.title}. {self.alt}")

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}


def drawing(height: float, parts: list[str]) -> str:
    """An SVG of :data:`WIDTH`, its origin at the top left."""
    style = f"font-size:{TEXT}px;font-family:sans-serif"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}"'
        f' fill="currentColor"><g style="{style}">{"".join(parts)}</g></svg>'
    )


def label(x: float, y: float, text: str, bold: bool = False) -> str:
    """A line of text that begins at ``x``, its baseline at ``y``."""
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}"{weight}>{escape(text)}</text>'


def box(x: float, y: float, width: float, height: float) -> str:
    """The outline of a rectangle, as a piece of a path; ``x`` and ``y`` are its top left."""
    return f"M{_short(x)} {_short(y)}h{_short(width)}v{_short(height)}h{_short(-width)}z"


def filled(outline: str, colour: str = "", opacity: float = 1) -> str:
    """A path, filled with a colour or the page's ink."""
    look = f' fill="{colour}"' if colour else ""
    look += f' fill-opacity="{opacity:g}"' if opacity != 1 else ""
    return f'<path{look} d="{outline}"/>'


def framed(outline: str, opacity: float) -> str:
    """A path that is only its edge, in the page's ink."""
    return f'<path fill="none" stroke="currentColor" stroke-opacity="{opacity:g}" d="{outline}"/>'


def _short(value: float) -> str:
    """A hundredth of a pixel is not seen."""
    return f"{round(value, 2):g}"
