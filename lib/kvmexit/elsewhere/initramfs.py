"""An initramfs made of packages: Python is its only program, and the first process is a script.

No cpio, no shell, no root: the archive is written here, in the form that
Documentation/driver-api/early-userspace/buffer-format.rst describes ("newc").
"""

from __future__ import annotations

import io
import lzma
import marshal
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import kvmexit
from kvmexit.errors import KvmExitError

LIBRARY = Path(kvmexit.__file__).parent
LEFT_OUT = ("usr/share/", "usr/lib/python3/", "etc/", "var/", "boot/")
LEFT_OUT_INSIDE = frozenset(
    "gconv lib2to3 ensurepip idlelib test tkinter turtledemo pydoc_data wsgiref distutils dbm"
    " sqlite3 curses _pyrepl C.utf8 doc man asyncio multiprocessing unittest xml".split()
)
ROOMS = ("", "guest", "kernel", "vmm", "packet", "probe", "faults", "elsewhere")
"""What goes along of this library: all that needs nothing outside the standard library."""


class Cpio:
    """A newc archive, in order; folders are made as they are needed."""

    def __init__(self) -> None:
        self.out = io.BytesIO()
        self._count, self._folders = 0, {""}

    def put(
        self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)
    ) -> None:
        """One entry."""
        self._count += 1
        raw = name.encode() + b"\0"
        head = (self._count, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(raw), 0)
        self.out.write(b"070701" + "".join(f"{value:08X}" for value in head).encode() + raw)
        self._pad(4)
        self.out.write(data)
        self._pad(4)

    def _pad(self, to: int) -> None:
        self.out.write(b"\0" * (-self.out.tell() % to))

    def folder(self, name: str) -> None:
        """A folder, and those above it."""
        if name not in self._folders:
            self.folder(os.path.dirname(name))
            self._folders.add(name)
            self.put(name, 0o040755)

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        """A file."""
        self.folder(os.path.dirname(name))
        self.put(name, 0o100000 | mode, data)

    def link(self, name: str, to: str) -> None:
        """A symbolic link."""
        self.folder(os.path.dirname(name))
        self.put(name, 0o120777, to.encode())

    def end(self) -> bytes:
        """The whole archive."""
        self.put("TRAILER!!!", 0)
        self._pad(512)
        return self.out.getvalue()


def python_archive(packages: list[Path]) -> tuple[bytes, str]:
    """Python out of ``packages``, and the path of its program. It is the same for every run."""
    cpio = Cpio()
    for name in "lib lib64 bin sbin".split():
        cpio.link(name, f"usr/{name}")
    python = _python(cpio, packages)
    return cpio.end(), python


def initramfs(
    modules: list[tuple[str, bytes]], job: str, python: str, files: Iterable[tuple[str, bytes]]
) -> bytes:
    """What is added to Python: kernel ``modules``, the ``files`` of the job, and its words: a
    module of this package and its argument. The kernel takes archives one behind the other."""
    cpio = Cpio()
    for folder in "dev proc sys tmp run out".split():
        cpio.folder(folder)
    cpio.put("dev/console", 0o020600, device=(5, 1))
    for name, data in files:
        cpio.file(name, data, 0o755 if data.startswith(b"\x7fELF") else 0o644)
        if name.endswith(".py"):
            _byte_code(cpio, name, data, python)
    for name, data in modules:
        cpio.file(f"modules/{name}.ko", data)
    cpio.file("modules/order", "\n".join(name for name, _ in modules).encode())
    cpio.file("job", job.encode())
    init = (LIBRARY / "elsewhere" / "init.py").read_bytes()
    cpio.file("init", b"#!" + python.encode() + b" -S\n" + init, 0o755)
    return cpio.end()


def unpacked(package: Path) -> Iterator[tuple[str, bytes, int, str]]:
    """The files of a .deb that are wanted: name, bytes, mode, and where a link points."""
    with contents(package) as tar:
        for member in tar:
            name = merged(member.name)
            parts = set(name.split("/")[:-1])
            if not name or name.startswith(LEFT_OUT) or parts & LEFT_OUT_INSIDE:
                continue
            if member.issym():
                yield name, b"", 0o777, member.linkname
            elif member.isfile() or member.islnk():
                found = tar.extractfile(member)
                yield name, found.read() if found else b"", member.mode & 0o777, ""


def contents(package: Path) -> tarfile.TarFile:
    """What a .deb would install."""
    result = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], capture_output=True)
    if result.returncode:
        raise KvmExitError(f"{package.name} is damaged: remove .cache/elsewhere, and try again")
    return tarfile.open(fileobj=io.BytesIO(result.stdout))


def merged(name: str) -> str:
    """A path in a system whose /bin and /lib are in /usr."""
    name = name.removeprefix("./").rstrip("/")
    return f"usr/{name}" if name.split("/")[0] in ("lib", "lib64", "bin", "sbin") else name


def module(data: bytes, name: str) -> bytes:
    """A kernel module as the kernel takes it."""
    return lzma.decompress(data) if name.endswith(".xz") else data


def library() -> Iterator[tuple[str, bytes]]:
    """This library, as far as it is needed inside."""
    for path in sorted(LIBRARY.rglob("*.py*")):
        place = path.relative_to(LIBRARY)
        room = place.parts[0] if len(place.parts) > 1 else ""
        if room in ROOMS and path.suffix in (".py", ".pyi"):
            yield f"lab/kvmexit/{place.as_posix()}", path.read_bytes()


def _python(cpio: Cpio, packages: Iterable[Path]) -> str:
    """Put Python and the libraries it needs into ``cpio``; the path of its program."""
    seen: set[str] = set()
    sources: list[tuple[str, bytes]] = []
    python = ""
    for name, data, mode, link in (file for package in packages for file in unpacked(package)):
        if name in seen:
            continue
        seen.add(name)
        if link:
            cpio.link(name, link)
            continue
        cpio.file(name, data, mode)
        if name.startswith("usr/bin/python3."):
            python = "/" + name
        elif name.endswith(".py"):
            sources.append((name, data))
    if not python:
        raise KvmExitError("no Python among the packages: remove .cache/elsewhere and try again")
    for name, data in sources:
        _byte_code(cpio, name, data, python)
    return python


def _byte_code(cpio: Cpio, name: str, data: bytes, python: str) -> None:
    """Byte code beside a module, if this Python is of the version inside: it is imported in a
    quarter of the time, which under an emulator is seconds. The form is that of PEP 552, with a
    hash that nobody checks."""
    if not python.endswith("python{}.{}".format(*sys.version_info[:2])):
        return
    folder, base = os.path.split(name)
    try:
        code = compile(data, "/" + name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return
    packed = MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code)
    cpio.file(f"{folder}/__pycache__/{base[:-3]}.{sys.implementation.cache_tag}.pyc", packed)
