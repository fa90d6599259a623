"""The machines that are to be had without their processors: what brings each of them up.

QEMU's TCG emulates the virtualization extensions of AMD, ARM, RISC-V and POWER, Bochs those of
Intel. What runs on them is Debian's kernel, unmodified, and its KVM.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Machine:
    """One of them. ``suites`` are tried in this order; ``kernel`` is a metapackage, which names
    the kernel of the day; ``modules`` are loaded in this order. ``processor`` is the emulator's
    model, and ``arguments`` all else it is started with. ``firmware`` is a package and the file in
    it, ``tools`` packages that the emulator needs beside its own."""

    name: str
    architecture: str
    suites: tuple[str, ...]
    kernel: str
    modules: tuple[str, ...]
    emulator: str
    package: str
    processor: str
    arguments: tuple[str, ...]
    console: str
    firmware: tuple[str, str] | None = None
    tools: tuple[str, ...] = ()
    beneath: str = ""
    """What else stands between the emulated processor and the kernel; "" for nothing."""
    release: str = ""
    """The release whose emulator it must be, with all its libraries; "" takes the reader's own."""


SVM = Machine(
    "svm",
    "amd64",
    ("bookworm", "trixie"),
    "linux-image-cloud-amd64",
    ("irqbypass", "kvm", "kvm_amd"),
    "qemu-system-x86_64",
    "qemu-system-x86",
    "max,+svm",
    ("-M", "pc", "-m", "512"),
    "console=ttyS0 quiet panic=-1 mitigations=off",
)
VMX = Machine(
    "vmx",
    "amd64",
    ("bookworm", "trixie"),
    "linux-image-cloud-amd64",
    ("irqbypass", "kvm", "kvm_intel"),
    "bochs",
    "bochs",
    "corei7_haswell_4770",
    (),
    "console=ttyS0,115200 nokaslr mitigations=off panic=-1 quiet edd=off PYTHONHASHSEED=0",
    tools=("bochs-term", "bochsbios", "vgabios", "isolinux", "syslinux-common", "xorriso"),
    # Bochs 3.0: 2.7 of the release before takes twice as long, 3.1 of the one after does not boot.
    release="trixie",
)
ARM64 = Machine(
    "arm64",
    "arm64",
    ("bookworm", "trixie"),
    "linux-image-cloud-arm64",
    (),
    "qemu-system-aarch64",
    "qemu-system-arm",
    # Not `max`: QEMU 7.2's runs stale code after some VMs.
    "cortex-a72",
    ("-M", "virt,virtualization=on,gic-version=3", "-m", "512"),
    "console=ttyAMA0 quiet panic=-1",
)
RISCV64 = Machine(
    "riscv64",
    "riscv64",
    ("trixie", "forky"),
    "linux-image-riscv64",
    ("kvm",),
    "qemu-system-riscv64",
    "qemu-system-misc",
    # zkr and x-epmp, and OpenSBI 1.6, give a CSR that KVM leaves to userspace.
    "rv64,h=true,zkr=true,x-epmp=true",
    ("-M", "virt", "-m", "512"),
    "console=ttyS0 quiet panic=-1",
    firmware=("opensbi", "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"),
)
POWERPC = Machine(
    "powerpc",
    "ppc64el",
    ("bookworm", "trixie"),
    "linux-image-powerpc64le",
    ("kvm", "kvm_hv"),
    "qemu-system-ppc64",
    "qemu-system-ppc",
    "power9",
    (
        "-M",
        "pseries,cap-nested-hv=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,"
        "cap-ccf-assist=off,x-vof=on",
        "-m",
        "1G",
    ),
    "console=hvc0 quiet panic=-1",
    beneath="nested, its hypervisor is QEMU",
)
MACHINES = {one.name: one for one in (SVM, VMX, ARM64, RISCV64, POWERPC)}
