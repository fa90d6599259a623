"""The VMMs that this package has an adapter for. Each was run against the real one, some hundred
stops (book/vmms); QEMU's is run by the tests, the others by whoever has the VMM."""

from __future__ import annotations

from kvmexit.conform.adapter import Adapter
from kvmexit.conform.crosvm import Crosvm
from kvmexit.conform.qemu import Qemu
from kvmexit.conform.rest import CloudHypervisor, Firecracker

VMMS: dict[str, type[Adapter]] = {
    "qemu": Qemu,
    "firecracker": Firecracker,
    "cloud-hypervisor": CloudHypervisor,
    "crosvm": Crosvm,
}
"""Name on the command line, and adapter."""
