"""crosvm, which is asked by starting itself once more with a word and its socket.

Source: crosvm's src/crosvm/cmdline.rs. It enters an ELF64 in 64-bit mode.
"""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from kvmexit.conform.adapter import Adapter
from kvmexit.errors import KvmExitError


class Crosvm(Adapter):
    """crosvm, without its sandbox."""

    binary = "crosvm"
    linux = "bzImage"
    socket_kind = socket.SOCK_SEQPACKET
    version_words = ("version",)
    # Its thread looks, then reads. If what it saw is gone by then, it waits for more, and a save
    # waits for the thread.
    settle = 1.0

    def start(self) -> list[str]:
        serial = "type=stdout,hardware=serial,num=1,stdin=true"
        machine = (
            "--disable-sandbox",
            "--mem",
            str(self.memory),
            "--cpus",
            "1",
            "--serial",
            serial,
        )
        boot = ("--initrd", str(self.initrd), "-p", self.command_line) if self.initrd else ()
        listen = ("-s", str(self.api))
        quiet = ("--log-level", "off")
        return [self.binary, *quiet, "run", *machine, *boot, *listen, str(self.kernel)]

    def load(self, saved: Path) -> list[str]:
        *before, kernel = self.start()
        return [*before, "--restore", str(saved / "state"), kernel]

    def started(self) -> None:
        self.connect().close()  # the socket's file is there before anybody listens

    def pause(self) -> None:
        self._tell("suspend")

    def resume(self) -> None:
        self._tell("resume")

    def save(self, saved: Path) -> None:
        self._tell("snapshot", "take", str(saved / "state"))

    def _tell(self, *words: str) -> None:
        assert self.process is not None
        command = [self.binary, *words, str(self.api)]
        try:
            answer = subprocess.run(command, capture_output=True, timeout=self.process.limit)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"crosvm {words[0]}") from None
        if answer.returncode:
            said = " ".join((answer.stderr + answer.stdout).decode("utf-8", "replace").split())
            raise KvmExitError(f"crosvm {' '.join(words[:2])}: {said[-200:] or 'it said nothing'}")
