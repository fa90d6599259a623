"""Variants of logs that misled the reader: what each of them must be, and must not."""

from __future__ import annotations

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.tracelint import Report, lint_bytes
from kvmexit.tracelint.strace import Strace
from test_posted import CLEAN, EINTR, FINDINGS, GET, MMIO, RUN, UNSURE, words


def said(*lines: str) -> Report:
    return lint_bytes("".join(lines).encode())


def of(thread: int, line: str) -> str:
    return line.replace("100", str(thread), 1)


EXIT = "    vmm-700 [001] ..... 10.{:06}: kvm_userspace_exit: reason {}\n"


# ------------------------------------------------------------------------ whose vCPU it is


def test_a_vcpu_that_a_stranger_closes_is_not_gone() -> None:
    """201 may be of another VM: then 101's vCPU is still there, and pending."""
    again = "201 close(5) = 0\n", "201 ioctl(4, KVM_CREATE_VCPU, 0) = 5\n"
    report = said(of(101, MMIO), *again, of(201, EINTR), of(101, GET))
    assert report.verdict.value == UNSURE and "of one process" in words(report)


def test_a_vcpu_that_two_strangers_run_may_be_two() -> None:
    made = "200 ioctl(4, KVM_CREATE_VCPU, 0) = 5\n"
    report = said(made, of(100, MMIO), of(200, EINTR), of(100, GET))
    assert report.verdict.value == UNSURE and "of one process" in words(report)
    threads = "200 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_THREAD) = 100\n"
    assert said(threads, made, of(100, MMIO), of(200, EINTR), of(100, GET)).verdict.value == CLEAN


def test_a_touch_overlapped_by_another_vms_run_is_not_set_up() -> None:
    made = "100 ioctl(4, KVM_CREATE_VCPU, 0) = 5\n"
    begun, ended = GET.partition(", {")[0] + " <unfinished ...>\n", "<... ioctl resumed>) = 0\n"
    report = said(
        made, of(200, made), of(200, begun), of(201, MMIO), f"200 {ended}", of(201, EINTR),
        of(201, GET),
    )  # fmt: skip
    assert report.verdict.value == UNSURE and "of one process" in words(report)


def test_processes_that_end_take_their_vcpus_with_them() -> None:
    """Thousands of small VMs with the same numbers, as a test suite makes them."""
    one = (
        "1 fork() = {0}\n{0} ioctl(4, KVM_CREATE_VCPU, 0) = 5\n{1}{2}{3}{0} +++ exited with 0 +++\n"
    )
    log = [one.format(n, of(n, MMIO), of(n, EINTR), of(n, GET)) for n in range(100, 600)]
    report = said(*log)
    assert report.verdict.value == CLEAN and report.vcpus == 500
    reader = Strace()
    for _ in reader.feed("".join(log).encode().splitlines(), 1):
        pass
    assert not reader._fds._groups[5].members  # or each line would cost more than the last
    bad = said(*log[:40], one.format(99, of(99, MMIO), "", of(99, GET)))
    assert bad.verdict.value == FINDINGS


# ------------------------------------------------------------------------ what is known


@pytest.mark.parametrize("mark", ["", ": retval", ": args, retval"])
def test_an_injected_result_leaves_the_exit_pending(mark: str) -> None:
    report = said(MMIO, EINTR.replace(")\n", f") (INJECTED{mark})\n"), GET)
    assert report.verdict.value == FINDINGS
    assert report.findings[0].exit == "KVM_EXIT_MMIO" and report.findings[0].exit_line == 1


def test_a_run_that_never_happened_hides_no_reason() -> None:
    report = said(MMIO.replace("MMIO", "HYPERV"), f"{RUN}-1 EBADF (Bad file descriptor)\n", GET)
    assert report.verdict.value == UNSURE and "KVM_EXIT_HYPERV" in words(report)


@pytest.mark.parametrize("result", ["-14", "-1 (errno 14)", "-1 EFAULT (Bad address)"])
def test_an_error_is_named_however_it_is_printed(result: str) -> None:
    report = said(MMIO, f"{RUN}{result}\n", GET)
    assert report.verdict.value == UNSURE and "EFAULT (line 2)" in words(report)


def test_an_error_that_comes_again_and_again_is_one_reason() -> None:
    """And a log of many kinds of them does not fill the memory."""
    again = [f"{RUN}-1 EFAULT (Bad address)\n{GET}" for _ in range(100)]
    report = said(*again)
    assert len(report.reasons) == 1 and "100 times" in report.reasons[0]
    many = [MMIO.replace("MMIO", f"NEW{n}") + GET for n in range(500)]
    assert len(said(*many).reasons) < 50


def test_a_hexadecimal_in_capitals_is_a_number_too() -> None:
    assert said(MMIO, GET.replace("KVM_GET_REGS", "0x8090AE81")).verdict.value == FINDINGS


@pytest.mark.parametrize(("exit", "event"), [("MMIO (6)", "kvm_mmio"), ("IO (2)", "kvm_pio")])
def test_a_read_is_not_complete_for_want_of_events(exit: str, event: str) -> None:
    """Kernel events without ioctls, and without the accesses: nothing shows a completion."""
    lines = [EXIT.format(n, f"KVM_EXIT_{exit}") for n in (1, 2, 3)]
    report = said(*lines, EXIT.format(4, "restart (4)"))
    assert report.verdict.value == UNSURE and f"no {event} event" in words(report)


# ------------------------------------------------------------------------ what is read


def test_a_cut_that_leaves_a_blank_is_seen() -> None:
    """Of `(Interrupted system call) (INJECTED)`; where all lines end so, a terminal did it."""
    cut = EINTR.replace(")\n", ") \n")
    assert said(MMIO, MMIO, cut, GET).verdict.value == UNSURE
    padded = [line.replace("\n", "  \n") for line in (MMIO, EINTR, GET)]
    assert said(*padded).verdict.value == CLEAN


def test_a_call_that_is_a_comment_is_missed() -> None:
    assert said(MMIO, f"# {EINTR}", EINTR, f"# {GET}", GET).verdict.value == UNSURE
    assert said(MMIO, "# a remark on ioctl(2)\n", EINTR, GET).verdict.value == CLEAN


PREFIXES = (
    "=> {}", "+{}", "{n} | {}", "vmm-1  | {}", "[INFO] {}", "[2026-11-25 10:00:00] {}",
    "<30>Nov 25 10:00:00 host vmm[77]: {}", "Nov 25 10:00:00.123456 host vmm[77]: {}",
    "2026-11-25T10:00:00.123456789Z stderr F {}", "{n}) {}",
)  # fmt: skip


@pytest.mark.parametrize("prefix", PREFIXES)
def test_more_prefixes(prefix: str) -> None:
    def wrapped(*lines: str) -> str:
        return "".join(prefix.format(line, n=n) for n, line in enumerate(lines, 1))

    assert said(wrapped(MMIO, GET, EINTR, GET)).verdict.value == FINDINGS
    assert said(wrapped(MMIO, MMIO, EINTR, GET)).verdict.value == CLEAN


def test_a_function_graph_is_still_named() -> None:
    with pytest.raises(KvmExitError, match="function_graph"):
        said(" 0)   0.123 us    |  kvm_vcpu_ioctl();\n 1) + 10.1 us    |  }\n")


@pytest.mark.parametrize(
    ("event", "verdict"),
    [
        ("kvm_mmio: mmio read len 4 gpa 0xd0024 val 0x1", CLEAN),
        ("kvm_entry: vcpu 0, rip 0x1002", CLEAN),
        ("kvm_msi_set_irq: dst 0 vec 34 (Fixed|physical|edge)", UNSURE),
    ],
)
def test_an_error_behind_the_completion_is_rest(event: str, verdict: str) -> None:
    """What the command that a doubt about an error names is able to show."""
    head, number = "    vmm-700 [001] ..... 10.{:06}: {}\n", iter(range(100))
    asked = "kvm_mmio: mmio unsatisfied-read len 4 gpa 0xd0024 val 0x0"
    run, get = (f"sys_ioctl(fd: 0x5, cmd: {n:#x}, arg: 0x0)" for n in (0xAE80, 0x8090AE81))
    events = [run, asked, "kvm_userspace_exit: reason KVM_EXIT_MMIO (6)", "sys_ioctl -> 0x0"]
    events += [run, event, "kvm_userspace_exit: reason error (14)"]
    events += ["sys_ioctl -> 0xfffffffffffffff2", get, "sys_ioctl -> 0x0"]
    assert said(*(head.format(next(number), one) for one in events)).verdict.value == verdict


@pytest.mark.parametrize("what", ["PERF_RECORD_LOST lost 7", "PERF_RECORD_LOST_SAMPLES lost 7"])
def test_what_perf_lost_is_lost(what: str) -> None:
    head = "    vmm   700 [001] 10.{:06}: {}\n"
    run, get = (
        f"syscalls:sys_enter_ioctl: fd: 0x5, cmd: {n:#x}, arg: 0x0" for n in (0xAE80, 0x8090AE81)
    )
    done, rest = "syscalls:sys_exit_ioctl: 0x0", "syscalls:sys_exit_ioctl: 0xfffffffffffffffc"
    events = [run, rest, what, get, done]
    report = said(*(head.format(n, one) for n, one in enumerate(events)))
    assert report.verdict.value == UNSURE and "events lost" in words(report)
