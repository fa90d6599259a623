"""Start an emulator, listen to the console of the machine in it, and take its document home.

The emulator is a process of ours and ends with us. Each stage has a limit; what the machine said is
kept in a file, whatever comes of it.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from kvmexit.errors import KvmExitError

Progress = Callable[[str], None]
QUIET = "-nodefaults -no-user-config -display none -no-reboot -serial stdio -accel tcg -smp 1"
RUNNING: set[subprocess.Popen[bytes]] = set()
"""The emulators of this process: none of them outlives it."""
OFTEN = 15
"""Seconds between two lines on how far a long stage is."""
BOOTING = "the kernel to boot and to bring KVM up"


def qemu(
    program: list[str],
    processor: str,
    arguments: tuple[str, ...],
    files: dict[str, Path],
    line: str,
) -> list[str]:
    """The command that starts QEMU: ``files`` are its kernel, initrd and, for some, its bios."""
    loaded = [word for name, path in files.items() for word in (f"-{name}", str(path))]
    return [*program, "-cpu", processor, *arguments, *QUIET.split(), *loaded, "-append", line]


class Console:
    """What a machine prints, line by line, with a limit for silence of its stages."""

    def __init__(self, lines: Iterator[bytes], log: IO[str]) -> None:
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._log = log
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def _read(self, lines: Iterator[bytes]) -> None:
        for line in lines:
            self._lines.put(line)
        self._lines.put(None)

    def line(self, until: float) -> str | None:
        """The next line; None at the end. Raises queue.Empty when the time is over."""
        raw = self._lines.get(timeout=max(0.0, until - time.monotonic()))
        if raw is None:
            return None
        return raw.decode(errors="replace").rstrip("\r\n")

    def keep(self, line: str) -> None:
        """Put a line into the file that is kept."""
        print(line, file=self._log, flush=True)


def listen(console: Console, limit: float, say: Progress, log: Path) -> dict[str, Any]:
    """Follow a machine through its stages to its document. Raises KvmExitError at the first that
    takes longer than ``limit`` seconds, or ends otherwise."""
    stage, doing, said = BOOTING, BOOTING, time.monotonic()
    until = said + limit
    document: list[str] | None = None
    while True:
        try:
            line = console.line(until)
        except queue.Empty:
            raise KvmExitError(
                f"waited {limit:g} seconds for {doing}: this machine is too slow or too busy for"
                f" that; give --limit more seconds, or see what it said in {log}"
            ) from None
        if line is None:
            raise KvmExitError(f"the emulator ended while we waited for {doing}; see {log}")
        if not line.startswith("@@ "):
            if document is None:
                console.keep(line)
            else:
                document.append(line)
            continue
        console.keep(line)
        word, _, rest = line[3:].partition(" ")
        until = time.monotonic() + limit
        if word == "kvm":
            say(f"Linux {rest} is up, with KVM")
        elif word == "stage":
            stage, said = rest, time.monotonic()
            doing = stage
            say(stage)
        elif word == "doing":
            doing = rest
        elif word == "done" and time.monotonic() > said + OFTEN:
            said = time.monotonic()
            say(f"{stage}: {rest}")
        elif word == "document":
            document = []
        elif word == "whole" and document is not None:
            return _unpack("".join(document), log)
        elif word in ("nokvm", "failed", "off"):
            what = "no /dev/kvm" if word == "nokvm" else f"failed in the stage: {stage}"
            raise KvmExitError(f"the machine inside has {what} ({rest}); see {log}")
    raise AssertionError


def _unpack(text: str, log: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(text)))
        return document
    except (binascii.Error, OSError, EOFError, ValueError) as problem:
        raise KvmExitError(
            f"what came over the console is damaged ({problem}): try again; see {log}"
        ) from None


def run(
    argv: list[str],
    log: Path,
    limit: float,
    say: Progress,
    environment: dict[str, str],
    serial: Path | None = None,
) -> dict[str, Any]:
    """Start the emulator ``argv`` and bring home the document of the machine in it. ``serial`` is
    the file into which it writes the console, if that is not its own output."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w") as kept, open(log.with_name("emulator.txt"), "wb") as other:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=other if serial else subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
                cwd=log.parent,
            )
        except OSError as problem:
            raise KvmExitError(f"cannot start {argv[0]}: {problem.strerror}") from None
        RUNNING.add(process)
        try:
            lines = follow(serial, process) if serial else iter(process.stdout or ())
            return listen(Console(lines, kept), limit, say, log)
        finally:
            process.kill()
            process.wait()
            RUNNING.discard(process)


def end_all() -> None:
    """End every emulator that runs: whoever waits for one of them goes on."""
    for process in tuple(RUNNING):
        process.kill()


def follow(file: Path, process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """The lines of a file that grows, until the one who writes it has ended."""
    rest = b""
    with open(file, "rb") as growing:
        while True:
            ended = process.poll() is not None
            *lines, rest = (rest + growing.read()).split(b"\n")
            yield from lines
            if ended:
                return
            time.sleep(0.05)
