"""The recordings that come with this library: what real kernels answered, each with its provenance.

They are JSON, packed. Under ``varies`` stands what is another with each run (how long it took, the
day, a race); all else is the same whenever the same kernel is asked.
"""

from __future__ import annotations

import datetime
import gzip
import json
import zlib
from pathlib import Path
from typing import Any

from kvmexit import __version__
from kvmexit.elsewhere.observe import ROWS
from kvmexit.errors import KvmExitError

FOLDER = Path(__file__).parent / "recordings"


def path_of(machine: str, folder: Path = FOLDER) -> Path:
    """Where the recording of ``machine`` lies."""
    return folder / f"{machine}.json.gz"


def recording_of(machine: str, folder: Path = FOLDER) -> dict[str, Any]:
    """The document of ``machine``. Raises KvmExitError if there is none, or none that is whole."""
    if machine not in ROWS:
        raise KvmExitError(f"no recording of {machine!r}; known: {', '.join(ROWS)}")
    path = path_of(machine, folder)
    try:
        document: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
        return document
    except FileNotFoundError:
        raise KvmExitError(
            f"no recording of {machine}: make it with `kvmexit elsewhere {machine} --record`"
        ) from None
    except (OSError, EOFError, ValueError, zlib.error) as problem:
        raise KvmExitError(
            f"{path} is damaged ({problem}): make it anew with `kvmexit elsewhere {machine}"
            " --record`"
        ) from None


def save(machine: str, document: dict[str, Any], folder: Path = FOLDER) -> bool:
    """Write the recording of ``machine``; False, and nothing written, if the one that is there says
    the same but for what varies."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    varies = document["varies"] | {"date": today, "kvmexit": __version__}
    try:
        if constant(recording_of(machine, folder)) == constant(document):
            return False
    except KvmExitError:
        pass
    text = json.dumps(document | {"varies": varies}, sort_keys=True, separators=(",", ":"))
    path = path_of(machine, folder)
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        part.replace(path)
    except OSError as problem:
        raise KvmExitError(
            f"{path} cannot be written: {problem.strerror}; record in a clone of the book, which"
            " is yours"
        ) from None
    return True


def constant(document: dict[str, Any]) -> dict[str, Any]:
    """A document without what varies, as JSON gives it back."""
    same: dict[str, Any] = json.loads(
        json.dumps({key: value for key, value in document.items() if key != "varies"})
    )
    return same


def provenance(document: dict[str, Any]) -> str:
    """One sentence: which kernel, in which emulator."""
    about = document["provenance"]
    return f"{about['kernel']}, in {about['emulator']}"
