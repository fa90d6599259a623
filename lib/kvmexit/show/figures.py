"""What is a chart, drawn by matplotlib: outcome strips, grids, odds.

The SVG is the same to the byte on every run, keeps its text as text and has no background;
its ink is the page's own (``currentColor``), so it reads in light and dark. A figure is 350
pixels wide, a telephone's width, and grows by a quarter on a wide screen: its text is never
under 12 pixels and never larger than the page's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from html import escape
from io import StringIO
from re import findall, sub
from textwrap import wrap
from typing import Any

from kvmexit.exits import Lane
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import Phase, Scenario, response_of
from kvmexit.packet.outcome import Kind
from kvmexit.packet.sweeps import Sweep, sweep_policies
from kvmexit.show.reel import as_policy, name_of
from kvmexit.show.vocabulary import LANES, OUTCOMES
from kvmexit.vmm.devices import DEVICES
from kvmexit.vmm.machine import POLICIES

INK = "#010203"
"""Stands for the page's text colour until the SVG is written."""
LINES = [LANES[one].colour for one in (Lane.KERNEL, Lane.GUEST, Lane.VMM, Lane.DEVICE, Lane.HOST)]
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
PIXELS = 72 / 96  # of a point: matplotlib measures in points
HEADING = 46  # characters of bold text that fit into 350 pixels, in a wide font


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
        """The SVG in line, with title and description."""
        key = "kx" + sha256(self.svg.encode()).hexdigest()[:10]
        head = (
            f'<title id="{key}-t">{escape(self.title)}</title>'
            f'<desc id="{key}-d">{escape(self.alt)}</desc>'
        )
        start = self.svg.index("<svg")
        end = self.svg.index(">", start)
        tag = self.svg[start:end]
        return (
            '<div class="kvmexit-figure" style="max-width:440px">'
            f'{tag} role="img" aria-labelledby="{key}-t {key}-d"'
            f' style="width:100%;height:auto;display:block">{head}{self.svg[end + 1 :]}</div>'
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}


def strip(
    length: int = 20,
    *,
    policy: Any = "save-at-once",
    device: Any = "tis-2011",
    compensation: Any = "none",
    restore: str = "new-vm",
    program: str = "driver",
) -> Chart:
    """The outcome at every landing, one row a phase, one column an exit.

    A landing is an exit (from 1) in a phase. One policy, or a list: a block each.
    """
    base = Scenario(response_of(length), device, "drain", compensation, restore, program)
    swept = sweeps(base, policy)
    return _cells(
        swept,
        title=_title("Outcome strip", base),
        by_phase=True,
    )


def grid(
    length: int = 20,
    *,
    policy: Any = "all",
    device: Any = "tis-2011",
    compensation: Any = "none",
    restore: str = "new-vm",
    program: str = "driver",
) -> Chart:
    """Policies by landings: one row a policy, the landings in the order of the run."""
    base = Scenario(response_of(length), device, "drain", compensation, restore, program)
    swept = sweeps(base, policy)
    return _cells(swept, title=_title("Policies and landings", base), by_phase=False)


def _title(what: str, scenario: Scenario) -> str:
    parts = [f"{len(scenario.response)} bytes", name_of(scenario.device)]
    if scenario.compensation != "none":
        parts.append(f"{name_of(scenario.compensation)} on load")
    if scenario.program != "driver":
        parts.append(f"program {scenario.program}")
    return f"{what}: {', '.join([*parts, scenario.restore])}"


def sweeps(base: Scenario, policy: Any) -> list[Sweep]:
    """The sweeps of one scenario under one policy, a list of policies, or all of them."""
    every = tuple(POLICIES) if policy == "all" else policy
    names = every if isinstance(every, list | tuple) else [every]
    scenarios = [replace(base, policy=as_policy(one)) for one in names]
    return sweep_policies(SimulatedKernel(), scenarios)


def _summary(result: Sweep) -> str:
    kinds = [outcome.kind for outcome in result.outcomes]
    found = ", ".join(f"{kinds.count(kind)} {kind.value}" for kind in Kind if kind in kinds)
    return f"{name_of(result.scenario.policy)}: {found}"


def _cells(swept: Sequence[Sweep], title: str, by_phase: bool) -> Chart:
    rows: list[tuple[str, list[Kind]]] = []
    lines = [f"{title} ({len(swept[0].landings)} landings)"]
    for result in swept:
        lines.append(_summary(result))
        if by_phase:
            for phase in Phase:
                kinds = [outcome.kind for _, outcome in result.at(phase)]
                rows.append((phase.value, kinds))
                lines.append(f"  {phase.value:<8} {''.join(kind.letter for kind in kinds)}")
        else:
            rows.append(
                (name_of(result.scenario.policy), [outcome.kind for outcome in result.outcomes])
            )
            lines.append(f"  {result.strip}")
    alt = ". ".join(_summary(result) for result in swept) + "."
    blocks = [_summary(result) for result in swept] if by_phase else []
    svg = _draw_cells(rows, blocks, "exit" if by_phase else "landing")
    return Chart(title, alt, "\n".join(lines), svg)


def _draw_cells(rows: Sequence[tuple[str, list[Kind]]], blocks: Sequence[str], axis: str) -> str:
    """Rows of cells, each outcome with its colour and its shape.

    Where in its row a shape stands is part of it, so the legend shows the row as well.
    """
    from matplotlib.patches import Rectangle

    tall, line, apart, left, width = 28, 20, 8, 92, 350
    headings = [_heading(block) for block in blocks]
    per_block = len(rows) // len(blocks) if blocks else len(rows)
    count = max(len(kinds) for _, kinds in rows)
    present = [kind for kind in Kind if any(kind in kinds for _, kinds in rows)]
    legend_rows = (len(present) + 2) // 3
    heads = line * sum(len(lines) for lines in headings)
    height = len(rows) * tall + heads + apart * max(0, len(blocks) - 1) + 22 + 28 * legend_rows
    figure, axes = _canvas(width, height)
    each = (width - left - 4) / count
    bars: Bars = {}
    y = height
    for number, (name, kinds) in enumerate(rows):
        if headings and number % per_block == 0:
            y -= apart if number else 0
            for words in headings[number // per_block]:
                y -= line
                axes.text(2, y + 5, words, weight="bold")
        y -= tall
        axes.text(2, y + 7, name)
        for at, kind in enumerate(kinds):
            _bar(bars, kind, left + at * each, y, each)
    y -= 16
    axes.text(left, y, f"{axis} 1 to {count} →")
    for number, kind in enumerate(present):
        x, row = 2 + (number % 3) * 116, y - 28 * (1 + number // 3)
        axes.add_patch(Rectangle((x, row - 5), 10, 20, facecolor=INK, alpha=0.12, lw=0))
        _bar(bars, kind, x, row - 7, 10)
        axes.text(x + 17, row, f"{kind.letter} {kind.value}")
    _add_bars(axes, bars)
    return _svg(figure)


def _heading(block: str) -> list[str]:
    """The lines of a heading. A count stays with its word: textwrap keeps no-break spaces."""
    return wrap(sub(r"(?<=\d) ", "\N{NO-BREAK SPACE}", block), HEADING)


Bars = dict[Kind, list[tuple[float, float]]]
"""The corners of all bars of one outcome, to be drawn at once: five points a bar."""


def _bar(bars: Bars, kind: Kind, x: float, y: float, each: float) -> None:
    right = x + (each - 1 if each > 4 else each)
    for low, high in OUTCOMES[kind].bars:
        bottom, top = y + 22 - high, y + 22 - low
        bars.setdefault(kind, []).extend(
            [(x, bottom), (right, bottom), (right, top), (x, top), (x, bottom)]
        )


def _add_bars(axes: Any, bars: Bars) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    for kind, points in bars.items():
        outline = Path(points, codes * (len(points) // 5))
        look = OUTCOMES[kind]
        colour = INK if kind is Kind.OK else look.colour
        axes.add_patch(PathPatch(outline, facecolor=colour, alpha=look.opacity, linewidth=0))


def devices(
    length: int = 20,
    *,
    policy: Any = "all",
    device: Sequence[Any] = tuple(DEVICES),
    compensation: Any = "none",
    restore: str = "new-vm",
) -> Chart:
    """Policies by devices: how many landings are not ok, and what becomes of those."""
    table: dict[str, list[list[Kind]]] = {}
    for one in device:
        base = Scenario(response_of(length), one, "drain", compensation, restore)
        for result in sweeps(base, policy):
            kinds = [outcome.kind for outcome in result.outcomes]
            table.setdefault(name_of(result.scenario.policy), []).append(kinds)
    names = [name_of(one) for one in device]
    corrected = "" if compensation == "none" else f", {name_of(compensation)} on load"
    title = f"Policies and devices: {length} bytes{corrected}, {restore}"
    words = {policy: [_counts(kinds) for kinds in row] for policy, row in table.items()}
    width = max(len(cell) for row in words.values() for cell in row) + 2
    lines = [title, " " * 14 + "".join(name.ljust(width) for name in names).rstrip()]
    for name, row in words.items():
        lines.append(name.ljust(14) + "".join(cell.ljust(width) for cell in row).rstrip())
    alt = ". ".join(
        f"{name}: " + "; ".join(f"{one} {cell}" for one, cell in zip(names, row))
        for name, row in words.items()
    )
    return Chart(title, alt + ".", "\n".join(lines), _draw_devices(table, names))


def _counts(kinds: Sequence[Kind]) -> str:
    wrong = [kind for kind in Kind if kind in kinds and kind is not Kind.OK]
    return ", ".join(f"{kinds.count(kind)} {kind.value}" for kind in wrong) or "all ok"


def _draw_devices(table: Mapping[str, list[list[Kind]]], names: Sequence[str]) -> str:
    """A bar for each cell: how much of all landings ends how."""
    from matplotlib.patches import Rectangle

    tall, left, width = 42, 92, 350
    height = tall * len(table) + 24
    figure, axes = _canvas(width, height)
    column = (width - left) / len(names)
    for n, name in enumerate(names):
        axes.text(left + n * column, height - 14, name, weight="bold")
    for number, (policy, row) in enumerate(table.items()):
        y = height - 24 - tall * (number + 1)
        axes.text(2, y + 24, policy)
        for n, kinds in enumerate(row):
            x, room = left + n * column, column - 8
            wrong = [kind for kind in Kind if kind in kinds and kind is not Kind.OK]
            axes.add_patch(
                Rectangle((x, y + 22), room, 10, fill=False, edgecolor=INK, alpha=0.5, lw=0.7)
            )
            at = x
            for kind in wrong:
                part = room * kinds.count(kind) / len(kinds)
                axes.add_patch(Rectangle((at, y + 22), part, 10, color=OUTCOMES[kind].colour, lw=0))
                at += part
            text = " ".join(f"{kinds.count(kind)} {kind.letter}" for kind in wrong) or "all ok"
            axes.text(x, y + 7, text)
    return _svg(figure)


def odds(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    log: bool = True,
) -> Chart:
    """Lines over a common x, told apart by dash and by a label at their end."""
    figure, axes = _canvas(350, 260, frame=True)
    for number, (name, values) in enumerate(lines.items()):
        axes.plot(x, values, color=LINES[number % 5], ls=DASHES[number % 5], lw=2, label=name)
    if log:
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):  # no raised exponents: they would be too small
            axis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set_minor_formatter(lambda value, _: "")
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.legend(frameon=False, handlelength=3, labelcolor=INK)
    figure.subplots_adjust(0.22, 0.2, 0.97, 0.97)
    ends = [
        f"{name}: {values[0]:.3g} at {x[0]:.3g}, {values[-1]:.3g} at {x[-1]:.3g}"
        for name, values in lines.items()
    ]
    return Chart(
        title,
        f"{ylabel} over {xlabel}. " + "; ".join(ends) + ".",
        "\n".join([title, *ends]),
        _svg(figure),
    )


def _canvas(width: int, height: int, frame: bool = False) -> tuple[Any, Any]:
    """A figure measured in CSS pixels; with ``frame``, axes to plot in."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 96, height / 96))
    figure.patch.set_alpha(0)
    if frame:
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        for side in axes.spines.values():
            side.set_color(INK)
        axes.tick_params(colors=INK, which="both", labelsize=12.8 * PIXELS)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
        return figure, axes
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    return figure, axes


def _svg(figure: Any) -> str:
    """The figure as SVG text, in the page's ink, the same on every run."""
    import matplotlib

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "kvmexit",
        "font.size": 12.8 * PIXELS,
        "font.family": ["sans-serif"],
    }
    for text in figure.findobj(lambda one: hasattr(one, "set_fontsize")):
        text.set_fontsize(12.8 * PIXELS)
        text.set_fontfamily("sans-serif")
        text.set_color(INK)
    out = StringIO()
    with matplotlib.rc_context(settings):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = _ids_of_its_own(text[text.index("<svg") :])
    return text.replace(INK, "currentColor").replace("'DejaVu Sans', ", "")


def _ids_of_its_own(svg: str) -> str:
    """Without the ids that nothing refers to, and the others named after the drawing.

    matplotlib counts its parts from 1 in every figure, and a page has several figures.
    """
    key = sha256(svg.encode()).hexdigest()[:8]
    wanted = set(findall(r'(?:url\(|href=")#([^")]+)', svg))
    svg = sub(r' id="([^"]*)"', lambda it: it[0] if it[1] in wanted else "", svg)
    return sub(
        r'(id="|url\(#|href="#)([^")]+)(?=["\)])',
        lambda it: f"{it[1]}{it[2]}-{key}" if it[2] in wanted else it[0],
        svg,
    )


__all__ = ["Chart", "devices", "grid", "odds", "strip", "sweeps"]
