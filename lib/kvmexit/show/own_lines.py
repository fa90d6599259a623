"""Which line of a reader's own stop path is running: its number and its text."""

from __future__ import annotations

import linecache
import sys
from pathlib import Path

LIBRARY = str(Path(__file__).resolve().parents[1])
STOPS = "_suspend"
"""The function of :class:`kvmexit.vmm.machine.Machine` that calls a stop path."""
LABEL, SENTENCE = 18, 70
"""Characters of a line on a lane, and in a sentence."""


def line_now() -> tuple[int, str] | None:
    """The line of a stop path that has led here, and None in one of the library's own.

    A stop path may call other functions: its own line is the one that is told. The text is empty
    where nobody has it.
    """
    frame, theirs = sys._getframe(1), None
    while frame.f_code.co_name != STOPS or not _is_ours(frame.f_code.co_filename):
        if not _is_ours(frame.f_code.co_filename):
            theirs = frame
        if frame.f_back is None:
            return None
        frame = frame.f_back
    if theirs is None:
        return None
    text = linecache.getline(theirs.f_code.co_filename, theirs.f_lineno)
    return theirs.f_lineno, " ".join(text.split())


def _is_ours(file: str) -> bool:
    return file.startswith(LIBRARY)


def label_of(line: tuple[int, str]) -> str:
    """``6: if vcpu.run() is…``"""
    number, text = line
    return f"{number}: {_cut(text, LABEL)}" if text else f"line {number}"


def sentence_of(line: tuple[int, str]) -> str:
    """The same in words, as the end of a sentence that says what it did."""
    number, text = line
    return f" Line {number} of its stop path{': ' + _cut(text, SENTENCE) if text else '.'}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


__all__ = ["label_of", "line_now", "sentence_of"]
