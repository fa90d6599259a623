"""The pictures that stand for the book elsewhere: the card of a link, and the icons.

They are drawn while building. The card shows a run: the outcome of a suspend at every landing of
a packet, and the bytes of one landing at which one is missing, with the hole where it was. Its
colours and bars are the vocabulary's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Result, Scenario, response_of, run
from kvmexit.packet.outcome import Kind
from kvmexit.packet.sweeps import Sweep, sweep
from kvmexit.show.vocabulary import FATES, OUTCOMES
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path as Outline

HERE = Path(__file__).resolve().parent
CARD, WIDTH, HEIGHT = "card.png", 1200, 630
ALT = (
    "A strip with a column for each moment at which a machine can be suspended; in some columns a"
    " byte goes missing. Below it the bytes that were sent, and those that the guest got: one is"
    " gone, and the rest moved up."
)
ICONS = (32, 180)
"""Pixels: for a tab, and for the first screen of a telephone."""
LENGTH = 20
"""Bytes of the packet: as many as can be read on a card."""
INK, PAPER, QUIET = "black", "white", "dimgray"
FONT = "DejaVu Sans"  # comes with matplotlib: the same everywhere
MONO = "DejaVu Sans Mono"


def blank(width: int, height: int, paper: str | None) -> tuple[Figure, Axes]:
    """A drawing measured in pixels, from the top left."""
    figure = Figure(figsize=(width / 100, height / 100), dpi=100)
    figure.patch.set_alpha(0 if paper is None else 1)
    figure.patch.set_facecolor(paper or "none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    return figure, axes


def a_missing_byte(swept: Sweep) -> Result:
    """The run in the middle of those whose suspend made a byte go missing."""
    pairs = zip(swept.landings, swept.outcomes)
    bad = [landing for landing, outcome in pairs if outcome.kind is Kind.MISSING]
    return run(SimulatedKernel(), swept.scenario, bad[len(bad) // 2])


def draw_strip(axes: Axes, swept: Sweep, left: float, top: float, wide: float, tall: float) -> None:
    """A column for each landing: the bars of its outcome in a box of height 20."""
    each = wide / len(swept.outcomes)
    for at, outcome in enumerate(swept.outcomes):
        look = OUTCOMES[outcome.kind]
        colour = QUIET if look.colour == "currentColor" else look.colour
        for high, low in look.bars:
            corner = (left + at * each, top + high * tall / 20)
            box = Rectangle(corner, each, (low - high) * tall / 20, color=colour, lw=0)
            axes.add_patch(box)


def draw_bytes(axes: Axes, result: Result, left: float, top: float, wide: float) -> None:
    """What was sent above what came, each byte in the column in which it was sent.

    ``gone`` bytes did not come; what follows them came that much too early, and at the end
    stands what the driver found where nothing was left.
    """
    sent, got = result.undisturbed.guest, result.ending.guest
    at = result.outcome.index or 0
    gone = next(n for n in range(1, len(sent)) if sent[at + n :] == got[at : len(sent) - n])
    columns: list[int | None] = [*got[:at], *[None] * gone, *got[at:]]
    red = OUTCOMES[Kind.MISSING].colour
    room = (wide - 150) / len(columns)
    for y, name, row in ((top, "sent", list(sent)), (top + 62, "received", columns)):
        axes.text(left, y, name, font=FONT, size=16, color=QUIET, va="center")
        for n, byte in enumerate(row):
            x = left + 150 + n * room
            lost = byte is None or (y == top and at <= n < at + gone)
            if byte is None:
                hole = (x + 3, y - 24), room - 6, 48
                dashes: Any = (0, (3, 2))
                axes.add_patch(Rectangle(*hole, fill=False, ec=red, lw=2, ls=dashes))
            else:
                look: dict[str, Any] = {"font": MONO, "size": 17, "va": "center", "ha": "center"}
                weight = "bold" if lost else "normal"
                colour = red if lost else INK
                axes.text(x + room / 2, y, f"{byte:02x}", color=colour, weight=weight, **look)
    word = f"{gone} byte{'s' * (gone > 1)} {FATES['missing'].word}, the rest moved up"
    x = left + 150 + at * room
    axes.text(x, top + 118, word, font=FONT, size=17, color=red, weight="bold", va="center")


def card(book: str) -> Figure:
    """The card of a link to the book."""
    swept = sweep(SimulatedKernel(), Scenario(response_of(LENGTH)))
    count = sum(outcome.kind is Kind.MISSING for outcome in swept.outcomes)
    figure, axes = blank(WIDTH, HEIGHT, PAPER)
    axes.text(60, 95, book, font=FONT, size=43, weight="bold", color=INK, va="center")
    question = "When KVM_RUN returns, half an instruction may be waiting."
    axes.text(60, 165, question, font=FONT, size=21, color=QUIET, va="center")
    said = (
        f"Suspended at any of {len(swept.outcomes)} moments of one packet:"
        f" at {count}, bytes go missing."
    )
    axes.text(60, 262, said, font=FONT, size=18, color=INK, va="center")
    draw_strip(axes, swept, 60, 290, WIDTH - 120, 90)
    draw_bytes(axes, a_missing_byte(swept), 60, 440, WIDTH - 120)
    return figure


def outline(path: str) -> Outline:
    """An SVG path of straight lines (M, m, H, h, V, v, L, l) as matplotlib's. ValueError if it
    has anything else in it."""
    points: list[tuple[float, float]] = []
    codes: list[Any] = []
    x = y = 0.0
    for letter, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        values = [float(one) for one in re.findall(r"-?\d*\.?\d+", numbers)]
        if letter.lower() not in "mhvl":
            raise ValueError(f"the icon's path has {letter!r}, which is no straight line")
        while values:
            dx = values.pop(0) if letter.lower() != "v" else None
            dy = values.pop(0) if letter.lower() != "h" else None
            near = letter.islower()
            x = x if dx is None else (x if near else 0) + dx
            y = y if dy is None else (y if near else 0) + dy
            codes.append(Outline.MOVETO if letter in "Mm" else Outline.LINETO)
            points.append((x, y))
            letter = {"M": "L", "m": "l"}.get(letter, letter)
    return Outline(points, codes)


def icon(pixels: int, source: Path = HERE / "static" / "favicon.svg") -> Figure:
    """The icon of the site, as its SVG draws it: a box with a rounded edge, and two arrows."""
    svg = source.read_text()

    def value(name: str) -> str:
        found = re.search(rf'\b{name}="([^"]+)"', svg)
        if found is None:
            raise ValueError(f"{source.name} has no {name}")
        return found[1]

    side = float(value("width"))
    figure, axes = blank(pixels, pixels, None)
    axes.set_xlim(0, side)
    axes.set_ylim(side, 0)
    # A telephone cuts its own corners, and puts black behind those that are missing.
    corner = float(value("rx")) if pixels < 100 else 0.01
    style = f"round,pad=0,rounding_size={corner}"
    box = FancyBboxPatch((0, 0), side, side, boxstyle=style, fc=value("fill"), lw=0)
    axes.add_patch(box)
    points = pixels / side * 72 / 100
    stroke, width = value("stroke"), float(value("stroke-width")) * points
    axes.add_patch(PathPatch(outline(value("d")), fill=False, ec=stroke, lw=width))
    return figure


def write_pictures(static: Path, book: str) -> None:
    """Write the card and the icons into the folder."""
    card(book).savefig(static / CARD, metadata={"Software": None})
    for pixels in ICONS:
        icon(pixels).savefig(static / f"icon-{pixels}.png", metadata={"Software": None})
