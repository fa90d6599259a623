"""`kvmexit lint`: is this VMM's save path right?"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kvmexit.commands.scenario import add_json, print_json
from kvmexit.commands.terminal import awaited, say, styled, teller
from kvmexit.errors import KvmExitError
from kvmexit.tracelint.detect import READERS
from kvmexit.tracelint.judge import Judge, Verdict
from kvmexit.tracelint.pair import Between, compare
from kvmexit.tracelint.record import attach, record
from kvmexit.tracelint.report import Progress, Report, lint
from kvmexit.tracelint.text import DRAIN, summary

_LARGE = 16 << 20
_OFTEN = 0.2
STATUS = {Verdict.CLEAN: 0, Verdict.FINDINGS: 1, Verdict.CANNOT_TELL: 3}

DESCRIPTION = """\
Read logs of a VMM that uses KVM and answer: was a vCPU's state read or written, or its VM
saved, between an exit and the KVM_RUN that completes it?

After KVM_EXIT_MMIO, KVM_EXIT_IO and some others the guest has executed half an instruction.
The kernel does the other half at the start of the next KVM_RUN, and none of it is in
KVM_GET_REGS or in anything else that can be saved. A VMM that saves (snapshot, migration,
debugger) at such a moment makes its guest read a device twice, lose an answer, or lose half
a write. Rare, silent, and visible in a log.
"""

HOW_TO = f"""\
how to record (save or migrate the guest while the log runs; best while it uses a device)
  strace      strace -f -y -e trace=ioctl -e kvm=vcpu -o vmm.strace VMM ARGUMENTS
              strace -f -y -e trace=ioctl -e kvm=vcpu -o vmm.strace -p PID
              Without -e kvm=vcpu (it needs Linux 4.16 or later) the log does not say why
              KVM_RUN returned, and a bad save is only a "cannot tell".
              Or at once:  kvmexit lint --strace -- VMM ARGUMENTS
  tracefs     as root; shows addresses and directions too, and is cheaper than strace:
              mount -t tracefs tracefs /sys/kernel/tracing          (if it is not there)
              mkdir /sys/kernel/tracing/instances/vmm
              cd /sys/kernel/tracing/instances/vmm && echo 65536 > buffer_size_kb
              for t in /proc/PID/task/*; do echo ${{t##*/}} >> set_event_pid; done
              echo 1 > events/kvm/enable
              echo 1 > events/syscalls/sys_enter_ioctl/enable
              echo 1 > events/syscalls/sys_exit_ioctl/enable
              ... save the guest ...;  cat trace > ~/vmm.ftrace
              cd /; rmdir /sys/kernel/tracing/instances/vmm
  trace-cmd   trace-cmd record -e kvm -e syscalls:sys_enter_ioctl -e syscalls:sys_exit_ioctl
              -P PID;  trace-cmd report > vmm.ftrace
  perf        perf record -e 'kvm:*' -e syscalls:sys_enter_ioctl -e syscalls:sys_exit_ioctl
              -p PID;  perf script --show-lost-events > vmm.perf
              (kvm:* alone shows only reads left undone)
  QEMU        -trace 'kvm_*' -D qemu.log   can show a bad save; a good one it proves only
              where an exit such as HLT came last: an EINTR has no line.
  a running   kvmexit lint --pid PID           follows it with strace, and counts; Ctrl-C ends
  VMM         that and leaves the VMM running
  two hosts   kvmexit lint --pair SOURCE DESTINATION   (kernel events of both): what the guest
              sees twice, or never, by value
  Logs may be quoted, indented, numbered, from journald or grep, coloured; HTML and
  quoted-printable are not read. One log of all threads: merge the files of strace -ff with
  strace-log-merge, those of per_cpu with trace-cmd report.

verdicts and status
  0  clean        at least one state ioctl came after the guest had run, and every one of
                  them after a KVM_RUN that had completed (EINTR, or an exit like HLT); of a
                  log without ioctls: at least one drain, and every read completed
  1  findings     state was touched while an exit was pending; each finding names the line,
                  the vCPU, the exit, and what the guest will see
  2               a file cannot be read, is empty, binary, or no log (one line says why)
  3  cannot tell  the log does not show enough; each reason names the command that would
  Of several files the worst counts: 2, then 1, then 3, then 0.

what a finding means
  read repeated       the state, restored into a new VM, runs the instruction again: a FIFO
                      pops twice, the guest misses a byte
  answer dropped      KVM_SET_REGS on the same vCPU made the completion lose the answer: one
                      stale byte
  second half lost    the rest of a write that takes several exits is only in the kernel
  write repeated      the write has not retired at its exit (a plain out with VMX or SVM, a
                      store on arm64): the device sees it twice
  What no log shows: registers taken through KVM_CAP_SYNC_REGS, state that was not saved at
  all (events, MP state), the order of a restore.

how to fix it: drain each vCPU, in its own thread, before the first state ioctl
{"".join(f"  {line}" for line in DRAIN.splitlines(keepends=True))}
  Once is not enough: an access that crosses a page, a read-modify-write or a string
  instruction comes back with its next piece. Drain before the last copy of guest memory:
  completion may write to it. Keep the devices alive until then.
"""


def add(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "lint",
        help="read strace, tracefs, perf or QEMU logs of a VMM: was a vCPU saved while pending?",
        description=DESCRIPTION,
        epilog=HOW_TO,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="a log, plain or gzip; - is standard input (with --strace: the command)",
    )
    parser.add_argument("--format", choices=list(READERS), help="default: told from the content")
    add_json(parser)
    parser.add_argument(
        "--explain", action="store_true", help="show each finding as lanes: VMM, kernel, guest"
    )
    parser.add_argument(
        "--strace", action="store_true", help="run a command under strace and read as it goes"
    )
    parser.add_argument("--pid", type=int, help="follow this VMM with strace, and count")
    parser.add_argument(
        "--pair", action="store_true", help="two files, of source and destination of one restore"
    )
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    failed: list[KvmExitError] = []
    between: tuple[Between, ...] = ()
    if args.strace and args.pid is None:
        with _counting() as tell:
            report, status = record(args.files, sys.__stderr__ if args.json else None, tell)
        reports = [report]
        print(f"kvmexit: the command ended with status {status}", file=sys.stderr)
    elif args.pid is not None:
        if args.files:
            raise KvmExitError("--pid takes no file: it makes the log itself")
        with _counting() as tell:
            reports = [attach(args.pid, tell)]
    elif not args.files:
        raise KvmExitError("lint needs a log file, or - for standard input (see `lint --help`)")
    else:
        if args.pair and len(args.files) != 2:
            raise KvmExitError("--pair needs two files: of the source, and of the destination")
        for name in args.files if args.pair else ():
            if name == "-" or Path(name).is_fifo():
                raise KvmExitError(f"--pair reads twice, and {name} is a pipe: save it as a file")
        reports, failed = _read(args.files, args.format)
        if args.pair and not failed:
            between = compare(*args.files)
    if args.json:
        said = {"verdict": _worst(reports), "reports": [r.as_json() for r in reports]}
        print_json({**said, "pair": [one._asdict() for one in between]} if args.pair else said)
    else:
        _print(reports, args.explain)
        for one in between:
            say(f"from {args.files[0]} to {args.files[1]}: {one.vcpu}: {one.kind}\n  {one.says}")
    for problem in failed:
        print(f"kvmexit: {problem}", file=sys.stderr)
    statuses = [STATUS[report.verdict] for report in reports]
    statuses += [1] if any(one.kind in ("repeated", "missing") for one in between) else []
    return 2 if failed else next((s for s in (1, 3) if s in statuses), 0)


def _read(files: list[str], format: str | None) -> tuple[list[Report], list[KvmExitError]]:
    """Every file that can be read, and what was wrong with the others."""
    reports: list[Report] = []
    failed: list[KvmExitError] = []
    for name in files:
        try:
            with _progress(name) as tell:
                reports.append(lint(name, format, tell))
        except KvmExitError as problem:
            failed.append(problem)
    return reports, failed


def _worst(reports: list[Report]) -> str | None:
    verdicts = [report.verdict for report in reports]
    order = (Verdict.FINDINGS, Verdict.CANNOT_TELL, Verdict.CLEAN)
    return next((verdict.value for verdict in order if verdict in verdicts), None)


def _print(reports: list[Report], explain: bool) -> None:
    colours = {Verdict.CLEAN: "32", Verdict.FINDINGS: "31", Verdict.CANNOT_TELL: "33"}
    for report in reports:
        verdict = report.verdict.value
        head = f"{report.name}: {verdict}"
        for line in summary(report, explain):
            if line.startswith(head):
                shown = styled(verdict, colours[report.verdict])
                say(f"{report.name}: {shown}{line.removeprefix(head)}")
            else:
                say(line)
    if any(report.count for report in reports):
        say(f"\nfix: drain the vCPU before its state is touched\n{DRAIN}")


@contextmanager
def _counting() -> Iterator[Progress | None]:
    """What was seen so far on standard error, if somebody watches."""

    def counts(_: int, judge: Judge) -> str:
        seen = f"{judge.entries:,} KVM_RUNs, {judge.fine:,} state ioctls after completion"
        return f"{seen}, {judge.count} findings"

    with _told(counts) as tell:
        yield tell


@contextmanager
def _progress(name: str) -> Iterator[Progress | None]:
    """How much of a large file is read, on standard error, if somebody watches."""
    path = Path(name)
    if path.is_fifo():
        with awaited(path) as come:
            yield lambda _, __: come()
        return
    size = path.stat().st_size if name != "-" and path.is_file() else 0
    if size < _LARGE:
        yield None
        return
    whole = "" if name.endswith(".gz") else f" of {size >> 20:,} MiB"
    with _told(lambda done, _: f"{name}: {done >> 20:,} MiB{whole}") as tell:
        yield tell


@contextmanager
def _told(words: Callable[[int, Judge], str]) -> Iterator[Progress | None]:
    """A line that is written over now and then, and gone at the end."""
    line, last = teller(), 0.0

    def tell(done: int, judge: Judge) -> None:
        nonlocal last
        if line is not None and time.monotonic() - last >= _OFTEN:
            last = time.monotonic()
            line(words(done, judge))

    try:
        yield tell if line is not None else None
    finally:
        if line is not None:
            line("")
