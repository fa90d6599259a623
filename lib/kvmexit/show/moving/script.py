"""The script of all pictures, as one ES module."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from kvmexit.show.player import join

MAIN = "picture.js"


@cache
def module() -> str:
    """``picture.js``, held to the rules of :mod:`kvmexit.show.player`; it imports nothing."""
    return join({MAIN: Path(__file__).with_name(MAIN).read_text(encoding="utf-8")}, MAIN)
