"""One line of strace: who, when, which call, begun or ended, with what result and exit reason."""

from __future__ import annotations

import re
from typing import NamedTuple

from kvmexit.kernel.exit_table import numbers
from kvmexit.tracelint.errors import NAMES, NUMBERS
from kvmexit.tracelint.ioctls import integer, name_of, one_of

_UNKNOWN_ERROR = -4095
_DAY = 86400.0
_CLOCK = re.compile(rb"(\d\d):(\d\d):(\d\d(?:\.\d+)?)")
_DATE = re.compile(rb"\d{10}(?:\.\d+)?")
_HEAD = re.compile(
    rb"\s*(?:\[pid\s+(?P<pid>\d+)(?:<[^>]*>)?\]\s*|(?P<id>\d{1,7})(?:<[^>]*>)?\s+)?"
    rb"(?:\[\s*\d{1,4}\]\s*)?"  # -n with a time behind it
    rb"(?P<time>\d\d:\d\d:\d\d(?:\.\d+)?\s+|\d{10}(?:\.\d+)?\s+|\d{1,6}\.\d{6}\s+)?"
    rb"(?:\(\+\s*[\d.]+\)\s*)?"  # -r beside another time
    rb"(?:\[\s*\d{1,4}\]\s*)?(?:\[[0-9a-f?]{8,16}\]\s*)?"  # -n, -i
    rb"(?:<\.\.\. )?$"
)
_CALL = re.compile(
    rb"ioctl\((?P<fd>\d{1,10}|0x[0-9a-f]{1,16})(?P<what><.*?>+)?, "
    rb"(?P<name>(?:KVM_\w+|0x[0-9a-fA-F]{1,16}|_IOC\([^)]*\))(?:(?: or |\s/\* ?)\w+)*(?:\s?\*/)?)"
    rb"(?P<rest>[,)\s].*)?$"
)
_RESULT = re.compile(
    rb"= (?P<value>-?\d{1,20}|0x[0-9a-f]{1,16}|\?)(?:<[^>]*>)?"
    rb"(?: (?P<errno>E[A-Z0-9]+) \([^)]*\)| \(errno (?P<number>\d{1,4})\))?"
    rb"(?: \((?P<exit>(?:0x)?\w[^)]*)\))??(?: \((?:INJECTED|DELAYED)[^)]*\))*"
    rb"(?: <[\d.]+>)?$"  # a blank at the end is what is left of a mark: cut
)
FOREIGN = re.compile(  # an ioctl that is whole and not KVM's: a terminal's, a socket's
    rb"ioctl\(-?\d+(?:<.*?>)?, (?!KVM_|0x|_IOC)[A-Z][\w ]+(?:, .*|\)? .*)"
    rb"(?:= -?[\d?]|<unfinished \.\.\.>$)"
    rb"|ioctl\(-?\d+(?:<.*?>)?, "
    rb"(?:_IOC\([A-Z_|\d]+, (?!0xae)\w+, \w+, \w+\)"
    rb"|0x(?![0-9a-fA-F]*[aA][eE][0-9a-fA-F]{2}\b)\w+)"
    rb"(?:, .*|\)? .*)"
    rb"(?:= -?[\d?]|<unfinished \.\.\.>$)"
)
_IOC = re.compile(
    rb"_IOC\((?P<dir>[A-Z_|0-9]+), 0xae, "
    rb"(?P<nr>0x[0-9a-f]{1,4}|\d{1,4}), (?P<size>0x[0-9a-f]{1,4}|\d{1,5})\)"
)
_DIRECTIONS = {b"_IOC_NONE": 0, b"_IOC_WRITE": 1, b"_IOC_READ": 2, b"_IOC_READ|_IOC_WRITE": 3}
MARK = re.compile(
    rb"\+\+\+ .* \+\+\+$|--- .* ---$|--- stopped|VCPU(?::\d+)?[+<>]"
    rb"|strace: (?:Process|\[ Process|[Aa]tt|[Dd]et)"
    rb"|^\s*>\s\S.*\[0x[0-9a-f]+\]$|^\s*> ?\w*backtrac\w+"
)
OTHER = re.compile(  # any other whole system call, or half of one
    rb"\b(?!ioctl\b)[a-z_][a-z0-9_]*\(.*(?:\)\s+= |<unfinished \.\.\.>$)"
    rb"|<\.\.\. (?!ioctl)\w+ resumed>.*"
)
CLOSE = re.compile(rb"close\((\d{1,10})(?:<.*>)?\)\s*= 0")
CLONE = re.compile(rb"(?:clone3?|v?fork)(\(| resumed>)(.*?)(?:= (\d{1,7})(?:<[^>]*>)?|<unfinished)")
KICK = re.compile(rb"tgkill\((\d{1,7})(?:<[^>]*>)?, (\d{1,7})(?:<[^>]*>)?, .*= 0")
_PIECE = re.compile(  # of a call, or of a log of another format that was put into this one
    rb"kvm_(?:userspace_exit|mmio|pio|entry|exit|vcpu_ioctl|run_exit)\b|cpu_index"
    rb"|ioctl\(|ioctl resumed|KVM_\w+(?:[,)]|$)|\(KVM_EXIT_|= -1 EINTR"
)


NOTABLE = re.compile(rb"kvm|close\(|clone|fork|tgkill|execve|\+\+\+|\0")
"""What a line that is no ioctl may have to say: of descriptors, threads, their ends."""


class Call(NamedTuple):
    """What one line says of a call: begun, resumed, or (neither) both in one.

    ``exit`` is an exit's name that the table does not have, or the errno's. ``made`` is false for
    a result that strace injected: the kernel never saw the call. ``on`` is what ``-y`` says of the
    descriptor.
    """

    fd: int
    name: str
    result: int | None
    reason: int | None
    begun: bool = False
    resumed: bool = False
    exit: str = ""
    made: bool = True
    on: bytes = b""


class Head(NamedTuple):
    """What stands before a call: the thread (0 if the log has none), the time, and where in the
    line the time begins and ends."""

    thread: int
    time: bytes
    begin: int
    end: int


def head_of(text: bytes) -> Head | None:
    """What ``text``, a line up to its call, says; ``None`` if there is something else in it."""
    match = _HEAD.match(text)
    if match is None:
        return None
    thread = int(match["pid"] or match["id"] or 0)
    time = match["time"] or b""
    begin, end = match.span("time") if time else (len(text), len(text))
    return Head(thread, time.strip(), begin, end)


def seconds(time: bytes) -> float | None:
    """A time of day or a date in seconds; ``None`` for one that is relative to the line before."""
    day = _CLOCK.fullmatch(time)
    if day:
        return int(day[1]) * 3600.0 + int(day[2]) * 60.0 + float(day[3])
    return float(time) if _DATE.fullmatch(time) else None


def went_back(before: bytes, now: bytes) -> bool:
    """Whether ``now`` is earlier than ``before``. A time of day may pass midnight."""
    a, b = seconds(before), seconds(now)
    if a is None or b is None:
        return False
    if b":" not in now:
        return b < a
    return (b - a + _DAY / 2) % _DAY < _DAY / 2


def parse(tail: bytes) -> Call | None:
    """The call in ``tail``, a line from ``ioctl`` on; ``None``: not KVM's, or garbled."""
    if tail.startswith(b"ioctl resumed>"):
        return _with_outcome(Call(-1, "", None, None, resumed=True), tail)
    match = _CALL.match(tail)
    name = _name(match["name"]) if match else ""
    if not match or not name:
        return None
    rest = match["rest"] or b""
    begun = rest.endswith(b"<unfinished ...>")
    if not begun and not _RESULT.search(rest):
        return None
    call = Call(integer(match["fd"]), name, None, None, begun=begun, on=match["what"] or b"")
    return call if begun else _with_outcome(call, rest)


def is_call(line: bytes) -> bool:
    """Whether ``line`` is one of KVM's ioctls, whole, with nothing but a thread and a time before
    it."""
    start = line.find(b"ioctl")
    return start >= 0 and head_of(line[:start]) is not None and parse(line[start:]) is not None


def is_foreign(line: bytes, start: int) -> bool:
    """Whether the ioctl at ``start`` is whole and not KVM's."""
    return bool(FOREIGN.match(line, start)) and not line.endswith(b"<unfinished ...>")


def is_piece(line: bytes) -> bool:
    """Whether ``line`` looks like a piece of a KVM call, and not like what a program says."""
    return bool(_PIECE.search(line))


def is_suspect(line: bytes) -> bool:
    """Whether a line that is no system call can be a piece of one that matters. What a program
    says on standard error, between the lines or in the middle of one, is none."""
    if b"\0" in line or is_piece(line):
        return True
    return b"(" not in line and (line[:1].isdigit() or line.startswith(b"["))


def may_be_entry(line: bytes) -> bool:
    """Whether the cut last line of a log can be a KVM_RUN: then nothing hides in it."""
    begun = line.rpartition(b", ")[2] if b"KVM_RUN" not in line else b"KVM_RUN"
    return b"KVM_RUN".startswith(begun)


def _name(token: bytes) -> str:
    """The ioctl's name, decoded or raw; ``""`` if it is not KVM's."""
    if token.startswith(b"KVM_"):
        return one_of(token.decode())
    if token.startswith(b"0x"):
        return name_of(int(token.partition(b" ")[0], 16))
    match = _IOC.match(token)
    if not match or match["dir"] not in _DIRECTIONS:
        return ""
    size, nr = integer(match["size"]), integer(match["nr"])
    return name_of(_DIRECTIONS[match["dir"]] << 30 | size << 16 | 0xAE << 8 | nr)


def _with_outcome(call: Call, text: bytes) -> Call:
    """``call`` with its result and exit; a result of ``None`` is not in the text."""
    match = _RESULT.search(text)
    if not match or match["value"] == b"?":
        return call
    made = b"(INJECTED" not in match[0]
    value = integer(match["value"])
    if value < 0:
        name = (match["errno"] or b"").decode()
        raw = int(match["number"] or (-value if value < -1 else 0))
        if not name and not raw:
            return call
        name = name or NAMES.get(raw, f"error {raw}")
        number = NUMBERS.get(name)
        return call._replace(result=-number if number else _UNKNOWN_ERROR, exit=name, made=made)
    reason, exit = _reason((match["exit"] or b"").decode("ascii", "replace"))
    return call._replace(result=value, reason=reason, exit=exit, made=made)


def _reason(text: str) -> tuple[int | None, str]:
    """An exit's number, or the name of one that is not in the table."""
    for word in text.replace("*", " ").replace("/", " ").split():
        if word in numbers():
            return numbers()[word], ""
        if word.startswith("0x") and "KVM_EXIT_" not in text:
            return int(word, 16), ""
        if word.startswith("KVM_EXIT_"):
            return None, word
    return None, ""
