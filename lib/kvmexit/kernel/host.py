"""Which machine this is: what a measurement or a recording of it must say."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

MODULES = ("kvm_intel", "kvm_amd", "kvm_pvm")
"""The modules that can stand behind /dev/kvm on x86."""


class Host(NamedTuple):
    """Words about this machine; "" for what it does not say."""

    release: str
    """Of the Linux kernel: ``uname -r``."""
    cpu: str
    module: str
    """The KVM module for this processor, or "" if none is seen (it may be built in)."""


def host() -> Host:
    """Ask uname, /proc/cpuinfo and /sys/module."""
    module = next((name for name in MODULES if Path("/sys/module", name).exists()), "")
    return Host(os.uname().release, cpu_fact("model name") or os.uname().machine, module)


def cpu_fact(name: str) -> str:
    """A line of /proc/cpuinfo, for the first processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""
