"""VMMs with an HTTP API on a socket: Firecracker and Cloud Hypervisor.

Source: Firecracker's src/firecracker/swagger/firecracker.yaml and docs/snapshotting; Cloud
Hypervisor's docs/api.md and docs/snapshot_restore.md.
"""

from __future__ import annotations

import http.client
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from kvmexit.conform.adapter import Adapter
from kvmexit.errors import KvmExitError

_SHOWN = 300
"""Characters of an answer that are shown."""


class Rest(Adapter):
    """A VMM that is asked over HTTP, one connection a request."""

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        """One request. KvmExitError with the VMM's own words if it says no."""
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self.connect()
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            said = answer.read().decode("utf-8", "replace")
        except http.client.HTTPException as problem:
            raise KvmExitError(f"{method} {path} got no answer: {problem!r}") from None
        finally:
            connection.close()
        if answer.status >= 300:
            raise KvmExitError(f"{method} {path} is answered {answer.status}: {_reason(said)}")


def _reason(said: str) -> str:
    """The reason in the answer ``said``, on one line. Firecracker gives an object with one text,
    Cloud Hypervisor a list from the act to its cause, whose last may have a stack behind it."""
    try:
        parts = json.loads(said)
    except ValueError:
        parts = said
    if isinstance(parts, dict):
        parts = parts.get("fault_message", said)
    if not isinstance(parts, list):
        return " ".join(str(parts).split())[:_SHOWN] or "no reason given"
    first = [next(iter(str(part).splitlines()), "") for part in parts]
    # What it is all about comes last.
    return ": ".join(first)[-_SHOWN:]


class Firecracker(Rest):
    """Firecracker. Its log goes nowhere: standard output is the guest's."""

    binary = "firecracker"
    linux = "vmlinux"

    def start(self) -> list[str]:
        quiet = ("--level", "Off", "--log-path", "/dev/null")
        return [self.binary, *quiet, "--api-sock", str(self.api)]

    def load(self, saved: Path) -> list[str]:
        self._saved = saved
        return self.start()

    def started(self) -> None:
        if hasattr(self, "_saved"):
            return
        self.ask("PUT", "/machine-config", {"vcpu_count": 1, "mem_size_mib": self.memory})
        boot = {"kernel_image_path": str(self.kernel), "boot_args": self.command_line}
        if self.initrd:
            boot["initrd_path"] = str(self.initrd)
        self.ask("PUT", "/boot-source", boot)
        self.ask("PUT", "/actions", {"action_type": "InstanceStart"})

    def loaded(self) -> None:
        memory = {"backend_type": "File", "backend_path": str(self._saved / "memory")}
        state = str(self._saved / "state")
        self.ask("PUT", "/snapshot/load", {"snapshot_path": state, "mem_backend": memory})

    def pause(self) -> None:
        self.ask("PATCH", "/vm", {"state": "Paused"})

    def resume(self) -> None:
        self.ask("PATCH", "/vm", {"state": "Resumed"})

    def save(self, saved: Path) -> None:
        paths = {"snapshot_path": str(saved / "state"), "mem_file_path": str(saved / "memory")}
        self.ask("PUT", "/snapshot/create", {"snapshot_type": "Full", **paths})


class CloudHypervisor(Rest):
    """Cloud Hypervisor, with its serial port on the terminal."""

    binary = "cloud-hypervisor"
    linux = "vmlinux"

    def start(self) -> list[str]:
        machine = ["--cpus", "boot=1", "--memory", f"size={self.memory}M"]
        if self.initrd:
            machine += ["--initramfs", str(self.initrd), "--cmdline", self.command_line]
        serial = ("--serial", "tty", "--console", "off")
        listen = ("--api-socket", str(self.api))
        return [self.binary, *listen, "--kernel", str(self.kernel), *machine, *serial]

    def load(self, saved: Path) -> list[str]:
        listen = ("--api-socket", str(self.api))
        return [self.binary, *listen, "--restore", f"source_url=file://{saved}"]

    def loaded(self) -> None:
        """Its API answers before the state is in; an info that is refused comes too early."""
        assert self.process is not None

        def there() -> bool:
            with suppress(KvmExitError):
                self.ask("GET", "/api/v1/vm.info")
                return True
            return False

        self.process.wait_for(there, "the restored VM")

    def pause(self) -> None:
        self.ask("PUT", "/api/v1/vm.pause")

    def resume(self) -> None:
        self.ask("PUT", "/api/v1/vm.resume")

    def save(self, saved: Path) -> None:
        self.ask("PUT", "/api/v1/vm.snapshot", {"destination_url": f"file://{saved}"})
