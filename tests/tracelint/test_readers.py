"""What each format can say, in logs of a few lines written for the purpose."""

from __future__ import annotations

import pytest
import reference
from kvmexit.tracelint import Report, Verdict, lint_bytes

CREATE = "7 ioctl(4, KVM_CREATE_VCPU, 0) = 5\n"
MMIO = "7 ioctl(5, KVM_RUN, 0) = 0 (KVM_EXIT_MMIO)\n"
HLT = "7 ioctl(5, KVM_RUN, 0) = 0 (KVM_EXIT_HLT)\n"
EINTR = "7 ioctl(5, KVM_RUN, 0) = -1 EINTR (Interrupted system call)\n"
GET = "7 ioctl(5, KVM_GET_REGS, {rax=0, ..., rip=0x1003, rflags=0x2}) = 0\n"
SET = "7 ioctl(5, KVM_SET_REGS, {rax=0, ..., rip=0x1003, rflags=0x2}) = 0\n"


def strace(*lines: str) -> Report:
    return lint_bytes("".join(lines).encode(), format="strace")


def says(report: Report) -> str:
    return report.verdict.value


# ------------------------------------------------------------------------ the rule


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ([CREATE, SET, MMIO, EINTR, GET], "clean"),
        ([CREATE, SET, MMIO, GET], "findings"),
        ([CREATE, SET, MMIO, SET, MMIO], "findings"),
        ([CREATE, HLT, GET], "clean"),
        ([CREATE, MMIO, EINTR, MMIO, EINTR, GET], "clean"),
        ([CREATE, MMIO, EINTR, MMIO, GET], "findings"),  # the kick came back with a fragment
        ([CREATE, SET, MMIO, MMIO], "cannot tell"),  # nothing was saved
        ([CREATE, SET, GET], "cannot tell"),  # nothing ran
        ([MMIO, GET], "findings"),  # the exit itself is in the log
        ([GET, EINTR, GET], "cannot tell"),  # what came before the first line is not
        ([EINTR, GET], "clean"),
        ([CREATE, MMIO.replace(" (KVM_EXIT_MMIO)", ""), GET], "cannot tell"),
        ([CREATE, MMIO.replace("MMIO", "X86_RDMSR"), GET], "findings"),
        ([CREATE, MMIO.replace("MMIO", "X86_WRMSR"), GET], "findings"),
        ([CREATE, MMIO.replace("MMIO", "IO"), GET], "findings"),
        ([CREATE, MMIO.replace("MMIO", "HYPERV"), GET], "cannot tell"),  # some of these complete
        ([CREATE, MMIO.replace("MMIO", "NEW_ONE"), GET], "cannot tell"),
        ([CREATE, MMIO.replace("MMIO", "SHUTDOWN"), GET], "clean"),
        (
            [CREATE, MMIO, GET.replace("= 0\n", "= -1 EINVAL (Invalid argument)\n"), EINTR, GET],
            "clean",
        ),
        ([CREATE, MMIO, EINTR.replace("EINTR", "EFAULT"), GET], "cannot tell"),
        ([CREATE, MMIO, EINTR.replace("EINTR", "EBADF"), GET], "findings"),  # it never ran
    ],
)
def test_the_rule(lines: list[str], verdict: str) -> None:
    assert says(strace(*lines)) == verdict


def test_one_finding_a_gap_with_all_its_ioctls() -> None:
    report = strace(CREATE, MMIO, GET, SET, MMIO, GET, MMIO)
    assert report.count == 2
    assert report.findings[0].ioctls == ("KVM_GET_REGS", "KVM_SET_REGS")
    assert [line.role for line in report.findings[0].lines] == ["exit", "state", "state", "entry"]
    assert (report.findings[0].line, report.findings[0].exit_line) == (3, 2)


def test_findings_are_all_counted_and_not_all_kept() -> None:
    report = strace(CREATE, *[MMIO, GET] * 5000)
    assert report.count == 5000
    assert len(report.findings) == 1000


def test_a_vm_saved_by_the_thread_that_left_its_vcpu_pending() -> None:
    irqchip = "{} ioctl(4, KVM_GET_IRQCHIP, 0x7ffd) = 0\n"
    report = strace(CREATE, MMIO, irqchip.format(7), MMIO, EINTR, GET)
    assert report.findings[0].effect.startswith("VM saved")
    assert says(strace(CREATE, MMIO, irqchip.format(8), MMIO, EINTR, GET)) == "clean"


# ------------------------------------------------------------------------ strace


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "7 ",
        "7     ",
        "[pid     7] ",
        "7 18:45:39.771406 ",
        "7 1795459781.581501 ",
        "18:45:39.771406 ",
        "     0.000123 ",
        "7<vmm> ",
        "1795459781 ",
    ],
)
@pytest.mark.parametrize("fd", ["5", "5<anon_inode:kvm-vcpu:0>"])
@pytest.mark.parametrize("tail", ["", " <0.000012>"])
def test_every_dress_of_strace(prefix: str, fd: str, tail: str) -> None:
    lines = [
        f"{prefix}ioctl(4, KVM_CREATE_VCPU, 0) = {fd}{tail}\n",
        f"{prefix}ioctl({fd}, KVM_RUN, 0)              = 0 (KVM_EXIT_MMIO){tail}\n",
        f"{prefix}ioctl({fd}, KVM_RUN, 0) = -1 EINTR (Interrupted system call){tail}\n",
        f"{prefix}ioctl({fd}, KVM_GET_REGS, 0x7ffef274f5b0) = 0{tail}\n",
    ]
    assert says(strace(*lines)) == "clean"
    assert says(strace(*lines[:2], *lines[3:])) == "findings"


def test_calls_split_by_other_threads() -> None:
    lines = [
        CREATE,
        "101 ioctl(5, KVM_RUN, 0 <unfinished ...>\n",
        "7 ioctl(9, TCGETS, 0x7ffd <unfinished ...>\n",
        "101 <... ioctl resumed>)              = 0 (KVM_EXIT_MMIO)\n",
        "7 <... ioctl resumed>)              = -1 ENOTTY (Inappropriate ioctl for device)\n",
        "7 ioctl(5, KVM_GET_REGS,  <unfinished ...>\n",
        "102 ioctl(9, TCGETS, 0x7ffd) = -1 ENOTTY (Inappropriate ioctl for device)\n",
        "7 <... ioctl resumed>{rax=0, ..., rip=0x1003, rflags=0x2}) = 0\n",
    ]
    assert says(strace(*lines)) == "findings"
    lines[3] = "101 <... ioctl resumed>) = -1 EINTR (Interrupted system call)\n"
    assert says(strace(*lines)) == "clean"
    del lines[3]
    assert says(strace(*lines)) == "cannot tell"


def test_a_state_ioctl_that_waits_for_kvm_run_is_judged_after_it() -> None:
    waits = "8 ioctl(5, KVM_GET_REGS,  <unfinished ...>\n"
    done = "8 <... ioctl resumed>{rax=0, ..., rip=0x1003}) = 0\n"
    begin, end = "7 ioctl(5, KVM_RUN, 0 <unfinished ...>\n", "7 <... ioctl resumed>) = "
    eintr, mmio = "-1 EINTR (Interrupted system call)\n", "0 (KVM_EXIT_MMIO)\n"
    assert says(strace(CREATE, begin, waits, end + eintr, done)) == "clean"
    assert says(strace(CREATE, MMIO, begin, waits, end + mmio, done)) == "findings"
    assert says(strace(CREATE, begin, waits, end + mmio, done)) == "cannot tell"  # or before it
    assert says(strace(CREATE, MMIO, begin, waits, end + eintr, done)) == "cannot tell"


def test_vcpus_are_kept_apart() -> None:
    two = "7 ioctl(4, KVM_CREATE_VCPU, 1) = 6\n"
    eintr = EINTR.replace("(5", "(6")
    assert says(strace(CREATE, two, MMIO, eintr, GET.replace("(5", "(6"))) == "clean"
    assert says(strace(CREATE, two, MMIO, eintr, GET)) == "findings"


def test_a_descriptor_used_again_is_another_vcpu() -> None:
    assert says(strace(CREATE, MMIO, CREATE, SET, MMIO, EINTR, GET)) == "clean"
    closed = "7 close(5) = 0\n"
    assert says(strace(CREATE, MMIO, closed, GET, EINTR, GET)) == "cannot tell"
    vm = "7 ioctl(3, KVM_CREATE_VM, 0) = 5\n"
    assert strace(CREATE, MMIO, GET, vm).vcpus == 1


def test_two_processes_with_the_same_descriptors() -> None:
    other = [line.replace("7 ", "900 ", 1) for line in (CREATE, MMIO, EINTR, GET)]
    mixed = [CREATE, other[0], MMIO, other[1], EINTR, other[2], GET, other[3]]
    assert says(strace(*mixed)) == "clean"
    assert strace(*mixed[:4], mixed[5], GET, other[3]).findings[0].vcpu == "fd 5 of 7"
    thread = [line.replace("7 ", "901 ", 1) for line in (MMIO, GET)]  # of a third thread
    assert strace(*mixed, *thread).findings[0].vcpu == "fd 5 of 901"  # of 7 or 900, who knows


HOST_MSRS = "7 ioctl(4, KVM_GET_MSRS, 0x7ffe) = 1\n"
VERSION = "7 ioctl(4, KVM_GET_API_VERSION, 0) = 12\n"


@pytest.mark.parametrize(
    ("lines", "vcpus"),
    [
        ([VERSION, HOST_MSRS], 1),
        (["7 ioctl(4, KVM_CREATE_VM, 0) = 6\n", "8" + HOST_MSRS[1:]], 1),  # another thread
        ([HOST_MSRS.replace("4", "4</dev/kvm>")], 1),
        ([HOST_MSRS], 2),  # nothing says what 4 is
    ],
)
def test_the_hosts_msrs_are_no_state_of_a_vcpu(lines: list[str], vcpus: int) -> None:
    """QEMU asks /dev/kvm for the MSRs that the host has before it makes a vCPU."""
    report = strace(*lines, CREATE.replace("(4", "(6"), MMIO, EINTR, GET)
    assert says(report) == ("clean" if vcpus == 1 else "cannot tell")
    assert report.vcpus == vcpus


def test_a_vcpu_where_dev_kvm_was_is_a_vcpu() -> None:
    on_vcpu = HOST_MSRS.replace("(4", "(5")
    version = VERSION.replace("(4", "(5")
    assert says(strace(version, on_vcpu, CREATE, MMIO, on_vcpu)) == "findings"
    assert says(strace(version, MMIO, on_vcpu)) == "findings"  # its making is not in the log


def test_other_lines_of_strace_do_not_matter() -> None:
    others = [
        "7 <... futex resumed>) = 0\n",
        "7 read(3,  <unfinished ...>\n",
        '7 <... read resumed>"x", 10) = 1\n',
        "7 --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_TKILL, si_pid=9, si_uid=0} ---\n",
        "7 ioctl(9</dev/pts/1>, TCGETS, 0x7ffd) = -1 ENOTTY (Inappropriate ioctl for device)\n",
        "7 ioctl(9, TUNSETVNETHDRSZ, [12]) = 0\n",
        "7 ioctl(9, SNDCTL_TMR_TIMEBASE or TCGETS, 0x7ffd) = 0\n",
        "7 ioctl(9, _IOC(_IOC_WRITE, 0xaf, 0x1, 0x4), 0x7ffd) = 0\n",
        " > /usr/lib/libc.so.6(__ioctl+0x3d) [0x1094ed]\n",
        "strace: Process 12 attached\n",
        "a line that the program itself printed\n",
        "7 +++ exited with 0 +++\n",
        "\n",
    ]
    for other in others:
        lines = [CREATE, other, MMIO, other, EINTR, other, GET, other]
        assert says(strace(*lines)) == "clean", other
        assert says(strace(*lines[:4], *lines[5:])) == "findings", other


def test_raw_and_undecoded_requests() -> None:
    raw = [
        CREATE,
        "7 ioctl(0x5, 0xae80, 0) = 0 (KVM_EXIT_MMIO)\n",
        "7 ioctl(0x5, 0x8090ae81, 0x7f) = 0\n",
    ]
    assert says(strace(*raw)) == "findings"
    undecoded = "7 ioctl(5, _IOC(_IOC_READ, 0xae, 0xcc, 0x140), 0x7ffd) = 0\n"
    assert strace(CREATE, MMIO, undecoded).findings[0].ioctls == ("KVM_GET_SREGS2",)


@pytest.mark.parametrize("cut", range(1, len(GET) - 4))
def test_a_state_ioctl_cut_short_is_missed_by_nobody(cut: int) -> None:
    """Wherever the line of the only bad state ioctl ends, the log is not clean."""
    good = [CREATE, MMIO, EINTR, GET]
    assert says(strace(*good, MMIO, GET[:cut] + "\n", EINTR, GET)) != "clean"


@pytest.mark.parametrize("cut", range(1, len(EINTR) - 1))
def test_a_drain_cut_short_proves_nothing(cut: int) -> None:
    assert says(strace(CREATE, MMIO, EINTR[:cut] + "\n", GET)) != "clean"


def test_a_cut_last_line_of_a_good_log_is_forgiven() -> None:
    for cut in range(len("7 ioctl(5, "), len(MMIO)):
        assert says(strace(CREATE, MMIO, EINTR, GET, MMIO, MMIO[:cut])) == "clean"


def test_the_regular_expression_a_line_agrees() -> None:
    import random

    rng = random.Random(3)
    steps = [MMIO, MMIO, HLT, EINTR, GET, SET, MMIO.replace(" (KVM_EXIT_MMIO)", "")]
    said = set()
    for _ in range(2000):
        lines = [CREATE, *(rng.choice(steps) for _ in range(rng.randrange(8)))]
        ours = says(strace(*lines))
        assert ours == reference.verdict("".join(lines).encode().splitlines())
        said.add(ours)
    assert said == {"clean", "findings", "cannot tell"}


# ------------------------------------------------------------------------ tracefs and perf

_TRACE = "             vmm-7       [001] .....  3323.83{:04d}: {}\n"
_PERF = "             vmm     7 [001]  3323.83{:04d}: {}\n"


def events(*what: str, dress: str = _TRACE, format: str = "tracefs") -> Report:
    text = "".join(dress.format(i, event) for i, event in enumerate(what))
    return lint_bytes(text.encode(), format=format)


def call(request: str, result: str = "0x0", *inside: str, fd: str = "5") -> list[str]:
    return [f"sys_ioctl(fd: {fd}, cmd: {request}, arg: 0)", *inside, f"sys_ioctl -> {result}"]


T_CREATE = call("0xae41", "0x5", fd="4")
T_GET = call("0xffffffff8090ae81")
T_EINTR = call("0xae80", "0xfffffffffffffffc", "kvm_userspace_exit: reason restart (4)")
UNSATISFIED = "kvm_mmio: mmio unsatisfied-read len 1 gpa 0xd0024 val 0x0"
READ = "kvm_mmio: mmio read len 1 gpa 0xd0024 val 0x11"
WRITE = "kvm_mmio: mmio write len {} gpa {} val 0x7"
EXIT = "kvm_userspace_exit: reason KVM_EXIT_MMIO (6)"
EXIT_IO = "kvm_userspace_exit: reason KVM_EXIT_IO (2)"
T_READ = call("0xae80", "0x0", UNSATISFIED, EXIT)


def test_tracefs_shows_the_address_and_what_the_guest_will_see() -> None:
    report = events(*T_CREATE, *T_READ, *T_GET)
    found = report.findings[0]
    assert (found.direction, found.where) == ("read", "gpa 0xd0024 len 1")
    assert found.effect.startswith("read repeated")
    assert says(events(*T_CREATE, *T_READ, *T_EINTR, *T_GET)) == "clean"


def test_the_hosts_msrs_in_tracefs() -> None:
    host = call("0xffffffffc008ae88", "0x1", fd="4")
    vcpu = call("0xae41", "0x5", fd="6")
    drain = [*call("0xae80", "0xfffffffffffffffc"), *call("0x8090ae81")]
    assert says(events(*call("0xae00", "0xc", fd="4"), *host, *vcpu, *drain)) == "clean"
    assert says(events(*host, *vcpu, *drain)) == "cannot tell"


def test_tracefs_counts_the_pieces_of_a_write() -> None:
    pieces = [WRITE.format(2, "0xd0ffe"), WRITE.format(2, "0xd1000")]
    first = call("0xae80", "0x0", *pieces, EXIT)
    report = events(*T_CREATE, *first, *T_GET)
    assert report.findings[0].where == "gpa 0xd0ffe len 2"
    assert report.findings[0].effect.startswith("second half lost")
    second = call("0xae80", "0x0", EXIT)
    report = events(*T_CREATE, *first, *second, *T_GET)
    assert report.findings[0].where == "gpa 0xd1000 len 2"
    assert report.findings[0].effect.startswith("write at stake")
    assert says(events(*T_CREATE, *first, *second, *T_EINTR, *T_GET)) == "clean"


def test_tracefs_names_the_first_page_of_a_read_that_is_announced_for_each() -> None:
    """So kernels of 2026 announce it; older ones name the first page alone."""
    unsatisfied = "kvm_mmio: mmio unsatisfied-read len {} gpa {} val 0x0".format
    pages = [unsatisfied(2, "0xd0ffe"), unsatisfied(2, "0xd1000")]
    first = call("0xae80", "0x0", *pages, EXIT)
    assert events(*T_CREATE, *first, *T_GET).findings[0].where == "gpa 0xd0ffe len 2"
    second = call("0xae80", "0x0", EXIT)
    report = events(*T_CREATE, *first, *second, *T_GET)
    assert report.findings[0].where == "gpa 0xd1000 len 2"
    assert says(events(*T_CREATE, *first, *second, *T_EINTR, *T_GET)) == "clean"


def test_tracefs_ports() -> None:
    out = "kvm_pio: pio_write at 0x5a size 1 count 1 val 0x7 "
    report = events(*T_CREATE, *call("0xae80", "0x0", out, EXIT_IO), *T_GET)
    assert (report.findings[0].direction, report.findings[0].where) == (
        "write",
        "port 0x5a size 1 count 1",
    )
    silent = [*T_CREATE, *call("0xae80", "0x0", EXIT_IO), *T_GET]
    later = call("0xae80", "0x0", "kvm_pio: pio_read at 0x5a size 1 count 1 val 0x7 ", EXIT_IO)
    assert events(*silent, *later).findings[0].direction == "read"
    assert events(*silent).findings[0].direction == ""  # no kvm_pio at all: not recorded


def test_a_set_regs_drops_the_answer_of_a_read() -> None:
    report = events(
        *T_CREATE, *T_READ, *call("0x4090ae82"), *call("0xae80", "0x0", READ, UNSATISFIED, EXIT)
    )
    assert report.findings[0].effect.startswith("answer dropped")
    assert "elsewhere" not in report.findings[0].effect


def test_lost_events_and_missing_halves_of_calls() -> None:
    good = [*T_CREATE, *T_READ, *T_EINTR, *T_GET]
    text = "".join(_TRACE.format(i, event) for i, event in enumerate(good)).splitlines(True)
    for i in (2, 6, 8):  # of the exit's return, the exit's own event says as much
        assert says(lint_bytes("".join(text[:i] + text[i + 1 :]).encode())) != "clean", text[i]
    for mark in ("CPU:1 [LOST 12 EVENTS]\n", "CPU:0 [EVENTS DROPPED]\n"):
        report = lint_bytes("".join([*text[:5], mark, *text[5:]]).encode())
        assert says(report) == "cannot tell"
        assert "lost" in report.reasons[0]


@pytest.mark.parametrize("line", range(9))
def test_a_cut_line_of_kernel_events_proves_nothing(line: int) -> None:
    bad = [*T_CREATE, *T_READ, *T_EINTR, *T_GET, *T_READ, *T_GET]
    text = "".join(_TRACE.format(i, event) for i, event in enumerate(bad)).splitlines(True)
    whole = text[line + 6]
    for cut in range(1, len(whole) - 1):
        text[line + 6] = whole[:cut] + "\n"
        assert says(lint_bytes("".join(text).encode(), format="tracefs")) != "clean", text[line + 6]


def test_other_recorders_of_the_same_events() -> None:
    raw = [
        "sys_enter: NR 16 (4, ae41, 0, 0, 0, 0)",
        "sys_exit: NR 16 = 5",
        "sys_enter: NR 0 (9, 7f00, 10, 0, 0, 0)",
        "sys_exit: NR 0 = 16",
        "sys_enter: NR 16 (5, ae80, 0, 0, 0, 0)",
        UNSATISFIED,
        EXIT,
        "sys_exit: NR 16 = 0",
        "sys_enter: NR 16 (5, 8090ae81, 7ffd, 0, 0, 0)",
        "sys_exit: NR 16 = 0",
    ]
    assert says(events(*raw)) == "findings"
    drain = ["sys_enter: NR 16 (5, ae80, 0, 0, 0, 0)", "sys_exit: NR 16 = -4"]
    assert says(events(*raw[:8], *drain, *raw[8:])) == "clean"
    cmd = [
        "sys_enter_ioctl:      fd: 0x00000005, cmd: 0x0000ae80, arg: 0",
        UNSATISFIED,
        EXIT,
        "sys_exit_ioctl:       0x0",
        "sys_enter_ioctl:      fd: 0x00000005, cmd: 0x8090ae81, arg: 0x7ffd",
        "sys_exit_ioctl:       0x0",
    ]
    assert (
        says(events(*cmd, dress="             vmm-7     [001]  3323.83{:04d}: {}\n")) == "findings"
    )
    perf = [f"syscalls:{e}" if e.startswith("sys") else f"kvm:{e}" for e in cmd]
    assert says(events(*perf, dress=_PERF, format="perf")) == "findings"


def test_names_of_tasks_can_be_strange() -> None:
    for task in ("CPU 0/KVM-7", "a-b-c-7", "<...>-7", "vmm [x]-7"):
        dress = "  " + task + "     (    7) [001] d..1.  3323.83{:04d}: {}\n"
        assert says(events(*T_CREATE, *T_READ, *T_GET, dress=dress)) == "findings"


def test_perf_prints_a_stale_reason_after_eintr() -> None:
    drained = [UNSATISFIED, EXIT, READ, EXIT]
    assert says(events(*drained, dress=_PERF, format="perf")) == "clean"
    left = [UNSATISFIED, EXIT, UNSATISFIED, EXIT, READ]
    assert says(events(*left, dress=_PERF, format="perf")) == "findings"
    ports = [
        EXIT_IO,
        "kvm_pio: pio_read at 0x5a size 1 count 1 val 0x1 ",
        EXIT_IO,
        UNSATISFIED,
        EXIT,
    ]
    assert says(events(*ports, dress=_PERF, format="perf")) == "cannot tell"


# ------------------------------------------------------------------------ QEMU's own log


def qemu(*what: str) -> Report:
    text = "".join(f"30578@1795459444.{i:06d}:{event}\n" for i, event in enumerate(what))
    return lint_bytes(text.encode())


Q_MADE = "kvm_init_vcpu index: 0 id: 0"
Q_RUN = "kvm_vcpu_ioctl cpu_index 0, type 0xae80, arg (nil)"
Q_GET = "kvm_vcpu_ioctl cpu_index 0, type 0x8090ae81, arg 0x7f5aa75fe510"


def test_qemus_log_can_convict_but_not_acquit() -> None:
    mmio, hlt = (f"kvm_run_exit cpu_index 0, reason {n}" for n in (6, 5))
    assert says(qemu(Q_MADE, Q_GET, Q_RUN, mmio, Q_GET)) == "findings"
    assert says(qemu(Q_MADE, Q_GET, Q_RUN, mmio, Q_RUN, Q_GET)) == "cannot tell"
    assert says(qemu(Q_MADE, Q_RUN, hlt, Q_GET)) == "clean"
    assert says(qemu(Q_MADE, Q_RUN, mmio, Q_GET.replace("index 0", "index 1"))) == "cannot tell"


def test_verdicts_are_three() -> None:
    assert {verdict.value for verdict in Verdict} == {"clean", "findings", "cannot tell"}
