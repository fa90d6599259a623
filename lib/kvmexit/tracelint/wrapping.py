"""What others put before a line when they post or store a log, taken off before it is read.

Quotes of mails, bullets, ``journald``, ``grep -H``, ``nl``, indents, arrows, and the blanks that a
terminal puts behind each line. All formats are posted the same ways, so this is done in one place,
and only for a log whose first lines show it: that way a plain log costs nothing. What lint does not
read is named here too, with what to do instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_PARTS = (
    rb"(?:>[ \t]?)+(?!\S+\(.*\[0x)",  # > quoted, > > twice; not a frame of strace -k
    rb"\|[ \t]",  # a table
    rb"[-*+\xe2][\x80-\xbf]*[ \t]+(?=[\[\d\w(<])",  # a bullet
    rb"[-=]>[ \t]+(?=[\[\d\w(<])",  # an arrow
    rb"\+(?=[\[\d])",  # what diff adds
    rb"(?:<\d{1,3}>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? \S+ \S+?: ",  # syslog
    rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? (?=\d{1,7} |\[pid|ioctl|\[\d)",  # ts
    rb"\[\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*\][ \t]+",  # a date in brackets
    rb"\[?(?:DEBUG|INFO|WARN|ERROR|TRACE)\]?:?[ \t]+",  # what a VMM's own log says
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* \S+ [^\s(]+\[\d+\]: ",  # journald -o short-iso
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.,]*(?:Z|[+-]\d\d:?\d\d)[ \t]+"
    rb"(?:std(?:out|err) F )?",  # docker, kubectl
    rb"\d+\t[ \t]*",  # nl, cat -n
    rb"\d+ \|[ \t]",  # numbers in a table
    rb"[A-Za-z][\w.-]* +\|[ \t]",  # docker compose
    rb"(?:\.{0,2}/)?[A-Za-z_][\w./+-]*[-:]\d+[-:](?![\d ])",  # grep -nH
    rb"(?:\.{0,2}/)?[\w./+-]*\.[A-Za-z][\w.+-]*:(?=[\d\[ i])",  # grep -H
    rb"\d+:(?!\d\d[:.])",  # grep -n
)
_PREFIX = re.compile(rb"[ \t]*(?:(?:" + rb"|".join(_PARTS) + rb")[ \t]*)*")
_NUMBERED = re.compile(rb"[ \t]*(\d{1,7})(?:[.):]|[ \t]+\|)?[ \t]+(?=\S)")
_TRAILER = re.compile(rb"[ \t]+\|[ \t]*$")
_SAMPLE = 200

_FOREIGN = (
    (
        re.compile(rb"^(?:kvm|vcpu)_\w+ -?\d+\.\d{3} (?:pid=\d+ )?\w+=", re.M),
        "the output of simpletrace.py, QEMU's simple backend, which may have dropped events:"
        " record with the log backend, `-trace 'kvm_*' -D qemu.log`",
    ),
    (
        re.compile(rb"^\s*[\d.]+ \([ .\dms]*\): .*ioctl\(", re.M),
        "the output of `perf trace`: use `perf record -e 'kvm:*' -e syscalls:sys_enter_ioctl"
        " -e syscalls:sys_exit_ioctl -p PID`, then `perf script --show-lost-events`",
    ),
    (
        re.compile(rb"^(?:Attaching \d+ probes?\.\.\.|@\w*\[.*\]: |Attached \d+ probes?)", re.M),
        "the output of bpftrace: use tracefs or strace (see `kvmexit lint --help`)",
    ),
    (
        re.compile(
            rb"^\s*\d+\)[^|\n]{1,40}\|  .*[{};]|^# +CPU +(?:DURATION|TASK/PID).*FUNCTION", re.M
        ),
        "the output of the function_graph tracer: enable the events kvm and syscalls instead",
    ),
    (
        re.compile(rb"^\[[\d:.]+\] \(\+[\d.?]+\) \S+ \S+: \{", re.M),
        "the output of babeltrace (LTTng): use tracefs or strace (see `kvmexit lint --help`)",
    ),
    (
        re.compile(rb"^\d+ [\d:.]+ \d+ \S+ \(\d+\) [<>] ioctl ", re.M),
        "the output of sysdig: use tracefs or strace (see `kvmexit lint --help`)",
    ),
    (
        re.compile(rb"VM-EXIT +Samples|^# Overhead|^# Samples: |^ +\d+\.\d+% ", re.M),
        "a summary of perf, which has no order of events: use `perf script`",
    ),
    (
        re.compile(rb"^% time +seconds +usecs/call", re.M),
        "the summary of `strace -c`, which has no order of calls: run strace without -c",
    ),
    (
        re.compile(rb"^(?:<\d+>)?\[ *\d+\.\d{6}\] \S", re.M),
        "a kernel log (dmesg), which does not show ioctls: see `kvmexit lint --help`",
    ),
)
_HTML = re.compile(
    rb"<!DOCTYPE html|<html[ >]|&lt;(?:anon_inode|unfinished|\.\.\. |/?dev)|&gt; 0x|resumed&gt;",
    re.I,
)
_QUOTED = re.compile(rb"=3[CDE]|=20$|[^=]=$", re.M)
_BASE64 = re.compile(rb"(?:^[A-Za-z0-9+/]{60,}={0,2}\r?\n){3}", re.M)


Unwrap = Callable[[Iterable[bytes]], list[bytes]]
"""Takes the wrapping off lines."""


def foreign(head: bytes) -> str:
    """What ``head`` is, and what to use instead, if it is something known that lint cannot read."""
    return next((what for pattern, what in _FOREIGN if pattern.search(head)), "")


def encoded(head: bytes) -> str:
    """How ``head`` is wrapped, if lines of a log in it cannot be read for that; else ``""``."""
    if _HTML.search(head):
        return "HTML: save the text of the page, or unescape it, and lint that"
    lines = head.count(b"\n") or 1
    if len(_QUOTED.findall(head)) >= max(1, lines // 4) and re.search(rb"=3D[ \t-]*\d", head):
        return "quoted-printable: save the decoded text of the mail, and lint that"
    if _BASE64.search(head):
        return "base64: decode it, and lint that"
    return ""


def unwrapper(lines: list[bytes], kind_of: Callable[[bytes], str]) -> Unwrap | None:
    """What takes the wrapping off the lines of a log that begins with ``lines``.

    ``None`` if they are plain: if no line becomes one of a known format by it.
    """
    spread = lines[_SAMPLE :: len(lines) // _SAMPLE + 1]
    sample = [line for line in (*lines[:_SAMPLE], *spread) if line.strip()]
    numbered = _is_numbered([line for line in lines[:_SAMPLE] if line.strip()])
    padded = sum(line.endswith((b" ", b"\t")) for line in sample) * 2 > len(sample)

    def strip(line: bytes) -> bytes:
        match = _NUMBERED.match(line) if numbered else _PREFIX.match(line)
        if match is None:
            return line
        line = line[match.end() :].rstrip(b" \t") if padded else line[match.end() :]
        return _TRAILER.sub(b"", line) if b"|" in match[0] else line

    calls = padded and any(kind_of(line) == "strace" for line in sample)
    if not calls and not any(kind_of(strip(line)) and not kind_of(line) for line in sample):
        return None
    return lambda many: [strip(line) for line in many]


def _is_numbered(lines: list[bytes]) -> bool:
    """Whether the numbers in front count the lines."""
    found = [_NUMBERED.match(line) for line in lines]
    numbers = [int(match[1]) for match in found if match]
    steps = {b - a for a, b in zip(numbers, numbers[1:])}
    return len(numbers) >= 3 and len(numbers) == len(lines) and steps == {1}
