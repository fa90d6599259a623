"""One log read from end to end, and what came of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kvmexit.errors import known
from kvmexit.tracelint.detect import READERS, detect, kind_of
from kvmexit.tracelint.finding import Finding
from kvmexit.tracelint.judge import Judge, Verdict
from kvmexit.tracelint.reading import BLOCK, batches, check_text, opened, uncoloured
from kvmexit.tracelint.wrapping import unwrapper

Progress = Callable[[int, Judge], None]
"""Told, now and then, the bytes read so far and what the judge knows."""


class Source(Protocol):
    """Something to read bytes from."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict on one log, and what it rests on.

    ``count`` findings were made, of which ``findings`` holds the first. ``fine`` counts state
    ioctls that came after a complete KVM_RUN, ``entries`` the KVM_RUNs.
    """

    name: str
    format: str
    verdict: Verdict
    reasons: tuple[str, ...]
    findings: tuple[Finding, ...]
    count: int
    fine: int
    drains: int
    entries: int
    vcpus: int
    lines: int
    cuts: int
    shows_ioctls: bool

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "file": self.name,
            "format": self.format,
            "verdict": self.verdict.value,
            "reasons": list(self.reasons),
            "count": self.count,
            "findings": [_finding_json(finding) for finding in self.findings],
            "state_ioctls_fine": self.fine,
            "drains": self.drains,
            "entries": self.entries,
            "vcpus": self.vcpus,
            "lines": self.lines,
            "cuts": self.cuts,
        }


def _finding_json(finding: Finding) -> dict[str, Any]:
    return {
        "line": finding.line,
        "exit_line": finding.exit_line,
        "vcpu": finding.vcpu,
        "exit": finding.exit,
        "direction": finding.direction,
        "where": finding.where,
        "ioctls": list(finding.ioctls),
        "effect": finding.effect,
        "lines": [
            {"line": line.number, "role": line.role, "text": line.text} for line in finding.lines
        ],
    }


def lint(name: str, format: str | None = None, progress: Progress | None = None) -> Report:
    """Read the log file ``name`` (plain or gzip; ``-`` is standard input).

    ``format`` is ``strace``, ``tracefs``, ``perf`` or ``qemu``, or told from the content;
    ``progress`` hears how far it is. Raises :class:`~kvmexit.errors.KvmExitError` if the file
    cannot be read or is no log.
    """
    with opened(name) as stream:
        return lint_stream(stream, "standard input" if name == "-" else name, format, progress)


def lint_bytes(data: bytes, name: str = "log", format: str | None = None) -> Report:
    """Read a log that is already in memory."""
    return lint_stream(io.BytesIO(data), name, format)


def lint_stream(
    stream: Source,
    name: str,
    format: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Read a log as it comes, in memory bounded by its vCPUs."""
    known("format", format, READERS, format is None)
    head = _head(stream)
    check_text(name, head)
    start = uncoloured(head)
    unwrap = unwrapper(start.split(b"\n"), kind_of)
    kind = format or detect(name, start, unwrap)
    reader = READERS[kind]()
    judge = Judge(source=reader)
    take, first, done = judge.take, 1, 0
    try:
        for lines, whole, size in batches(stream.read, head):
            for event in reader.feed(unwrap(lines) if unwrap else lines, first, whole):
                take(event)
            first += len(lines)
            done += size
            if progress:
                progress(done, judge)
    except KeyboardInterrupt:
        if Path(name).is_file():
            raise
        # A pipe that never ends (trace_pipe): what came until here counts.
    for event in reader.end():
        take(event)
    judge.shows_ioctls = reader.shows_ioctls
    judge.end(reader.classes)
    return Report(
        name=name,
        format=kind,
        verdict=judge.verdict(),
        reasons=tuple(judge.reasons()),
        findings=judge.findings(),
        count=judge.count,
        fine=judge.fine,
        drains=judge.drains,
        entries=judge.entries + getattr(reader, "repeated", 0),
        vcpus=judge.vcpus,
        lines=first - 1,
        cuts=judge.cuts,
        shows_ioctls=reader.shows_ioctls,
    )


def _head(stream: Source) -> bytes:
    """The first block: from a pipe, whatever is there, but at least one whole line."""
    head = stream.read(BLOCK)
    while head and b"\n" not in head and len(head) < BLOCK:
        more = stream.read(BLOCK - len(head))
        if not more:
            break
        head += more
    return head
