"""What this copy of the library was built from."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path

from kvmexit import __version__

HOME = Path(__file__).resolve().parents[1]
BUILT = HOME / "built.json"
"""Written into wheels and source archives by `lib/hatch_build.py`."""


def version() -> str:
    """Version, what it was built from, and what runs it: what a report of a fault should say."""
    system = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return f"kvmexit {__version__} ({origin()}; {system})"


def origin() -> str:
    """``built from commit …``, or of a checkout where it stands and whether it was changed."""
    if BUILT.exists():
        facts = json.loads(BUILT.read_text())
        return f"built from {facts['commit']}" if facts["commit"] else "built outside a repository"
    if not (HOME.parents[1] / ".git").exists():
        return f"in {HOME}, no repository"
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".")
    if commit is None or changed is None:
        return f"a checkout in {HOME.parents[1]}, which git cannot read"
    return f"a checkout at {commit}" + (", changed" if changed else "")


def _git(*words: str) -> str | None:
    try:
        command = ["git", "-C", str(HOME), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
