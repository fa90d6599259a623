"""Logs as people post them: each says what it must, for the true reason; and so do its brothers."""

from __future__ import annotations

from pathlib import Path

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.tracelint import Report, lint, lint_bytes

HERE = Path(__file__).parent
CLEAN, FINDINGS, UNSURE = "clean", "findings", "cannot tell"

# name: (verdicts that are right, what the reason or the effect must say)
POSTED: dict[str, tuple[set[str], str]] = {
    "arm-onereg-falseclean.strace": ({FINDINGS}, "KVM_GET_ONE_REG"),
    "arm-onereg-Xverbose.strace": ({FINDINGS}, "KVM_GET_ONE_REG"),
    "two-attached-falseclean.strace": ({UNSURE}, "of one process"),
    "two-attached-falseclean.ftrace": ({UNSURE}, "of one process"),
    "two-running.strace": ({UNSURE}, "of one process"),
    "c2d": ({UNSURE}, "which of the two came first"),
    "c2.ftrace": ({UNSURE}, "which of the two came first"),
    "ffcat-tt": ({UNSURE}, "strace-log-merge"),
    "ffcat": ({UNSURE}, "strace-log-merge"),
    "bare-pic-abandon": ({FINDINGS}, "read repeated"),
    "x86-pic-then-in": ({FINDINGS}, "port 0x3fd size 1"),
    "injected.strace": ({FINDINGS}, "KVM_GET_REGS"),
    "two-created-quoted": ({FINDINGS}, "fd 5 of 100"),
    "ue-exit-only": ({UNSURE}, ""),
    "v1-second.strace": ({CLEAN}, ""),
    "v1-write.strace": ({CLEAN}, ""),
    "qemu-msg-ts": ({FINDINGS}, "KVM_GET_REGS"),
    "v2-raw.strace": ({UNSURE}, "a reason that the log does not give"),
    "ppc-qtrace": ({FINDINGS}, "KVM_GET_REGS"),
    "efault": ({UNSURE}, "EFAULT (line 2)"),
    "c7": ({UNSURE}, "KVM_EXIT_HYPERV: whether it needs completion depends on its type"),
    "flags7": ({UNSURE}, "no kvm_pio event in the whole log"),
    "old-pio": ({CLEAN}, ""),
    "stacktrace2": ({CLEAN}, ""),
}


def words(report: Report) -> str:
    """All that a report says, in one string."""
    found = [f"{f.vcpu} {f.where} {' '.join(f.ioctls)} {f.effect}" for f in report.findings]
    return " / ".join([*report.reasons, *found])


def test_every_posted_log_is_judged_here() -> None:
    there = {path.name for path in (HERE / "posted").iterdir()} - {"README.md", "simple-bad"}
    assert there == set(POSTED)


@pytest.mark.parametrize("name", POSTED)
def test_a_posted_log(name: str) -> None:
    verdicts, says = POSTED[name]
    report = lint(str(HERE / "posted" / name))
    assert report.verdict.value in verdicts, words(report)
    assert says in words(report)
    assert "garbled" not in words(report)


def said(text: str) -> Report:
    return lint_bytes(text.encode())


RUN = "100 ioctl(5<anon_inode:kvm-vcpu:0>, KVM_RUN, 0) = "
MMIO, EINTR = f"{RUN}0 (KVM_EXIT_MMIO)\n", f"{RUN}-1 EINTR (Interrupted system call)\n"
HLT = f"{RUN}0 (KVM_EXIT_HLT)\n"
GET = "100 ioctl(5<anon_inode:kvm-vcpu:0>, KVM_GET_REGS, {rax=0, ..., rip=0x1003}) = 0\n"
ONE = GET.replace("KVM_GET_REGS, {rax=0, ..., rip=0x1003}", "{}, 0x7ffd")


# ------------------------------------------------------------------------ whose vCPU it is


def both(line: str, thread: int) -> str:
    return line.replace("100", str(thread), 1)


def test_two_runners_of_one_number_are_one_or_two() -> None:
    assert said(MMIO + both(EINTR, 200) + GET).verdict.value == UNSURE
    assert said(MMIO + both(EINTR, 200) + both(GET, 200)).verdict.value == CLEAN  # either way
    assert said(both(EINTR, 200) + MMIO + both(GET, 200)).verdict.value == UNSURE
    assert said(MMIO + both(MMIO, 200) + GET).verdict.value == FINDINGS  # either way
    assert said(EINTR + both(EINTR, 200) + GET).verdict.value == CLEAN


def test_who_made_a_vcpu_need_not_have_had_it_run_by_the_first_who_runs_one() -> None:
    """The making of the other one is not in the log: 101 may be of either process."""
    made = "200 ioctl(4<anon_inode:kvm-vm>, KVM_CREATE_VCPU, 0) = 5<anon_inode:kvm-vcpu:0>\n"
    runs = both(EINTR, 201) + both(MMIO, 101)
    assert said(made + both(MMIO, 101) + runs + both(GET, 200)).verdict.value == UNSURE


@pytest.mark.parametrize(
    "shown",
    [
        "100 clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_SYSVSEM}, 88) = 200\n",
        "100 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_THREAD|CLONE_SYSVSEM) = 200\n",
        "100 tgkill(100, 200, SIGRT_2) = 0\n",
    ],
)
def test_threads_that_the_log_shows_to_be_of_one_process(shown: str) -> None:
    assert said(shown + MMIO + both(EINTR, 200) + GET).verdict.value == CLEAN
    assert said(shown + EINTR + both(MMIO, 200) + GET).verdict.value == FINDINGS


def test_processes_that_the_log_shows_to_be_two() -> None:
    fork = "100 fork() = 200\n100 tgkill(100, 100, SIGUSR1) = 0\n"
    assert said(fork + MMIO + both(EINTR, 200) + GET).verdict.value == FINDINGS
    assert said(fork + EINTR + both(MMIO, 200) + GET).verdict.value == CLEAN


PAIRED = "  vmm {p}/{t} [001] 10.{n:06}: {e}\n"


@pytest.mark.parametrize(("process", "verdict"), [(100, CLEAN), (200, FINDINGS)])
def test_perf_can_show_processes(process: int, verdict: str) -> None:
    enter = "syscalls:sys_enter_ioctl: fd: 0x0000000d, cmd: 0x{:08x}, arg: 0x0"
    leave = "syscalls:sys_exit_ioctl: {}"
    steps = [
        (100, 101, enter.format(0xAE80)),
        (100, 101, "kvm:kvm_mmio: mmio unsatisfied-read len 1 gpa 0xfed40024 val 0x0"),
        (100, 101, "kvm:kvm_userspace_exit: reason KVM_EXIT_MMIO (6)"),
        (100, 101, leave.format("0x0")),
        (process, 201, enter.format(0xAE80)),
        (process, 201, leave.format("0xfffffffffffffffc")),
        (100, 101, enter.format(0x8090AE81)),
        (100, 101, leave.format("0x0")),
    ]
    text = "".join(PAIRED.format(p=p, t=t, n=n, e=e) for n, (p, t, e) in enumerate(steps))
    assert said(text).verdict.value == verdict


def test_two_qemus_in_one_log() -> None:
    def line(thread: int, n: int, what: str) -> str:
        return f"{thread}@1.{n:06}:{what}\n"

    run, get = (
        f"kvm_vcpu_ioctl cpu_index 0, type {t}, arg (nil)" for t in ("0xae80", "0x8090ae81")
    )
    exits = line(101, 1, "kvm_run_exit cpu_index 0, reason 6")
    halts = line(201, 2, run) + line(201, 3, "kvm_run_exit cpu_index 0, reason 5")
    assert said(exits + halts + line(101, 4, get)).verdict.value == FINDINGS
    assert said(exits + halts + line(201, 4, get)).verdict.value == CLEAN


# ------------------------------------------------------------------------ order


def test_an_overlap_is_judged_by_both_orders() -> None:
    begin, end = both(GET, 102)[: GET.index(", {")], "102 <... ioctl resumed>, {rax=0}) = 0\n"
    begin += " <unfinished ...>\n"
    assert said(MMIO + begin + EINTR + end).verdict.value == UNSURE
    assert said(EINTR + begin + MMIO + end).verdict.value == UNSURE
    assert said(MMIO + begin + MMIO + end).verdict.value == FINDINGS
    assert said(EINTR + begin + HLT + end).verdict.value == CLEAN
    half = RUN[: RUN.index(", 0)")] + " <unfinished ...>\n"
    done = "100 <... ioctl resumed>, 0) = -1 EINTR (Interrupted system call)\n"
    assert said(MMIO + half + both(GET, 102) + done).verdict.value == UNSURE


@pytest.mark.parametrize("form", ["10:00:0{}.000100 ", "1700000000.{}00100 ", "10:00:0{} "])
def test_times_that_go_back(form: str) -> None:
    def at(second: int, line: str) -> str:
        return line.replace("100 ", f"100 {form.format(second)}", 1)

    assert said(at(1, MMIO) + at(2, EINTR) + at(3, GET)).verdict.value == CLEAN
    joined = said(at(1, MMIO) + at(3, EINTR) + at(2, GET))
    assert joined.verdict.value == UNSURE and "strace-log-merge" in words(joined)


def test_midnight_is_no_step_back() -> None:
    times = ("23:59:59.9", "00:00:00.1", "00:00:00.2")
    told = zip(times, (MMIO, EINTR, GET))
    lines = [line.replace("100 ", f"100 {time} ", 1) for time, line in told]
    assert said("".join(lines)).verdict.value == CLEAN


def test_per_cpu_files_one_after_the_other() -> None:
    log = (HERE / "posted" / "c2.ftrace").read_text().splitlines(keepends=True)
    by_cpu = [line for cpu in ("[001]", "[002]") for line in log if cpu in line]
    report = said("".join(by_cpu))
    assert report.verdict.value == UNSURE and "trace-cmd report" in words(report)


# ------------------------------------------------------------------------ what is known


def test_names_of_a_shared_number() -> None:
    both_names = "KVM_ARM_SET_DEVICE_ADDR or KVM_GET_ONE_REG"
    for name in (both_names, "0x4010aeab", f"0x4010aeab /* {both_names} */"):
        assert said(MMIO + ONE.format(name) + EINTR + GET).verdict.value == FINDINGS, name
    on_vm = ONE.format(both_names).replace("5<anon_inode:kvm-vcpu:0>", "4<anon_inode:kvm-vm>")
    assert said(MMIO + on_vm + EINTR + GET).verdict.value == CLEAN
    unsaid = "100 ioctl(3, KVM_CREATE_VM, 0) = 4\n" + ONE.format(both_names).replace(
        "5<anon_inode:kvm-vcpu:0>", "4"
    )
    assert said(unsaid + MMIO + EINTR + GET).verdict.value == CLEAN


def test_raw_numbers_and_reasons() -> None:
    raw = [line.replace("KVM_RUN", "0xae80") for line in (MMIO, EINTR)]
    get = GET.replace("KVM_GET_REGS, {rax=0, ..., rip=0x1003}", "0x8090ae81, 0x7ffd")
    assert said(raw[0] + get).verdict.value == FINDINGS
    assert said(raw[0] + raw[1] + get).verdict.value == CLEAN
    for exit, verdict in (("0x6", FINDINGS), ("0x5 /* KVM_EXIT_HLT */", CLEAN)):
        assert said(MMIO.replace("KVM_EXIT_MMIO", exit) + GET).verdict.value == verdict


@pytest.mark.parametrize("numbers", [("0x4170ae81", "0x2000ae80"), ("0x4140ae81", "0x2000ae80")])
def test_numbers_of_powerpc_and_mips(numbers: tuple[str, str]) -> None:
    get, run = (
        f"1@1.0:kvm_vcpu_ioctl cpu_index 0, type {number}, arg (nil)\n" for number in numbers
    )
    exit = "1@1.0:kvm_run_exit cpu_index 0, reason {}\n"
    assert said(run + exit.format(6) + get).verdict.value == FINDINGS
    assert said(run + exit.format(5) + get).verdict.value == CLEAN


@pytest.mark.parametrize("error", ["EFAULT", "EIO", "ENOEXEC", "ENOSYS", "EPERM"])
def test_a_kvm_run_that_failed_is_named(error: str) -> None:
    report = said(MMIO + f"{RUN}-1 {error} (Why ever)\n" + GET)
    assert report.verdict.value == UNSURE and f"{error} (line 2)" in words(report)


def test_an_injected_result_is_no_result() -> None:
    injected = EINTR.replace("\n", " (INJECTED)\n")
    assert said(MMIO + injected + GET).verdict.value == FINDINGS
    assert said(MMIO + EINTR + injected + GET).verdict.value == CLEAN
    not_made = GET.replace("= 0\n", "= 0 (INJECTED)\n")
    assert said(MMIO + not_made + EINTR + GET).verdict.value == CLEAN
    assert said(MMIO + EINTR.replace("\n", " (DELAYED)\n") + GET).verdict.value == CLEAN


@pytest.mark.parametrize(
    ("exit", "says"),
    [
        ("KVM_EXIT_HYPERV", "depends on its type"),
        ("KVM_EXIT_X86_BUS_LOCK", "depends on its type"),
        ("KVM_EXIT_LOONGARCH_IOCSR", "depends on its type"),
        ("KVM_EXIT_FOO", "not in the table"),
    ],
)
def test_an_exit_whose_need_is_not_known_is_named(exit: str, says: str) -> None:
    report = said(MMIO.replace("KVM_EXIT_MMIO", exit) + GET)
    assert report.verdict.value == UNSURE
    assert says in words(report) and exit in words(report)


def test_a_number_without_a_name_is_another_kernels() -> None:
    text = (HERE / "posted" / "x86-pic-then-in").read_text()
    for shown, says in (("0x1d (29)", "has no name for it"), ("KVM_EXIT_NEW (99)", "KVM_EXIT_NEW")):
        report = said(text.replace("KVM_EXIT_IO (2)", shown))
        assert report.verdict.value == UNSURE and says in words(report)
    assert said(text.replace("KVM_EXIT_IO (2)", "0x1f (31)")).verdict.value == CLEAN  # dirty ring


def test_what_arm64_does_at_a_hypercall_is_no_fault_there() -> None:
    call, one = MMIO.replace("MMIO", "HYPERCALL"), ONE.format("KVM_SET_ONE_REG")
    init = ONE.format("KVM_ARM_VCPU_INIT")
    assert said(init + call + one + EINTR + GET).verdict.value == CLEAN
    assert said(call + one).verdict.value == UNSURE
    assert said(call + GET).verdict.value == FINDINGS  # of x86


# ------------------------------------------------------------------------ what is read


@pytest.mark.parametrize(
    "line",
    [
        '100 openat(AT_FDCWD, "/dev/kvm", O_RDWR|O_CLOEXEC) = 3\n',
        "100 mmap(NULL, 12288, 0x3, MAP_SHARED, 5<anon_inode:kvm-vcpu:0>, 0) = 0x7f\n",
        '100 readlink("/proc/self/exe", "/usr/bin/qemu-kvm", 4096) = 17\n',
        '100 write(2, "KVM_RUN failed: ioctl(5, KVM_RUN, 0) = 0\\n", 40) = 40\n',
        " > /opt/vmm/firecracker(kvm_ioctls::ioctls::vcpu::VcpuFd::run+0x52) [0x1b2d3]\n",
        "vmm: KVM_CREATE_VM is fine\n",
        '100 <... read resumed>"kvm", 3) = 3\n',
        " VCPU+ exit_reason=2\n",
        "\n",
    ],
)
def test_what_is_no_ioctl_does_not_matter(line: str) -> None:
    assert said(MMIO + line + EINTR + line + GET).verdict.value == CLEAN
    assert said(MMIO + line + GET).verdict.value == FINDINGS


WRAPS = [
    "> {}", "> > {}", ">> {}", "   {}", "* {}", "- {}", "• {}", "-> {}", "vmm.strace:{}",
    "logs/vmm.strace:7:{}", "Nov 25 10:00:00 host vmm[77]: {}",
    "2026-11-25T10:00:00+0000 host vmm[77]: {}",
    "2026-11-25T10:00:00.123456789Z {}", "\x1b[31m{}\x1b[0m", "| {} |", "{}\r",
]  # fmt: skip
TWO = (HERE / "posted" / "two-created-quoted").read_text().replace("> ", "").splitlines()


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_prefix_hides_neither_thread_nor_time(wrap: str) -> None:
    wrapped = "\n".join(wrap.format(line) for line in TWO)
    assert said(wrapped).verdict.value == FINDINGS
    numbered = "\n".join(f"{n:6}\t{line}" for n, line in enumerate(TWO, 1))
    assert said(numbered).verdict.value == FINDINGS
    joined = (HERE / "posted" / "ffcat-tt").read_text().splitlines()
    assert said("\n".join(wrap.format(line) for line in joined)).verdict.value == UNSURE


def test_what_editors_and_pages_put_into_a_text() -> None:
    assert said("\ufeff" + MMIO + GET).verdict.value == FINDINGS
    assert said((MMIO + GET).replace(" ", "\u00a0")).verdict.value == FINDINGS


@pytest.mark.parametrize("name", ["qemu-msg-ts", "x86-pic-then-in", "ppc-qtrace"])
@pytest.mark.parametrize("wrap", WRAPS)
def test_every_format_may_be_wrapped(name: str, wrap: str) -> None:
    lines = (HERE / "posted" / name).read_text().splitlines()
    assert said("\n".join(wrap.format(line) for line in lines)).verdict.value == FINDINGS


@pytest.mark.parametrize("flags", ["....", ".....", "d..1.", "......", ".......", "dNh2.b..", ""])
def test_latency_flags_of_any_kernel(flags: str) -> None:
    text = (HERE / "posted" / "x86-pic-then-in").read_text().replace(".....", flags)
    assert said(text).verdict.value == FINDINGS


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ((HERE / "posted" / "simple-bad").read_text(), "simple backend"),
        ("  0.000 ( 0.002 ms): vmm/7 ioctl(fd: 5, cmd: KVM_RUN) = 0\n", "perf trace"),
        ("Attaching 2 probes...\n@exits[6]: 12\n", "bpftrace"),
        ("% time     seconds  usecs/call     calls\n 99.1  0.1  1  2 ioctl\n", "strace -c"),
        ("[  12.345678] kvm: disabled by bios\n", "dmesg"),
        (f"<pre>{MMIO}{GET}</pre>".replace("<anon", "&lt;anon"), "HTML"),
        ((MMIO + GET).replace("=", "=3D"), "quoted-printable"),
    ],
)
def test_what_is_not_read_is_named(text: str, says: str) -> None:
    with pytest.raises(KvmExitError, match=says):
        said(text)


# ------------------------------------------------------------------------ real VMMs

REAL = {
    "firecracker-writer-svm-source.ftrace": (FINDINGS, "sees it twice"),
    "firecracker-reader-pvm-source.ftrace": (FINDINGS, "read repeated"),
    "firecracker-reader-pvm.strace-kvm": (FINDINGS, "does not show the direction"),
    "firecracker-fixed-reader-pvm.ftrace": (CLEAN, ""),
    "cloud-hypervisor-wide-pvm.ftrace": (FINDINGS, "read repeated"),
    "cloud-hypervisor-wide-pvm.strace-kvm": (FINDINGS, "does not show the direction"),
    "crosvm-reader-pvm.ftrace": (CLEAN, ""),
    "qemu-reader-pvm.ftrace": (CLEAN, ""),
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_vmm(name: str) -> None:
    report = lint(str(HERE / "vmms" / name))
    verdict, says = REAL[name]
    assert report.verdict.value == verdict, words(report)
    assert says in words(report)
