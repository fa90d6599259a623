"""One line of strace: which call, begun or ended, with what result and exit reason."""

from __future__ import annotations

import errno
import re
from typing import NamedTuple

from kvmexit.tracelint.ioctls import integer, name_of
from kvmexit.tracelint.rule import EXIT_NUMBERS

_MAX_PID = 1 << 22
_UNKNOWN_ERROR = -4095
_THREAD = re.compile(rb"\s*(?:\[pid\s+)?(\d{1,7})(?:<[^>]*>)?[\]\s]")
_CALL = re.compile(
    rb"ioctl\((?P<fd>\d{1,10}|0x[0-9a-f]{1,16})(?:<.*?>)?, "
    rb"(?P<name>KVM_\w+|0x[0-9a-f]{1,16}|_IOC\([^)]*\))(?: or \w+)*(?P<rest>[,)\s].*)?$"
)
_RESULT = re.compile(
    rb"= (?P<value>-?\d{1,20}|0x[0-9a-f]{1,16}|\?)(?:<[^>]*>)?(?: (?P<errno>E[A-Z0-9]+) \([^)]*\))?"
    rb"(?: \((?P<exit>[^)]*)\))?(?: <[\d.]+>)?\s*$"
)
FOREIGN = re.compile(  # an ioctl that is whole and not KVM's: a terminal's, a socket's
    rb"ioctl\(-?\d+(?:<.*?>)?, (?!KVM_|0x|_IOC)[A-Z][\w ]+(?:, .*|\)? .*)"
    rb"(?:= -?[\d?]|<unfinished \.\.\.>$)"
    rb"|ioctl\(-?\d+(?:<.*?>)?, (?:_IOC\([A-Z_|\d]+, (?!0xae)\w+, \w+, \w+\)|0x\w+)(?:, .*|\)? .*)"
    rb"(?:= -?[\d?]|<unfinished \.\.\.>$)"
)
_IOC = re.compile(
    rb"_IOC\((?P<dir>[A-Z_|0-9]+), 0xae, "
    rb"(?P<nr>0x[0-9a-f]{1,4}|\d{1,4}), (?P<size>0x[0-9a-f]{1,4}|\d{1,5})\)"
)
_DIRECTIONS = {b"_IOC_NONE": 0, b"_IOC_WRITE": 1, b"_IOC_READ": 2, b"_IOC_READ|_IOC_WRITE": 3}
MARK = re.compile(rb"\+\+\+ .* \+\+\+$|--- .* ---$|--- stopped|VCPU:\d+[<>]|strace: Process")
CLOSE = re.compile(rb"close\((\d{1,10})(?:<.*>)?\)\s*= 0")


class Call(NamedTuple):
    """What one line says of a call: begun, resumed, or (neither) both in one."""

    fd: int
    name: str
    result: int | None
    reason: int | None
    begun: bool = False
    resumed: bool = False


def parse(tail: bytes) -> Call | None:
    """The call in ``tail``, a line from ``ioctl`` on; ``None``: not KVM's, or garbled."""
    if tail.startswith(b"ioctl resumed>"):
        return Call(-1, "", *_outcome(tail), resumed=True)
    match = _CALL.match(tail)
    name = _name(match["name"]) if match else ""
    if not match or not name:
        return None
    rest = (match["rest"] or b"").rstrip()
    begun = rest.endswith(b"<unfinished ...>")
    if not begun and not _RESULT.search(rest):
        return None
    return Call(integer(match["fd"]), name, *_outcome(rest), begun=begun)


def thread_of(line: bytes) -> int:
    """The thread of ``line``; 0 if the log has none."""
    match = _THREAD.match(line)
    thread = int(match[1]) if match else 0
    return thread if thread <= _MAX_PID else 0  # a time stamp in seconds is none


def is_thread(token: bytes) -> bool:
    return token.isdigit() and len(token) < 8


def worth_a_look(line: bytes, start: int) -> bool:
    """Whether a line without a KVM name matters: ends of calls, closes, cuts, garbage."""
    if start >= 0 and line[start + 5 : start + 6] in b"( ":  # not a symbol of a stack trace
        return not FOREIGN.search(line) or line.endswith(b"<unfinished ...>")
    if b"resumed>" in line:  # another call's
        return False
    if b"(" not in line:  # a cut line, an exit, a comment; not what a program says on stderr
        return (
            line[:1].isdigit() or line.startswith((b"[", b"#")) or b"kvm" in line or b"\0" in line
        )
    return b"close(" in line or b"kvm" in line or b"\0" in line


def may_be_entry(line: bytes) -> bool:
    """Whether the cut last line of a log can be a KVM_RUN: then nothing hides in it."""
    begun = line.rpartition(b", ")[2] if b"KVM_RUN" not in line else b"KVM_RUN"
    return b"KVM_RUN".startswith(begun)


def _name(token: bytes) -> str:
    """The ioctl's name, decoded or raw; ``""`` if it is not KVM's."""
    if token.startswith(b"KVM_"):
        return token.decode()
    if token.startswith(b"0x"):
        return name_of(int(token, 16))
    match = _IOC.match(token)
    if not match or match["dir"] not in _DIRECTIONS:
        return ""
    size, nr = integer(match["size"]), integer(match["nr"])
    return name_of(_DIRECTIONS[match["dir"]] << 30 | size << 16 | 0xAE << 8 | nr)


def _outcome(text: bytes) -> tuple[int | None, int | None]:
    """(result, exit reason); a result of ``None`` is not in the text. Failures are -errno."""
    match = _RESULT.search(text)
    if not match or match["value"] == b"?":
        return None, None
    value = integer(match["value"])
    reason = EXIT_NUMBERS.get(match["exit"].decode("ascii", "replace")) if match["exit"] else None
    if value >= 0:
        return value, reason
    if not match["errno"]:
        return None, None
    number = getattr(errno, match["errno"].decode(), None)
    return (-number if number else _UNKNOWN_ERROR), None
