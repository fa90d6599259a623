"""A picture as a widget, for front ends that run no script of an output."""

from __future__ import annotations

import anywidget
import traitlets

from kvmexit.show.moving.script import module


class PictureWidget(anywidget.AnyWidget):
    """Shows ``html``, and a slider beneath it."""

    _esm = module()
    html = traitlets.Unicode().tag(sync=True)

    def __repr__(self) -> str:
        return "PictureWidget()"
