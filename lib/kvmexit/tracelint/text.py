"""Reports as text: a summary, the findings with their lines, and the window as lanes."""

from __future__ import annotations

from collections.abc import Iterator

from kvmexit.tracelint.effects import ABANDONED
from kvmexit.tracelint.finding import Finding
from kvmexit.tracelint.judge import Verdict
from kvmexit.tracelint.report import Report

DRAIN = """\
run->immediate_exit = 1;
while (ioctl(vcpu, KVM_RUN, 0) == 0)
        serve(run);                     /* each return is another exit: answer it */
assert(errno == EINTR);                 /* now the vCPU is between two instructions */
run->immediate_exit = 0;                /* the kernel does not clear it */
"""
_CHAPTER = "see chapter 16, What a log can show"
_SHOWN = 20


def summary(report: Report, explain: bool = False) -> Iterator[str]:
    """The report as lines of text."""
    yield (
        f"{report.name}: {report.verdict.value} ({report.format}, {_many(report.lines, 'line')},"
        f" {_many(report.vcpus, 'vCPU')}, {_many(report.entries, 'KVM_RUN')},"
        f" {_many(report.fine, 'state ioctl')} after completion)"
    )
    for reason in report.reasons:
        yield f"  {'cannot tell' if report.verdict is Verdict.CANNOT_TELL else 'also'}: {reason}"
    for finding in report.findings[:_SHOWN]:
        yield from _finding(finding, explain)
    if report.count > _SHOWN:
        yield f"  and {report.count - _SHOWN} more findings of the same kinds"
    if report.verdict is Verdict.CLEAN:
        yield f"  {_clean(report)}"
    if report.cuts:
        yield f"  {_many(report.cuts, 'cut')} in this excerpt: nothing is said about the lines cut"


def _clean(report: Report) -> str:
    if report.shows_ioctls:
        return (
            "every state ioctl came after a KVM_RUN that had completed; whether all state was saved"
            f" (events, MP state), and restored in order, no log of calls shows: {_CHAPTER}"
        )
    drains = _many(report.drains, "drain")
    return (
        f"every read was completed, and {drains} seen; this log does not show ioctls, so a"
        f" KVM_SET_REGS on a vCPU that then runs on would not be seen: {_CHAPTER}"
    )


def _finding(finding: Finding, explain: bool) -> Iterator[str]:
    what = " ".join(part for part in (finding.exit, finding.direction, finding.where) if part)
    yield ""
    yield f"  line {finding.line}: {finding.vcpu}: {_acts(finding)} while {what} was pending"
    if explain:
        yield from _lanes(finding)
    else:
        for line in finding.lines:
            yield f"    {line.number:>8}  {line.role:<6} {line.text[:140]}"
    yield f"    the guest will see: {finding.effect}"


def _acts(finding: Finding) -> str:
    if ABANDONED in finding.ioctls:
        return "the vCPU was left"
    first = finding.ioctls[0]
    more = len(finding.ioctls) - 1
    return f"{first}{f' and {more} more' if more else ''}"


def _lanes(finding: Finding) -> Iterator[str]:
    """The window from exit to entry: who does what, in columns."""
    row = "    {:>8}  {:<24}{:<34}{}".format
    yield row("line", "VMM", "kernel", "guest")
    what = f"{finding.direction or 'access'} {finding.where}".strip()
    yield row(finding.exit_line, "KVM_RUN returns 0  <---", finding.exit, f"half done: {what}")
    shown = [line for line in finding.lines if line.role == "state"]
    for line, name in zip(shown, finding.ioctls, strict=False):
        does = "shows nothing pending" if name.startswith("KVM_GET") else "leaves it pending"
        yield row(line.number, name, does, "|")
    if len(finding.ioctls) > len(shown):
        yield row("", f"... {len(finding.ioctls) - len(shown)} more", "", "|")
    entry = [line for line in finding.lines if line.role == "entry"]
    if entry:
        late = "too late: after the state was touched"
        yield row(entry[0].number, "KVM_RUN            --->", "completes first", late)
    else:
        yield row("", "(no KVM_RUN any more)", "", "the other half never happens here")


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
