"""A few lines of a log, narrow enough to be read: for chapters, reports, a terminal."""

from __future__ import annotations

import re
from itertools import islice

from kvmexit.errors import KvmExitError
from kvmexit.tracelint.reading import opened

_PREFIX = re.compile(
    r"^\s*\S[^\[]*-\d+ +\[\d+\] \S+ +[\d.]+: +"  # tracefs: task, CPU, flags, time
    r"|\s*\S+ +\d+ +\[\d+\] +[\d.]+: +"  # perf script: task, CPU, time
    r"|\d+@[\d.]+:"  # QEMU: process, time
    r"|\d+ +(?:\d\d:\d\d:\d\d\.\d+ +)?"  # strace -f, -tt: process, time
)


def excerpt(name: str, first: int, last: int, *, width: int = 76, without: str = "") -> str:
    """Lines ``first`` to ``last`` (from 1, both shown) of the log ``name``, with their numbers.

    Who logged and when is left out; a line beyond ``width`` characters is cut, which shows.
    Lines that hold ``without`` are passed over. Raises KvmExitError if there are no such lines.
    """
    with opened(name) as stream:
        data = stream.read()
    lines = data.decode("utf-8", "replace").splitlines()
    if not 1 <= first <= last <= len(lines):
        raise KvmExitError(f"{name} has lines 1 to {len(lines)}, not {first} to {last}")
    shown = (
        f"{number:4}  {_PREFIX.sub('', line, count=1)}"
        for number, line in islice(enumerate(lines, start=1), first - 1, last)
        if not (without and without in line)
    )
    return "\n".join(line if len(line) <= width else f"{line[: width - 2]} …" for line in shown)
