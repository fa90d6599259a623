"""Why the answer is *cannot tell*, and the one command that would decide it."""

from __future__ import annotations

from typing import NamedTuple

LIVE = "kvmexit lint --pid PID"
_START = "kvmexit lint --strace -- VMM ARGUMENTS"
_EVENTS = "trace-cmd record -e kvm -e syscalls:sys_enter_ioctl -e syscalls:sys_exit_ioctl"
_KERNEL = f"{_EVENTS} -P PID"


class Doubt(NamedTuple):
    """A reason, and a command that records what is missing. ``kind``: what it has in common with
    others that name another line."""

    why: str
    command: str
    kind: str = ""


HIDDEN = Doubt(
    "state touched after KVM_RUN returned 0 for a reason that the log does not give"
    " (HLT needs no completion, MMIO does): record with `strace -e kvm=vcpu`",
    LIVE,
)
SILENT = Doubt(
    "state touched after a KVM_RUN of which no exit came. That is the good pattern,"
    " but this log does not show that the kernel completed anything: record strace or tracefs",
    LIVE,
)
UNKNOWN = Doubt(
    "state touched, and the last KVM_RUN of that vCPU, or its result, is not in the"
    " log: record from the start",
    _START,
)
OVERLAP = Doubt(
    "state touched by one thread while another was in KVM_RUN: which of the two came first is not"
    " in the log, and one order is good and the other is not",
    LIVE,
)
WHOSE = Doubt(
    "several threads use one vCPU's number, and the log does not show whether they are of one"
    " process: one vCPU, or two VMs; record each VM by itself",
    LIVE,
)
GARBLED = Doubt("lines are missing or garbled", LIVE)
LOST_EVENTS = f"{_KERNEL} -b 65536"
NO_CALL = Doubt("a thread runs a vCPU, but its ioctls are not in the log", _KERNEL)
STALE = Doubt(
    "perf and trace-cmd print the reason of an earlier exit after EINTR, so an exit here is port"
    " input or EINTR: record the ioctls too",
    _KERNEL,
)
INSIDE = Doubt(
    "a port that KVM may serve itself is written just before an exit, and this log does not show"
    " when the guest was entered: the exit is for this write, or for a port read",
    _KERNEL,
)
ENDS_PENDING = Doubt(
    "the log ends while an exit is pending, as that of a bad migration's source does, and it does"
    " not show ioctls: record them too",
    _KERNEL,
)
NO_RUN = Doubt("no KVM_RUN in this log", LIVE)
NO_SAVE = Doubt(
    "no vCPU state was read or written after the guest had run: record a save (registers that"
    " are read through KVM_CAP_SYNC_REGS are in no log)",
    LIVE,
)
NO_IOCTLS = Doubt("no drain in this log, and it does not show ioctls: record them too", _KERNEL)
JOINED = Doubt(
    "lines follow the end of a thread, and none has a thread id: files of several threads were put"
    " one after the other; merge them by time",
    "strace-log-merge PREFIX > vmm.strace",
)

OTHERS = Doubt("more doubts, of other kinds than these", LIVE)


def of_one_file(doubt: Doubt) -> Doubt:
    """A log without thread ids may be one file of ``strace -ff``, and the others have the rest."""
    why = f"{doubt.why}; if this is one of the files of `strace -ff`, merge them"
    return Doubt(why, f"strace-log-merge PREFIX > vmm.strace; else {doubt.command}")


def lost(what: str) -> Doubt:
    """``what`` was lost by the recorder."""
    return Doubt(what, LOST_EVENTS)


def disorder(format: str) -> Doubt:
    """Times go back."""
    how = {
        "strace": "strace-log-merge PREFIX > vmm.strace",
        "qemu": "sort -s -t@ -k2 qemu.log",
    }
    tool = how.get(format, "trace-cmd report > vmm.ftrace")
    return Doubt(
        "times go back: parts of a log were put one after the other, and the order of the lines is"
        f" not that of time; merge them with {tool.partition(' ')[0]}",
        tool,
    )


def failed(errno: str, line: int) -> Doubt:
    """KVM_RUN failed, neither with EINTR nor before it had begun."""
    return Doubt(
        f"state touched after KVM_RUN failed with {errno} (line {line}): whether it completed what"
        " was pending is not known",
        _KERNEL,
        f"failed with {errno}",
    )


def depends(name: str) -> Doubt:
    """The need of this exit depends on its type, or on the machine."""
    return Doubt(
        f"state touched after {name}: whether it needs completion depends on its type or on the"
        " machine, and the log shows neither",
        _KERNEL,
    )


def newer(name: str) -> Doubt:
    """An exit that the table does not have."""
    return Doubt(
        f"state touched after {name}, which is not in the table of exits of this lint: see what"
        " the documentation of that kernel says of its completion",
        "grep -n -A9 KVM_EXIT Documentation/virt/kvm/api.rst",
    )


def unnamed(number: int) -> Doubt:
    """A number for which the kernel that printed it had no name."""
    return Doubt(
        f"state touched after exit {number}: the kernel that wrote this log has no name for it, so"
        " there it is not the exit that has this number today",
        "uname -r; grep KVM_EXIT_ include/uapi/linux/kvm.h",
    )


def unrecorded(event: str) -> Doubt:
    """Something was told from the absence of an event that the log has nowhere."""
    return Doubt(
        f"no {event} event in the whole log: they were not recorded, and that none completes a read"
        " proves nothing",
        "trace-cmd record -e kvm -P PID",
    )
