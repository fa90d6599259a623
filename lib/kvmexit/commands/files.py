"""Files that a subcommand writes: tried before the work, and a sentence where they cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOENT
from pathlib import Path
from typing import IO

from kvmexit.errors import KvmExitError


@contextmanager
def writing(path: Path, mode: str = "w") -> Iterator[IO[str]]:
    """``path``, open to be written. KvmExitError if it cannot be."""
    try:
        with path.open(mode, newline="", encoding="utf-8") as file:
            yield file
    except OSError as problem:
        first = "make its folder first" if problem.errno == ENOENT else "make room"
        raise KvmExitError(
            f"{path}: cannot be written: {problem.strerror}; {first}, or write elsewhere"
        ) from None


def write(path: Path, text: str) -> None:
    """Write ``text`` into it. KvmExitError if that cannot be done."""
    with writing(path) as file:
        file.write(text)


def try_out(path: Path) -> None:
    """KvmExitError if it cannot be written. What it holds stays until there is something better,
    and where there is no such file, none is left."""
    new = not path.exists()
    with writing(path, "a" if new or path.is_file() else "w") as file:
        if not new and not path.is_file():  # a device, which may be full
            file.write("\n")
    if new and not path.is_symlink():
        path.unlink()
