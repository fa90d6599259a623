"""QEMU, through QMP. A save is a migration into a file.

Source: docs/interop/qmp-spec.rst, qapi/migration.json. Its machine is microvm, whose firmware
starts the guest at once, and for a Linux pc, whose clocks need no help of KVM's; the vCPU's loop is
the same for all of its machines.
"""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote
from typing import Any

from kvmexit.conform.adapter import Adapter
from kvmexit.errors import KvmExitError

_MACHINE = "microvm,accel=kvm,isa-serial=on"
_PC = "pc,accel=kvm"
_SILENT = ("-nodefaults", "-no-user-config", "-display", "none")
_SERIAL = ("-chardev", "stdio,id=line,signal=off", "-serial", "chardev:line")


class Qemu(Adapter):
    """QEMU 5.0 or newer (which has microvm)."""

    binary = "qemu-system-x86_64"
    linux = "bzImage"

    def start(self) -> list[str]:
        listen = f"unix:{self.api},server=on,wait=off"
        machine, boot = _MACHINE, ["-kernel", str(self.kernel)]
        if self.initrd:
            machine = _PC
            boot += ["-initrd", str(self.initrd), "-append", self.command_line]
        return [
            *(self.binary, "-M", machine, "-m", str(self.memory), *boot),
            *(*_SILENT, *_SERIAL, "-qmp", listen),
        ]

    def load(self, saved: Path) -> list[str]:
        return [*self.start(), "-incoming", f"exec:cat {quote(str(saved / 'state'))}"]

    def started(self) -> None:
        self._connection = self.connect()
        self._lines = self._connection.makefile("rw")
        self._lines.readline()  # the greeting
        self._ask("qmp_capabilities")

    def loaded(self) -> None:
        self._until("query-status", ("paused", "postmigrate", "prelaunch"), ("internal-error",))

    def pause(self) -> None:
        self._ask("stop")

    def resume(self) -> None:
        self._ask("cont")

    def save(self, saved: Path) -> None:
        self._ask("migrate", uri=f"exec:cat > {quote(str(saved / 'state'))}")
        self._until("query-migrate", ("completed",), ("failed", "cancelled"))

    def close(self) -> None:
        if hasattr(self, "_lines"):
            self._lines.close()
            self._connection.close()

    def _until(self, question: str, good: tuple[str, ...], bad: tuple[str, ...]) -> None:
        """Ask until the status is one of ``good``. KvmExitError at one of ``bad``."""
        assert self.process is not None

        def there() -> bool:
            answer = self._ask(question)
            if (status := answer.get("status")) in bad:
                why = answer.get("error-desc", "no reason given")
                raise KvmExitError(f"QEMU: {question} says {status}: {why}")
            return status in good

        self.process.wait_for(there, f"{question} to say {good[0]}")

    def _ask(self, execute: str, **arguments: str) -> dict[str, Any]:
        """One command and its answer; events are passed over."""
        self._lines.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
        self._lines.flush()
        while line := self._lines.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise KvmExitError(f"QEMU refuses {execute}: {answer['error']['desc']}")
            if "return" in answer:
                result: dict[str, Any] = answer["return"]
                return result
        raise KvmExitError(f"QEMU closed its monitor before it answered {execute}")
