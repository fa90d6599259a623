"""How a run is seen: as text, as a film, as figures, and as questions.

``film`` and ``explore`` move; ``strip``, ``grid``, ``devices`` and ``odds`` are figures;
``predict`` asks, ``text`` tells, ``listing`` and ``card`` show. Names are imported on first
use, so that whoever wants text pays for text.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kvmexit.show.atlas import atlas
    from kvmexit.show.explorer import explore
    from kvmexit.show.figures import devices, grid, odds, strip
    from kvmexit.show.films import film
    from kvmexit.show.listings import card, listing
    from kvmexit.show.questions import predict
    from kvmexit.show.texts import text

_HOMES = {
    "atlas": "atlas",
    "film": "films",
    "explore": "explorer",
    "strip": "figures",
    "grid": "figures",
    "devices": "figures",
    "odds": "figures",
    "predict": "questions",
    "text": "texts",
    "listing": "listings",
    "card": "listings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


__all__ = [
    "atlas",
    "card",
    "devices",
    "explore",
    "film",
    "grid",
    "listing",
    "odds",
    "predict",
    "strip",
    "text",
]
