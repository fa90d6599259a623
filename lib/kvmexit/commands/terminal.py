"""What is printed for a person: as wide as there is room, and plain where nobody sees colours."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path

NARROWEST = 20
"""Columns below which lines are not folded further: nothing can be read there."""
ROOM = 24
"""Columns that the last cell of a row must have, or the row is written as a list."""
SOON = 1.0
"""Seconds after which who waits is told for what."""
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_BREAKS = re.compile(r"(?<=[\s,])(?=\S)")


def width() -> int | None:
    """Columns of a line: what COLUMNS says, or else the terminal. None where neither limits it: in
    a file or a pipe a row of a table stays one line."""
    stated = os.environ.get("COLUMNS", "")
    if stated.isdecimal() and int(stated):
        return max(int(stated), NARROWEST)
    try:
        return max(os.get_terminal_size(sys.stdout.fileno()).columns, NARROWEST)
    except (OSError, ValueError, AttributeError):
        return None


def _understands(stream: object) -> bool:
    """Is this a terminal that can do more than write one line after the other?"""
    asked = getattr(stream, "isatty", None)
    return bool(asked and asked()) and os.environ.get("TERM") not in ("dumb", "", None)


def styled(text: str, style: str) -> str:
    """``text`` in an ANSI style ("1" bold, "7" reverse, "31" red) where that can be seen."""
    if not _understands(sys.stdout) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{style}m{text}\x1b[0m"


def teller() -> Callable[[str], None] | None:
    """Writes a line on standard error over the last one, and ``""`` wipes it; None where nobody
    watches."""
    if not _understands(sys.stderr):
        return None
    return lambda line: print(f"\r{line}\x1b[K", end="\r", file=sys.stderr, flush=True)


@contextmanager
def awaited(path: Path) -> Iterator[Callable[[], None]]:
    """While a file is read: a line on standard error if it is a pipe that says nothing for a
    second, and perhaps never will. What is yielded is called when something has come."""
    words = f"kvmexit: {path} is a pipe; waiting for somebody to write into it (Ctrl-C ends)"
    late = threading.Timer(SOON, print, [words], {"file": sys.stderr, "flush": True})
    late.daemon = True
    if path.is_fifo():
        late.start()
    try:
        yield late.cancel
    finally:
        late.cancel()


def visible(text: str) -> int:
    """Columns that ``text`` takes."""
    return len(_STYLE.sub("", text))


def fold(line: str, room: int | None) -> list[str]:
    """``line`` in pieces of at most ``room`` columns, broken at spaces, else behind commas, else
    anywhere. What is continued stands two columns further in."""
    if room is None or visible(line) <= room:
        return [line]
    if not set(line) - {"-"}:
        return [line[:room]]
    deep = min(len(line) - len(line.lstrip()) + 2, room // 2)
    lines, now = [], ""
    for piece in _BREAKS.split(line):
        if now.strip() and len((now + piece).rstrip()) > room:
            lines.append(now.rstrip())
            now = " " * deep
        now += piece
        while len(now.rstrip()) > room:
            lines.append(now[:room])
            now = " " * deep + now[room:]
    return [*lines, now.rstrip()] if now.strip() else lines


def say(text: str) -> None:
    """Print ``text``, its lines folded."""
    room = width()
    for line in text.split("\n"):
        print("\n".join(fold(line, room)))


def columns(rows: Sequence[Sequence[str]], *, headed: bool = True) -> None:
    """Print rows of cells; each column as wide as its widest cell. The first row says what the
    columns are, unless they are not ``headed``.

    Where that is too wide the last cell is folded, and where there is no room for that, each row is
    a list of its cells.
    """
    room = width()
    widths = [max(map(visible, column)) for column in zip_longest(*rows, fillvalue="")]
    before = sum(widths[:-1]) + 2 * (len(widths) - 1)
    if room is None or before + widths[-1] <= room or room - before >= ROOM:
        for row in rows:
            for line in _side_by_side(row, widths, None if room is None else room - before):
                print(line)
    elif headed:
        _lists(rows[0], rows[1:], room)
    else:
        for row in rows:
            say("  ".join(cell for cell in row[:-1] if cell))
            say("\n".join(f"    {line}" for line in row[-1].split("\n")))


def _side_by_side(row: Sequence[str], widths: list[int], room: int | None) -> list[str]:
    """The lines of one row; only the last of its columns has several."""
    cells = [*row, *[""] * (len(widths) - len(row))]
    last = [piece for line in cells[-1].split("\n") for piece in fold(line, room)]
    first = "  ".join(cell + " " * (w - visible(cell)) for cell, w in zip(cells[:-1], widths))
    margin = first + "  " if len(widths) > 1 else ""
    rest = [" " * visible(margin) + line for line in last[1:]]
    return [f"{margin}{last[0]}".rstrip(), *rest]


def _lists(heads: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> None:
    """Each row as a title and lines of ``heading  cell``."""
    wide = max(map(len, heads))
    for row in rows:
        title, *cells = row
        print("\n".join(fold(title, room) if title else [""]))
        for head, cell in zip(heads[1:], cells):
            if cell:
                print("\n".join(fold(f"  {head.ljust(wide)}  {cell}".replace("\n", " "), room)))
