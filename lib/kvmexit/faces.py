"""The face of a package: the names it offers, stated once, each imported on first use.

A package's ``__init__.pyi`` says which module each of its names comes from. Type checkers read it,
and so does :func:`face`, so that whoever wants one name loads one module (a figure needs
matplotlib, a clock needs SimPy, the simulated machine needs neither). The way is that of the
Scientific Python community's SPEC 1.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def face(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of ``package``, as its ``__init__.pyi`` says."""
    there = sys.modules[package]
    stub = Path(str(there.__file__)).with_suffix(".pyi")
    homes = {
        alias.name: node.module
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(homes[name]), name)
        setattr(there, name, value)
        return value

    return get, lambda: sorted(homes), sorted(homes)
