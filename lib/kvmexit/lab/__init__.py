"""The course lab: problems without end, checks that name the first failure, and a grader.

A student's code never runs where its mark is made. It runs in a process of its own, in a jail
(:mod:`~kvmexit.lab.jail`), and speaks with the referee through a pipe
(:mod:`~kvmexit.lab.wire`): what it wants of a vCPU it must ask for, and the referee owns the
machine (:mod:`~kvmexit.lab.players`). There is nothing in its process that could be patched to
change a verdict.

In a notebook: ``from kvmexit.lab import check, problem``.
"""

from __future__ import annotations

from typing import Any

_PUBLIC = {
    "check": "kvmexit.lab.notebook",
    "mark": "kvmexit.lab.notebook",
    "problem": "kvmexit.lab.notebook",
    "answer": "kvmexit.lab.notebook",
    "limits": "kvmexit.lab.notebook",
    "Snapshot": "kvmexit.lab.words",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    """Import on first use: the student's process must not load the referee's modules."""
    from importlib import import_module

    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
