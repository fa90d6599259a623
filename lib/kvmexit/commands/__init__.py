"""The command line: one module a subcommand, each with ``add(subparsers)``.

=======  =========================================================================================
status   what it means
=======  =========================================================================================
0        all is well
1        the command found what this book warns about
2        it could not do what was asked; one line on standard error says why
3        what was to be judged does not show enough (``lint``, ``conform``)
130      Ctrl-C ended it
141      whoever read its output read no further, as in ``| head -1``
=======  =========================================================================================
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import IO, Any, NoReturn

from kvmexit.commands.terminal import fold, say
from kvmexit.errors import KvmExitError

STOPPED, UNREAD = 130, 141


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and status 2, and whose help is as wide as the
    terminal, also where its author laid out the lines."""

    color = False  # Python 3.14 would paint the help, and a painted line cannot be measured
    commands: Any = None

    def help_of(self, command: str) -> str:
        """What a subcommand says to ``--help``."""
        text: str = self.commands.choices[command].format_help()
        return text

    def error(self, message: str) -> NoReturn:
        raise KvmExitError(f"{message} (see `{self.prog} --help`)")

    def format_help(self) -> str:
        room = shutil.get_terminal_size().columns
        lines = super().format_help().split("\n")
        return "\n".join(piece for line in lines for piece in fold(line, max(room, 20)) or [""])


class Version(argparse.Action):
    """``--version``: looked up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from kvmexit.commands.built import version

        say(version())
        parser.exit()


def subcommands(only: str = "") -> list[ModuleType]:
    """Every module here that is one; or the one named ``only``, if there is such: what the others
    need is then not loaded."""
    names = [found.name for found in iter_modules(__path__)]
    modules = [import_module(f"{__name__}.{name}") for name in names if only in ("", name)]
    return [one for one in modules if hasattr(one, "add")] or subcommands()


def parser_of(modules: Sequence[ModuleType]) -> Parser:
    """The parser that knows these subcommands."""
    parser = Parser(prog="kvmexit", description="KVM exit semantics, simulated and real.")
    parser.add_argument(
        "--version",
        action=Version,
        nargs=0,
        help="show the version, and what it was built from",
    )
    parser.commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in modules:
        module.add(parser.commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns its exit status. SystemExit after ``--help``, ``--version``."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with _said(sys.stdout):
            args = parser_of(subcommands(words[0] if words else "")).parse_args(words)
            status: int = args.func(args)
            return status
    except KvmExitError as problem:
        complain(str(problem))
        return 2
    except BrokenPipeError:
        return UNREAD
    except OSError as problem:
        if problem.filename is None:
            raise
        complain(
            f"{problem.filename}: {problem.strerror}"
        )  # a name too long, a folder closed to us
        return 2
    except KeyboardInterrupt:
        complain("stopped by Ctrl-C")
        return STOPPED


def complain(text: str) -> None:
    """One line on standard error; if that cannot be written either, the status says it alone."""
    try:
        print(f"kvmexit: {text}", file=sys.stderr, flush=True)
    except OSError:
        pass


class _Careful:
    """Standard output: what cannot be written is a reader's problem, not a mistake of the library.
    All else is the stream's own."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._try(self._stream.write, text)
        return len(text)

    def flush(self) -> None:
        self._try(self._stream.flush)

    @staticmethod
    def _try(act: Any, *arguments: Any) -> Any:
        try:
            return act(*arguments)
        except BrokenPipeError:
            raise
        except OSError as problem:
            raise KvmExitError(
                f"standard output cannot be written: {problem.strerror};"
                " make room, or write elsewhere"
            ) from None


@contextmanager
def _said(stream: IO[str] | None) -> Iterator[None]:
    """All that was printed has been written when this ends, or it raises."""
    if stream is None:
        raise KvmExitError("standard output is closed: there is nowhere to print to")
    careful = _Careful(stream)
    with redirect_stdout(careful):
        try:
            yield
        except SystemExit:
            careful.flush()
            raise
        careful.flush()
