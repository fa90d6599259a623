"""The one family of errors that a reader's input, or a reader's machine, can cause."""

from collections.abc import Collection

LONGEST = 200
"""Letters of a value that an error quotes."""


class KvmExitError(Exception):
    """What was wrong and what to do about it, in one line.

    The command line prints the text and ends with status 2. Everything else that is raised
    is a mistake in this library.
    """


def said(value: object) -> str:
    """``value`` as an error quotes it: its repr, on one line and no longer than a line may be."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # whatever a repr raises; that of an int of 5000 digits does
        text = f"<{type(value).__name__} that cannot be shown>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def known(what: str, value: object, names: Collection[str], itself: bool = False) -> None:
    """Raises KvmExitError if ``value`` is neither one of ``names`` nor the thing ``itself``."""
    if not (value in names if isinstance(value, str) else itself):
        raise KvmExitError(f"unknown {what} {said(value)}; known: {', '.join(names)}")
