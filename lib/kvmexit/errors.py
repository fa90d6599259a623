"""The one family of errors that a reader's input, or a reader's machine, can cause."""

from collections.abc import Iterable


class KvmExitError(Exception):
    """What was wrong and what to do about it, in one line.

    The command line prints the text and ends with status 2. Everything else that is raised
    is a mistake in this library.
    """


def known(what: str, name: object, names: Iterable[str]) -> None:
    """KvmExitError that lists ``names`` if ``name``, given as a text, is none of them."""
    if isinstance(name, str) and name not in (there := list(names)):
        raise KvmExitError(f"unknown {what} {name!r}; known: {', '.join(there)}")
