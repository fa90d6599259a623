"""A process that runs the command line again and again, each time in a fork, under a condition.

It loads the library once: so every subcommand under every condition costs little more than its own
work. A line of JSON on standard input asks for a run, a line on standard output answers.
"""

import io
import json
import os
import pty
import signal
import sys
import tty
from typing import Any

import kvmexit.__main__ as command
from kvmexit.commands import elsewhere, record, subcommands
from kvmexit.elsewhere.machines import Machine
from kvmexit.elsewhere.recordings import recording_of

ENVIRONMENT = {"plain": {}, "narrow": {"COLUMNS": "40"}, "dumb": {"TERM": "dumb"}}
"""What a condition adds to an environment without COLUMNS, with a terminal that can do all."""


def count_calls(stop_at: int | None) -> list[int]:
    """Count this process's calls of Python functions; SIGINT arrives at call ``stop_at``."""
    counted, here = [0], os.getpid()

    def tell(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            counted[0] += 1
            if counted[0] == stop_at and os.getpid() == here:
                os.kill(here, signal.SIGINT)

    sys.setprofile(tell)
    return counted


def output(condition: str) -> tuple[int, int | None]:
    """A descriptor to print to, and one to read from, if it is a terminal."""
    if condition == "full":
        return os.open("/dev/full", os.O_WRONLY), None
    if condition == "unread":
        there, here = os.pipe()
        os.close(there)
        return here, None
    if condition in ("dumb", "terminal"):
        there, here = pty.openpty()
        tty.setraw(here)
        return here, there
    return os.memfd_create("output"), None


def child(words: list[str], condition: str, out: int, err: int, stop_at: int | None) -> None:
    """Become the command; never returns."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.pop("COLUMNS", None)
    os.environ.update({"TERM": "xterm", **ENVIRONMENT.get(condition, {})})
    os.dup2(out, 1)
    os.dup2(err, 2)
    encoding = "ascii" if condition == "ascii" else "utf-8"
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w"), encoding, line_buffering=True)
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "w")), encoding, errors="strict")
    sys.argv = ["kvmexit", *words]
    calls = count_calls(stop_at) if condition == "counted" or stop_at else [0]
    status = 1
    try:
        command.run()
    except SystemExit as end:
        status = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.setprofile(None)
    if condition == "counted":
        print(calls[0], file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        status = 120  # what Python ends with
    os._exit(status)


def run(words: list[str], condition: str, stop_at: int | None) -> dict[str, Any]:
    """One run: its status (negative: the signal), and what it printed."""
    (out, terminal), err = output(condition), os.memfd_create("errors")
    pid = os.fork()
    if not pid:
        child(words, condition, out, out if terminal else err, stop_at)
    said = b""
    if terminal:
        os.close(out)
        try:
            while data := os.read(terminal, 65536):
                said += data
        except OSError:
            pass  # nobody has the other end any more
    _, status = os.waitpid(pid, 0)
    if not terminal:
        said = written(out)
    return {
        "status": os.waitstatus_to_exitcode(status),
        "out": said.decode(errors="replace"),
        "err": written(err).decode(errors="replace"),
    }


def written(descriptor: int) -> bytes:
    """What a file holds; nothing, if it is none. It is closed."""
    with os.fdopen(descriptor, "rb"):
        whole = os.path.isfile(f"/proc/self/fd/{descriptor}")
        return os.pread(descriptor, 1 << 26, 0) if whole else b""


def recorded(machine: Machine, *_: Any) -> dict[str, Any]:
    """What a machine that is not here answered once: nothing is booted for this test."""
    return recording_of(machine.name)


def serve() -> None:
    """Answer until nobody asks."""
    everything = record.scenarios
    subcommands()
    elsewhere.bring = recorded
    record.scenarios = lambda *asked: everything(*asked)[:1]
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)


if __name__ == "__main__":
    serve()
