"""The seed of a term: drawn once, and kept where students do not see it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from kvmexit.errors import KvmExitError

FILE = "grading-seed.txt"


def drawn() -> int:
    """A seed that nobody can guess."""
    return secrets.randbelow(1 << 31)


def of_term(folder: Path) -> int:
    """The seed that ``folder``, the lecturer's, keeps; drawn when it is first asked for.

    The file can be read by its owner only. Delete it at the end of the term, and the next term has
    another.
    """
    path = folder / FILE
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    except OSError as problem:
        raise KvmExitError(f"{path}: the seed cannot be kept there: {problem.strerror}") from None
    else:
        with open(descriptor, "w") as file:
            file.write(f"{drawn()}\n")
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        raise KvmExitError(f"{path} holds no seed: delete it, and one is drawn") from None
