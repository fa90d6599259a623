"""What this machine can do, and the next step for each thing that it cannot.

The verdict on KVM is an experiment, not a guess: a guest of five bytes is run.
"""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR, Hlt, PioOut, VcpuState
from kvmexit.kernel import abi
from kvmexit.kernel.host import MODULES, cpu_fact, host
from kvmexit.kernel.real import RealKernel

DEVICE = "/dev/kvm"
START = 0x1000
GUEST = bytes.fromhex("e610 f4")  # out 0x10, al; hlt


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. ``found`` says what is there, ``next_step`` what to do if it is not."""

    name: str
    ok: bool
    found: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """Can this process run guests on real KVM? If not, ``reason`` says why and what to do."""

    works: bool
    reason: str
    checks: tuple[Check, ...] = ()


def kvm_status(device: str = DEVICE) -> Status:
    """Open ``device``, ask it what it can do, and run a guest on it."""
    checks = [_present(device)]
    if checks[0].ok:
        checks.append(_permitted(device))
    failed = next((check for check in checks if not check.ok), None)
    if failed is None:
        checks += _abilities(device)
        guest = _guest(device)
        checks.append(guest)
        failed = None if guest.ok else guest
    if failed is None:
        return Status(True, f"{device} runs guests", tuple(checks))
    return Status(False, f"{failed.found}: {failed.next_step}", tuple(checks))


def _present(device: str) -> Check:
    if os.path.exists(device):
        return Check("device", True, f"{device} is there")
    return Check("device", False, f"no {device}", _how_to_get_a_device())


def _how_to_get_a_device() -> str:
    """What stands between this machine and /dev/kvm, from the processor's flags upward."""
    flags = cpu_fact("flags").split()
    vendor = {"vmx": "kvm_intel", "svm": "kvm_amd"}
    module = next((vendor[flag] for flag in vendor if flag in flags), None)
    if module and any(Path("/sys/module", name).exists() for name in MODULES):
        return "KVM is loaded; in a container pass the device in, as with --device /dev/kvm"
    if module:
        return f"the processor can: sudo modprobe {module}, or turn it on in the firmware"
    if "hypervisor" in flags:
        return "this is a virtual machine: turn on nested virtualization in its host"
    return "the processor shows neither vmx nor svm: use the simulated kernel or a recording"


def _permitted(device: str) -> Check:
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        why = os.strerror(error.errno or 0)
        steps = {
            errno.EACCES: "sudo usermod -aG kvm $USER and log in again, or be root",
            errno.EPERM: "the sandbox forbids it: allow the device there",
            errno.ENODEV: "the device is there, its module is not: " + _how_to_get_a_device(),
            errno.ENXIO: "the device is there, its module is not: " + _how_to_get_a_device(),
            errno.ENOENT: _how_to_get_a_device(),
        }
        step = steps.get(error.errno or 0, "see the kernel's log")
        return Check("permission", False, f"{device} cannot be opened ({why})", step)
    return Check("permission", True, "it can be opened for reading and writing")


def _abilities(device: str) -> list[Check]:
    """What KVM says of itself, and what of that this book needs."""
    fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        version = ioctl(fd, abi.KVM_GET_API_VERSION, 0)
        stop = ioctl(fd, abi.KVM_CHECK_EXTENSION, abi.KVM_CAP_IMMEDIATE_EXIT)
        msr = ioctl(fd, abi.KVM_CHECK_EXTENSION, abi.KVM_CAP_X86_USER_SPACE_MSR)
    except OSError as error:
        return [Check("API", False, f"{device} is not KVM ({error.strerror})", "name another")]
    finally:
        os.close(fd)
    return [
        Check("API", version == abi.API_VERSION, f"version {version}", "use Linux 2.6.22 or newer"),
        Check("immediate_exit", stop > 0, _yes(stop > 0), "use Linux 4.11 or newer"),
        Check("MSR exits", msr > 0, _yes(msr > 0), "use Linux 5.10 or newer; only MSRs need it"),
    ]


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


def _guest(device: str) -> Check:
    """Run ``out``, and see whether it has retired at its exit: machines differ in this."""
    try:
        with RealKernel(limit=2.0, device=device) as kernel, kernel.create_vm(0x2000) as vm:
            vm.memory[START : START + len(GUEST)] = GUEST
            vm.vcpu.set_state(VcpuState(rip=START))
            exit, at_exit = vm.vcpu.run(), vm.vcpu.get_state().rip
            vm.vcpu.kvm_run.immediate_exit = 1
            completed, after = vm.vcpu.run(), vm.vcpu.get_state().rip
            vm.vcpu.kvm_run.immediate_exit = 0
            end = vm.vcpu.run()
    except KvmExitError as error:
        return Check("guest", False, str(error), "see the kernel's log: dmesg | grep -i kvm")
    seen = (exit, completed, after, end)
    if seen != (PioOut(0x10, 1, 1, b"\0"), EINTR, START + 2, Hlt()):
        return Check("guest", False, f"a guest of out and hlt gave {seen}", "report this machine")
    when = "before its exit" if at_exit == after else "at completion, after its exit"
    return Check("guest", True, f"runs; `out` retires {when}")


TOOLS = (
    ("strace", "strace", "traces of ioctls: sudo apt install strace"),
    ("C compiler", "gcc", "comparison with C: sudo apt install gcc"),
    ("QEMU", "qemu-system-x86_64", "the bug in QEMU: sudo apt install qemu-system-x86"),
    ("TPM emulator", "swtpm", "a TPM for QEMU: sudo apt install swtpm"),
    ("browser", "chromium", "checks of the pages: sudo apt install chromium"),
)
"""What some chapters and tests use: name, program, what for and how to get it."""
TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")


def tool_checks() -> list[Check]:
    """The programs that some chapters use. None of them is needed to read the book."""
    checks = []
    for name, program, step in TOOLS:
        path = shutil.which(program)
        found = f"{program} is there" if path else f"no {program}"
        checks.append(Check(name, path is not None, found, step))
    return [*checks, _tracefs()]


def _tracefs() -> Check:
    step = "traces of KVM's own events: sudo mount -t tracefs tracefs /sys/kernel/tracing"
    for folder in TRACEFS:
        try:
            events = len(list(Path(folder, "events", "kvm").glob("*/format")))
        except PermissionError:
            return Check("tracefs", False, f"{folder} may not be read", "be root to trace")
        if events:
            return Check("tracefs", True, f"{events} kvm events in {folder}")
    return Check("tracefs", False, "no kvm events to be seen", step)


def machine() -> dict[str, str]:
    """Linux release, processor and KVM module of this machine."""
    return {**host()._asdict(), "module": host().module or "none seen"}
