"""Questions with scripts: the parts in ``ask/``, joined as the film's are, and their widget."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import anywidget
import traitlets

from kvmexit.show import player

FOLDER = Path(__file__).with_name("ask")
MAIN = "widget.js"


def parts() -> dict[str, str]:
    """Each part by the name of its file, and those of the film, from which it may import."""
    own = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.js"))}
    return {**player.parts(), **own}


@cache
def module() -> str:
    """All that a widget needs, as one ES module which imports nothing."""
    return player.join(parts(), MAIN)


class QuestionWidget(anywidget.AnyWidget):
    """Asks what ``html``, a box without scripts, asks. What is guessed stays in the browser."""

    _esm = module()
    html = traitlets.Unicode().tag(sync=True)
