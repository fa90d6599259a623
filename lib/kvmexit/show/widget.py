"""The players as widgets, for front ends with a kernel behind them."""

from __future__ import annotations

import anywidget
import traitlets

from kvmexit.show.player import module


class NightWidget(anywidget.AnyWidget):
    """Draws ``data``, the packets of a long test."""

    _esm = module("night.js")
    data = traitlets.Dict().tag(sync=True)


class FilmWidget(anywidget.AnyWidget):
    """Plays ``data``. The other traits are where the reader is."""

    _esm = module("player.js")
    data = traitlets.Dict().tag(sync=True)
    landing = traitlets.Int(0).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    choice = traitlets.List([0, 0, 0, 0]).tag(sync=True)
    live = traitlets.Bool(False).tag(sync=True)
    name = traitlets.Unicode("").tag(sync=True)
    face = traitlets.Unicode("whole").tag(sync=True)
    autoplay = traitlets.Bool(False).tag(sync=True)
    veiled = traitlets.Bool(False).tag(sync=True)
    strip: traitlets.List[str] = traitlets.List([]).tag(sync=True)

    def __repr__(self) -> str:
        return f"FilmWidget(landing={self.landing}, step={self.step})"


class AtlasWidget(anywidget.AnyWidget):
    """A map that answers: ``html`` is what it is without a script."""

    _esm = module("atlas.js")
    html = traitlets.Unicode().tag(sync=True)

    def __repr__(self) -> str:
        return "AtlasWidget()"


class PictureWidget(anywidget.AnyWidget):
    """A picture that moves: ``html`` is what it is without a script; the slider comes with one."""

    _esm = module("picture.js")
    html = traitlets.Unicode().tag(sync=True)

    def __repr__(self) -> str:
        return "PictureWidget()"


class QuestionWidget(anywidget.AnyWidget):
    """Asks what ``html``, a box without scripts, asks. What is guessed stays in the browser."""

    _esm = module("question.js")
    html = traitlets.Unicode().tag(sync=True)

    def __repr__(self) -> str:
        return "QuestionWidget()"
