"""A log of a run: what lint found before the first stop is told apart, and does not decide."""

import pytest
from conform_json import validated
from kvmexit.conform import GUESTS, VMMS, Plan, Result, judge, summary
from kvmexit.conform.harness import Seen
from kvmexit.conform.record import Strace, read
from kvmexit.conform.report import as_json

RUN = "7 ioctl(9<anon_inode:kvm-vcpu:0>, KVM_RUN, 0) = "
GET = "7 ioctl(9<anon_inode:kvm-vcpu:0>, KVM_GET_REGS, {rax=0}) = 0"
EXIT, DRAINED = f"{RUN}0 (KVM_EXIT_IO)", f"{RUN}-1 EINTR (Interrupted system call)"
BOOT = (EXIT, GET, EXIT)
"""As QEMU's kvmvapic does: it reads state in the exit of an option ROM's out."""


@pytest.mark.parametrize(
    ("before", "behind", "findings", "found"),
    [
        (BOOT, (DRAINED, GET), 1, False),
        (BOOT, (GET,), 1, True),
        ((EXIT,), (GET,), 0, True),
        ((EXIT, GET), (GET,), 0, True),  # what goes on behind the pause is the stop's
        ((EXIT,), (DRAINED, GET), 0, False),
    ],
)
@pytest.mark.parametrize("stopped", [True, False])
def test_only_what_lies_behind_the_first_pause_decides(
    before, behind, findings, found, stopped, tmp_path, monkeypatch
):
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")  # nothing is run
    recorder = Strace(tmp_path)
    recorder.before([], 0)
    (log,) = recorder.logs
    log.write_text("".join(f"{line}\n" for line in before))
    if stopped:
        recorder.pausing()
    with log.open("a") as more:
        more.writelines(f"{line}\n" for line in behind)
    if stopped:
        recorder.pausing()  # a second one moves nothing
    (said,) = read(recorder)
    assert said.found == (found and stopped)
    if not stopped:
        return
    assert said.before == findings
    seen = Seen(GUESTS["wide"], False, cuts=[0])
    plan = Plan(VMMS["qemu"], "qemu", GUESTS["wide"], trace="strace", keep=tmp_path)
    result = Result(plan, judge(seen, GUESTS["wide"].forgives), 1.0, "", [said])
    assert result.found == found
    text = "\n".join(summary(result))
    assert ("before the first stop: 1 finding, not of a stop" in text) == bool(findings)
    assert (f"kvmexit lint {log}" in text) == found
    assert (
        f"    0.strace: {'findings' if found else 'nothing at a stop' if findings else 'clean'}"
        in text
    )
    (told,) = validated(as_json(result))["logs"]
    assert (told["found"], told["before_the_first_stop"]) == (found, findings)
