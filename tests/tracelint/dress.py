"""The same steps as a log: in every format, and as logs are when they are posted."""

from __future__ import annotations

import random
from collections.abc import Callable

from worlds import NUMBER, Step, World

NUMBERS = {"GET_REGS": 0x8090AE81, "GET_SREGS": 0x8138AE83, "SET_REGS": 0x4090AE82}
OTHER_NUMBERS = {"GET_REGS": 0x4170AE81, "GET_SREGS": 0x4400AE83, "SET_REGS": 0x8170AE82}
Lines = list[tuple[float, int, str]]
"""Time in seconds, thread, text."""


def strace(
    world: World, rng: random.Random, *, reasons: bool, stamp: str, ids: bool, arm: bool, ty: bool
) -> Lines:
    """strace -f; with -e kvm=vcpu if ``reasons``. ``arm``: registers one by one, two names."""
    lines: Lines = []
    begun: dict[int, tuple[Step, float]] = {}
    shown: set[int] = set()  # threads whose call has an <unfinished ...> line
    on = {True: "<anon_inode:kvm-vcpu:0>", False: ""}[ty]

    def what(step: Step) -> str:
        name = "KVM_RUN, 0" if step.what == "run" else f"KVM_{step.name}, 0x7ffd"
        if arm and step.what == "touch":
            verb = "SET_DEVICE_ADDR or KVM_GET" if step.name.startswith("GET") else "SET"
            name = f"KVM_{'ARM_' if ' or ' in verb else ''}{verb}_ONE_REG, 0x7ffd"
        return f"ioctl({step.vcpu.fd}{on}, {name}"

    def ending(step: Step) -> str:
        if step.result < 0:
            mark = "" if step.made else " (INJECTED)"
            return f"= -1 EINTR (Interrupted system call){mark}"
        return "= 0" + (f" (KVM_EXIT_{step.exit.split()[0]})" if reasons and step.exit else "")

    def interrupt(but: int) -> None:
        for thread, (step, at) in begun.items():
            if thread != but and thread not in shown:
                shown.add(thread)
                lines.append((at, thread, f"{what(step)} <unfinished ...>"))

    for i, step in enumerate(world.steps):
        now = 10.0 + i * 0.00025
        if step.what == "create":
            lines.append((now, step.thread, f"ioctl(12, KVM_CREATE_VCPU, 0) = {step.vcpu.fd}{on}"))
        elif step.what in ("run", "touch"):
            interrupt(step.thread)
            begun[step.thread] = (step, now)
        elif step.what in ("ran", "touched"):
            interrupt(step.thread)
            first, at = begun.pop(step.thread)
            if step.thread in shown:
                shown.discard(step.thread)
                lines.append((now, step.thread, f"<... ioctl resumed>) {ending(step)}"))
            else:
                lines.append((at, step.thread, f"{what(first)}) {ending(step)}"))
    interrupt(0)
    return [(at, thread, _head(at, thread, stamp, ids) + text) for at, thread, text in lines]


def _head(at: float, thread: int, stamp: str, ids: bool) -> str:
    when = {"": "", "tt": f"10:00:{at:09.6f} ", "ttt": f"17000000{at:09.6f} "}[stamp]
    return (f"{thread:<5} " if ids else "") + when


def events(
    world: World,
    rng: random.Random,
    *,
    tool: str,
    ioctls: bool,
    bounds: bool,
    classes: tuple[str, ...],
    flags: str,
) -> Lines:
    """Kernel events, as ``tool`` prints them: tracefs, trace-cmd or perf. ``classes``: which of
    the accesses were recorded."""
    lines: Lines = []
    stale: dict[int, str] = {}
    prefix = "kvm:" if tool == "perf" else ""
    for i, step in enumerate(world.steps):
        now = 3000.0 + i * 0.000013
        texts: list[str] = []
        number = NUMBERS.get(step.name, 0xAE80)
        if step.what == "create" and ioctls:
            texts = [_enter(tool, 12, 0xAE41), _leave(tool, step.vcpu.fd)]
        elif step.what in ("run", "touch") and ioctls:
            texts = [_enter(tool, step.vcpu.fd, number)]
        elif step.what == "ran" and step.made:
            reason = f"KVM_EXIT_{step.exit.split()[0]} ({NUMBER[step.exit]})" if step.exit else ""
            if not reason:
                old = stale.get(step.thread, "")
                reason = old if tool != "tracefs" and old else "restart (4)"
            elif tool != "tracefs":
                stale[step.thread] = reason
            texts = [f"{prefix}kvm_userspace_exit: reason {reason}"]
            texts += [_leave(tool, step.result)] if ioctls else []
        elif step.what == "touched" and ioctls:
            texts = [_leave(tool, 0)]
        elif step.what == "access":
            texts = [f"{prefix}{text}" for text in _access(step, rng) if text[:8] in classes]
        elif step.what == "enter" and bounds:
            texts = [f"{prefix}kvm_entry: vcpu 0, rip 0x1000"]
        elif step.what == "exit" and bounds:
            texts = [f"{prefix}kvm_exit: vcpu 0 reason {_why(step.name)} rip 0x1000 info1 0x0"]
        for text in texts:
            if tool == "perf":
                head = f"    vmm {step.thread:>5} [{step.vcpu.process // 100:03}] {now:.6f}: "
            else:
                mark = f"{flags} " if tool == "tracefs" else ""
                head = f"    vmm-{step.thread:<5} [{step.vcpu.process // 100:03}] {mark}{now:.6f}: "
            lines.append((now, step.thread, head + text))
    return lines


def _enter(tool: str, fd: int, number: int) -> str:
    if tool == "tracefs":
        return f"sys_ioctl(fd: {fd:#x}, cmd: {number:#x}, arg: 0)"
    prefix = "syscalls:" if tool == "perf" else ""
    return f"{prefix}sys_enter_ioctl: fd: 0x{fd:08x}, cmd: 0x{number:08x}, arg: 0x0"


def _leave(tool: str, result: int) -> str:
    text = f"{result & (1 << 64) - 1:#x}"
    if tool == "tracefs":
        return f"sys_ioctl -> {text}"
    return f"{'syscalls:' if tool == 'perf' else ''}sys_exit_ioctl: {text}"


def _why(exit: str) -> str:
    return {"IO": "CPUID", "HL": "HLT", "MM": "EPT_VIOLATION"}.get(exit[:2], "EPT_MISCONFIG")


def _access(step: Step, rng: random.Random) -> list[str]:
    """``MMIO read: asked``, ``done`` or ``inside`` as events."""
    what, _, when = step.name.partition(": ")
    value = step.vcpu.value & 0xFF
    if what.startswith("MMIO"):
        gpa = rng.choice((0x8000184, 0xFEE000B0)) if when == "inside" else 0xD0024
        verb = "unsatisfied-read" if (what, when) == ("MMIO read", "asked") else what[5:]
        return [f"kvm_mmio: mmio {verb} len 1 gpa {gpa:#x} val {value:#x}"]
    port = rng.choice((0x20, 0x21, 0xA0, 0x43)) if when == "inside" else 0x3F8
    return [f"kvm_pio:  pio_{what[3:]} at {port:#x} size 1 count 1 val {value:#x} "]


def qemu(world: World, rng: random.Random, *, style: str, other: bool) -> Lines:
    """QEMU's own log: KVM_RUN before the call, an exit after it, state ioctls when they begin."""
    numbers = OTHER_NUMBERS if other else NUMBERS
    lines: Lines = []
    for i, step in enumerate(world.steps):
        now = 50.0 + i * 0.0002
        index = step.vcpu.fd - 13
        text = ""
        if step.what == "run":
            text = f"kvm_vcpu_ioctl cpu_index {index}, type {0x2000AE80 if other else 0xAE80:#x}"
        elif step.what == "touch":
            text = f"kvm_vcpu_ioctl cpu_index {index}, type {numbers[step.name]:#x}"
        elif step.what == "ran" and step.result == 0:
            text = f"kvm_run_exit cpu_index {index}, reason {NUMBER[step.exit]}"
        if text:
            text += ", arg 0x7f00" if "type" in text else ""
            head = {
                "old": f"{step.thread}@17000000{now:.6f}:",
                "new": f"2026-01-02T10:11:{now:09.6f}Z ",
                "plain": "",
            }[style]
            lines.append((now, step.thread, head + text))
    return lines


PREFIXES: tuple[Callable[[int, str], str], ...] = (
    lambda n, line: f"> {line}",
    lambda n, line: f"> > {line}",
    lambda n, line: f"    {line}",
    lambda n, line: f"* {line}",
    lambda n, line: f"- {line}",
    lambda n, line: f"-> {line}",
    lambda n, line: f"{n:6}\t{line}",
    lambda n, line: f"{n}. {line}",
    lambda n, line: f"vmm.log:{n}:{line.lstrip()}",
    lambda n, line: f"Nov 25 10:00:00 host vmm[77]: {line}",
    lambda n, line: f"\x1b[32m{line}\x1b[0m",
    lambda n, line: f"| {line} |",
)
