"""Reads logs of real VMMs and answers: was a vCPU touched between an exit and its entry?

>>> from kvmexit.tracelint import lint
>>> lint("vmm.strace").verdict               # doctest: +SKIP
<Verdict.FINDINGS: 'findings'>

Formats are strace, tracefs (and ``trace-cmd report``), perf script and QEMU's trace log. The
rule is :mod:`kvmexit.tracelint.rule`; the readers turn lines into its few kinds of events.
"""

from kvmexit.tracelint.finding import Finding, Line
from kvmexit.tracelint.judge import Judge, Verdict
from kvmexit.tracelint.quote import excerpt
from kvmexit.tracelint.report import Report, lint, lint_bytes, lint_stream

__all__ = [
    "Finding",
    "Judge",
    "Line",
    "Report",
    "Verdict",
    "excerpt",
    "lint",
    "lint_bytes",
    "lint_stream",
]
