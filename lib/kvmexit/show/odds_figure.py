"""Odds: lines over logarithmic axes, the one chart that matplotlib draws.

The SVG is the same to the byte on every run, and keeps its text as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from io import StringIO
from re import findall, sub
from typing import Any

from kvmexit.exits import Lane
from kvmexit.show.chart import TEXT, WIDTH, Chart
from kvmexit.show.vocabulary import LANES

INK = "#010203"
"""Stands for the page's text colour until the SVG is written."""
LINES = [LANES[one].colour for one in (Lane.KERNEL, Lane.GUEST, Lane.VMM, Lane.DEVICE, Lane.HOST)]
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
PIXELS = 72 / 96  # of a point: matplotlib measures in points


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
    figure, axes = _canvas(260)
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


def _canvas(height: int) -> tuple[Any, Any]:
    """A figure measured in CSS pixels, and axes to plot in."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 96, height / 96))
    figure.patch.set_alpha(0)
    axes = figure.add_subplot()
    axes.patch.set_alpha(0)
    for side in axes.spines.values():
        side.set_color(INK)
    axes.tick_params(colors=INK, which="both", labelsize=TEXT * PIXELS)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return figure, axes


def _svg(figure: Any) -> str:
    """The figure as SVG text, in the page's ink, the same on every run."""
    import matplotlib

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "kvmexit",
        "font.size": TEXT * PIXELS,
        "font.family": ["sans-serif"],
    }
    for text in figure.findobj(lambda one: hasattr(one, "set_fontsize")):
        text.set_fontsize(TEXT * PIXELS)
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
