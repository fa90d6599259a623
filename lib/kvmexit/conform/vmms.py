"""The VMMs that this package has an adapter for."""

from __future__ import annotations

from kvmexit.conform.adapter import Adapter
from kvmexit.conform.qemu import Qemu

VMMS: dict[str, type[Adapter]] = {"qemu": Qemu}
"""Name on the command line, and adapter."""
