"""What the harness asks of a VMM, and the adapters that answer.

An adapter says how one VMM is started, paused, saved and loaded. It is a class with the methods
of :class:`Adapter`, most of which have an answer here. Your own VMM's stands in a file of yours
(``--adapter FILE``), which defines one subclass.
"""

from __future__ import annotations

import runpy
import socket
import subprocess
from abc import ABC, abstractmethod
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from kvmexit.conform.limit import Overdue, call, place_in
from kvmexit.conform.line import SETTLE
from kvmexit.conform.process import Process
from kvmexit.errors import KvmExitError


class Adapter(ABC):
    """One VMM. ``binary`` is its program, ``kernel`` the guest's image.

    ``start`` and ``load`` return a command; the harness runs it, with the guest's serial port on
    standard input and output, and sets ``process``. Every path that a command names lies in
    ``folder``, which is new for each process and goes with it. Each method may raise
    KvmExitError, whose text the user sees with the VMM's own last words, and each has a limit
    (``limit.py``); what a method has nothing to do for (``started``, ``loaded``, ``close``) is
    left out.
    """

    binary: str
    """The program that is taken when no ``--binary`` says otherwise."""
    linux = ""
    """In which form ``start`` boots a kernel of Linux with ``initrd`` and ``command_line``:
    "bzImage", "vmlinux", or "" if it boots none."""
    initrd: Path | None = None
    """The initramfs of a guest that is a Linux."""
    command_line = ""
    """Its command line."""
    memory = 64
    """MiB that the guest takes."""
    socket_kind: socket.SocketKind = socket.SOCK_STREAM
    """Of its API."""
    settle = SETTLE
    """Seconds in which it reads what it has seen to be there, on its standard input, while it is
    paused. What it has not read by then is taken back."""
    version_words: tuple[str, ...] = ("--version",)
    """What the program is given to say its version."""

    def __init__(self, binary: str, kernel: Path) -> None:
        self.binary, self.kernel = binary, kernel
        self.folder = Path()
        self.process: Process | None = None

    @abstractmethod
    def start(self) -> list[str]:
        """The command that boots the guest."""

    @abstractmethod
    def load(self, saved: Path) -> list[str]:
        """The command of a new process that takes the state in the folder ``saved``."""

    @abstractmethod
    def pause(self) -> None:
        """Stop the vCPU. Return when it stands."""

    @abstractmethod
    def resume(self) -> None:
        """Let it run."""

    @abstractmethod
    def save(self, saved: Path) -> None:
        """Write the state of the paused VM into the folder ``saved``. Return when it is there."""

    def started(self) -> None:  # noqa: B027  # not every VMM needs it
        """Called when the process of ``start`` or ``load`` runs: connect, boot."""

    def loaded(self) -> None:  # noqa: B027  # not every VMM needs it
        """Called after that when the process was to load: return when the state is in."""

    def environment(self) -> dict[str, str]:
        """What is added to the process's environment."""
        return {}

    @property
    def api(self) -> Path:
        """Where this process listens: a socket's path."""
        return self.folder / "api"

    def connect(self) -> socket.socket:
        """A connection to ``api``, once somebody listens there; its acts have a limit."""
        connection = socket.socket(socket.AF_UNIX, self.socket_kind)
        assert self.process is not None
        connection.settimeout(self.process.limit)

        def answered() -> bool:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                connection.connect(str(self.api))
                return True
            return False

        try:
            self.process.wait_for(answered, "its API's socket")
        except BaseException:
            connection.close()
            raise
        return connection

    def version(self) -> str:
        """The first line that the program prints for ``version_words``, or nothing."""
        command = [self.binary, *self.version_words]
        try:
            said = subprocess.run(command, capture_output=True, timeout=Process.limit, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return next(iter(said.stdout.decode("utf-8", "replace").splitlines()), "")

    def close(self) -> None:  # noqa: B027  # not every VMM needs it
        """Called before the process is ended: close connections."""


def from_file(path: str) -> type[Adapter]:
    """The one adapter that the Python file ``path`` defines. KvmExitError if there is none."""
    file = Path(path)
    if not file.is_file():
        raise KvmExitError(f"{path}: no such file; an adapter is a Python file")
    try:
        names = call(Process.limit, runpy.run_path, str(file))
    except Overdue:
        raise KvmExitError(f"{path} does not come to its end: it is to define a class") from None
    except Exception as problem:  # whatever a file of the user's raises
        said = f"{type(problem).__name__}: {problem}".splitlines()[0]
        if not isinstance(problem, SyntaxError):  # which has its line
            said += place_in(str(file), problem)
        raise KvmExitError(f"{path} cannot be run as an adapter: {said}") from None
    found = [
        value
        for value in names.values()
        if isinstance(value, type)
        and issubclass(value, Adapter)
        and value.__module__ == "<run_path>"
    ]
    if len(found) != 1:
        raise KvmExitError(
            f"{path} defines {len(found)} subclasses of kvmexit.conform.Adapter, and one is needed"
        )
    if lacking := sorted(found[0].__abstractmethods__):
        names_of = ", ".join(_with_near(name, found[0]) for name in lacking)
        raise KvmExitError(f"{path}: the adapter {found[0].__name__} lacks {names_of}")
    if not hasattr(found[0], "binary"):
        raise KvmExitError(f"{path}: the adapter {found[0].__name__} names no binary")
    return found[0]


def _with_near(name: str, kind: type) -> str:
    """``name``, and the one of ``kind`` that may be meant for it."""
    near = get_close_matches(name, set(vars(kind)) - set(vars(Adapter)), 1)
    return f"{name} (it has {near[0]})" if near else name
