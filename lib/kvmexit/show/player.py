"""The player: the script that plays a film in a browser."""

from __future__ import annotations

from pathlib import Path

MODULE = Path(__file__).with_name("film.js")
