"""The command line: one module a subcommand, each with ``add(subparsers)``.

Status 0: all is well. Status 1: the command found what this book warns about. Status 2: it
could not do what was asked; one line on standard error says why.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import NoReturn

from kvmexit import __version__
from kvmexit.errors import KvmExitError


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and status 2."""

    def error(self, message: str) -> NoReturn:
        raise KvmExitError(f"{message} (see `{self.prog} --help`)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns its exit status."""
    parser = Parser(prog="kvmexit", description="KVM exit semantics, simulated and real.")
    parser.add_argument("--version", action="version", version=f"kvmexit {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for found in iter_modules(__path__):
        module = import_module(f"{__name__}.{found.name}")
        if hasattr(module, "add"):
            module.add(subparsers)
    try:
        args = parser.parse_args(argv)
        status: int = args.func(args)
        return status
    except KvmExitError as problem:
        print(f"kvmexit: {problem}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as problem:
        if not (problem.name or "").startswith("rich"):
            raise
        print("kvmexit: tables need the package rich: pip install rich", file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return 130
