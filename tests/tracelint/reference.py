"""The same rule with one regular expression a line: short, slow, and only for strace.

It serves as the second opinion on strace logs, and as the yardstick of the benchmark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

LINE = re.compile(
    rb"^(?:(?P<thread>\d+)\s+)?(?:[\d:.]+\s+)?ioctl\((?P<fd>\d+)(?:<[^>]*>)?, (?P<name>KVM_\w+)"
    rb".*= (?P<result>-?\d+)(?:<[^>]*>)?(?: (?P<errno>E\w+) \(.*\)| \((?P<exit>KVM_EXIT_\w+)\))?$"
)
FINE = {b"KVM_EXIT_HLT", b"KVM_EXIT_SHUTDOWN", b"KVM_EXIT_INTERNAL_ERROR", b"KVM_EXIT_DEBUG"}
STATE = re.compile(
    rb"KVM_[GS]ET_(REGS|SREGS2?|MSRS|FPU|LAPIC|MP_STATE|VCPU_EVENTS|DEBUGREGS|XSAVE2?|XCRS)$"
)


def verdict(lines: Iterable[bytes]) -> str:
    """``findings``, ``cannot tell`` or ``clean`` for an undamaged strace log of one process."""
    last: dict[bytes, str] = {}
    seen = {"pending": 0, "hidden": 0, "fine": 0}
    for line in lines:
        match = LINE.match(line)
        if not match:
            continue
        fd, name, result = match["fd"], match["name"], int(match["result"])
        if name == b"KVM_CREATE_VCPU":
            last[match["result"]] = "fresh"
        elif name == b"KVM_RUN":
            if result < 0:
                last[fd] = "fine" if match["errno"] == b"EINTR" else "hidden"
            elif match["exit"]:
                last[fd] = "fine" if match["exit"] in FINE else "pending"
            else:
                last[fd] = "hidden"
        elif result >= 0 and STATE.match(name):
            state = last.get(fd, "hidden")
            if state != "fresh":
                seen[state] += 1
    if seen["pending"]:
        return "findings"
    return "cannot tell" if seen["hidden"] or not seen["fine"] else "clean"
