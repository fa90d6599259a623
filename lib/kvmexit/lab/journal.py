"""What has been graded of a batch, written as it comes, so that the batch can go on.

One JSON document a line: at first the seed, then each submission with its verdicts. It is known
again by its bytes: a file that was changed meanwhile is graded anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kvmexit import __version__
from kvmexit.errors import KvmExitError
from kvmexit.lab.grade import Graded
from kvmexit.lab.landings import Failure
from kvmexit.lab.questions import Verdict
from kvmexit.lab.submission import Submission


@dataclass
class Journal:
    """A batch that is being graded. ``known`` is what an earlier try has left, by its key."""

    path: Path
    seed: int
    known: dict[str, tuple[Verdict, ...]] = field(default_factory=dict)

    def take(self, submission: Submission) -> Graded | None:
        """What is known of ``submission``."""
        verdicts = self.known.get(_key(submission))
        return None if verdicts is None else Graded(submission, verdicts)

    def note(self, graded: Graded) -> None:
        """Write down what has just been graded, at once and for good."""
        verdicts = [_as_json(verdict) for verdict in graded.verdicts]
        _append(self.path, {"of": _key(graded.submission), "verdicts": verdicts})

    def end(self) -> None:
        """All is graded, and stands elsewhere."""
        self.path.unlink(missing_ok=True)


def begin(path: Path, seed: int, is_given: bool) -> Journal:
    """A new journal, or the one that an interrupted batch has left at ``path``.

    ``seed`` is what a new one begins with. KvmExitError if it cannot be written, or if a seed
    is given and the journal has another.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        lines = []
    except OSError as problem:
        raise KvmExitError(f"{path}: cannot be read: {problem.strerror}") from None
    found = [entry for entry in map(_entry, lines) if entry]
    head = found[0] if found else {}
    if not isinstance(head.get("seed"), int) or head.get("kvmexit") != __version__:
        path.unlink(missing_ok=True)
        _append(path, {"seed": seed, "kvmexit": __version__})
        return Journal(path, seed)
    if is_given and head["seed"] != seed:
        raise KvmExitError(
            f"{path} holds a batch that was interrupted, with seed {head['seed']}: give that"
            " seed, or none, to go on; delete the file to begin anew"
        )
    known = {entry["of"]: tuple(map(_verdict, entry["verdicts"])) for entry in found[1:]}
    return Journal(path, head["seed"], known)


def _append(path: Path, value: Any) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(value) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as problem:
        raise KvmExitError(
            f"{path}: cannot be written: {problem.strerror}; what is graded so far is there:"
            " make room, and give the same command again"
        ) from None


def _entry(line: str) -> dict[str, Any] | None:
    """One line, if it was written to its end."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _key(submission: Submission) -> str:
    try:
        data = submission.path.read_bytes() if submission.path.is_file() else b""
    except OSError:
        data = b""
    head = repr((str(submission.path), submission.student, submission.lab, submission.problem))
    return hashlib.sha256(head.encode("utf-8", "surrogateescape") + data).hexdigest()


def _as_json(verdict: Verdict) -> dict[str, Any]:
    return verdict.as_json() | {"what": verdict.failure.what if verdict.failure else ""}


def _verdict(found: dict[str, Any]) -> Verdict:
    failure = None
    if found["landing"] is not None:
        failure = Failure(None, None, found["landing"], found["what"], tuple(found["ioctls"]))
    return Verdict(
        found["question"],
        found["points"],
        found["out_of"],
        found["reason"],
        tuple((label, points, of) for label, points, of in found["parts"]),
        failure,
        is_blank=found["blank"],
    )
