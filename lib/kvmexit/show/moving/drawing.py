"""What pictures are drawn with: lanes, marks of steps, rows of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from kvmexit.exits import Lane, What
from kvmexit.packet.outcome import Kind
from kvmexit.show.vocabulary import LANES, OUTCOMES, STEPS, WORDS

ALARM = OUTCOMES[Kind.MISSING].colour
"""The colour of what goes wrong."""
WIDEST = 440
"""Pixels of a drawing that is not to fill a desk."""
BYTES = """
.kxp-bytes{display:grid;grid-template-columns:3.2em repeat(var(--bytes),minmax(0,2.4em));
 font:12px/1.6 ui-monospace,monospace}
.kxp-bytes :is(b,i){font:inherit;text-align:center}
.kxp-bytes b{font-weight:700;outline:2px solid;outline-offset:-2px;border-radius:4px}
"""
"""The style of :func:`byte_row`."""


def alarm(text: str) -> str:
    """Words for what goes wrong: the page's ink, for contrast, on a line of the alarm's colour."""
    return f'<strong style="text-decoration:underline 3px {ALARM}">{escape(text)}</strong>'


def svg(width: int, height: int, inside: str, words: str = "", widest: int = 0) -> str:
    """A drawing ``width`` wide, and as much as ``widest`` where there is room. Without ``words`` it
    is for the eye alone."""
    named = f'role="img" aria-label="{escape(words)}"' if words else 'aria-hidden="true"'
    style = f"display:block;width:100%;max-width:{widest or width}px;height:auto;font-size:14px"
    return (
        f'<svg {named} viewBox="0 0 {width} {height}" fill="currentColor" style="{style}">'
        f"{inside}</svg>"
    )


def mark(what: What, lane: Lane, x: float, y: float) -> str:
    """A step's shape in its lane's colour."""
    return shape(STEPS[what].shape, x, y, LANES[lane].colour)


def shape(path: str, x: float, y: float, colour: str = "currentColor") -> str:
    """A shape around (x, y)."""
    return f'<path fill="{colour}" transform="translate({x:g} {y:g})" d="{path}"/>'


def words(text: str, x: float, y: float, anchor: str = "middle") -> str:
    """A line of text, its baseline at ``y``."""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def line(x: float, y: float, to_x: float, to_y: float, colour: str, style: str = "") -> str:
    """A stroke; ``style`` are more attributes."""
    return f'<path stroke="{colour}" {style} d="M{x:g} {y:g}L{to_x:g} {to_y:g}"/>'


def lanes(rows: dict[Lane, float], left: float, right: float) -> str:
    """The names of lanes, and a line for each."""
    return "".join(
        words(LANES[lane].name, 0, y + 5, "start")
        + line(left, y, right, y, LANES[lane].colour, 'stroke-opacity=".4"')
        for lane, y in rows.items()
    )


def byte_row(
    head: str, data: Sequence[int | None], wrong: Iterable[int] = (), room: int = 0
) -> str:
    """Bytes as hexadecimal digits, None where there is none; those at the places ``wrong`` are
    framed. Rows with the same ``room`` have the same columns."""
    framed = set(wrong)
    cells = []
    for at, byte in enumerate(data):
        tag = "b" if at in framed else "i"
        cells.append(f"<{tag}>{WORDS['unwritten'] if byte is None else f'{byte:02x}'}</{tag}>")
    return (
        f'<div class="kxp-bytes" style="--bytes:{room or len(data)}"><span>{escape(head)}</span>'
        f"{''.join(cells)}</div>"
    )
