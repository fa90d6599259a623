"""One machine, from packages to its document: fetch, pack, boot, bring home.

In the cache lie, for each machine, the kernel's few files and the packages of Python, and for each
emulator that the reader does not have its package unpacked beside its libraries.
"""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvmexit.elsewhere import boot
from kvmexit.elsewhere.bochs import start_bochs
from kvmexit.elsewhere.checkout import files_for_tests
from kvmexit.elsewhere.fetch import Archive, Progress, call, own_suite, whole
from kvmexit.elsewhere.initramfs import (
    contents,
    initramfs,
    library,
    merged,
    module,
    python_archive,
)
from kvmexit.elsewhere.machines import Machine
from kvmexit.errors import KvmExitError

PYTHON = re.compile(
    r"(python3\.\d+-minimal|libpython3\.\d+-(minimal|stdlib)|libc6|libffi\d+|zlib1g|libexpat1"
    r"|libgcc-s1)="
)
FETCHING = threading.Lock()
"""Machines are fetched one after the other, for they share lists; they boot side by side."""
NAMES = {"qemu": "QEMU", "boch": "Bochs"}
LIBRARY = re.compile(r"\.so(\.\d+)*$")
DATA = ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu")


def bring(machine: Machine, cache: Path, limit: float, say: Progress) -> dict[str, Any]:
    """The document of ``machine``, with its provenance. ``limit`` is in seconds, for each stage."""
    return bring_job(machine, cache, limit, say, "elsewhere.inside", list(library()))


def bring_tests(
    machine: Machine, cache: Path, limit: float, say: Progress, checkout: Path
) -> dict[str, Any]:
    """What came of the tests of ``checkout`` that ask the real kernel, in a boot of their own."""
    return bring_job(machine, cache, limit, say, "elsewhere.testing", files_for_tests(checkout))


def bring_job(
    machine: Machine,
    cache: Path,
    limit: float,
    say: Progress,
    job: str,
    along: list[tuple[str, bytes]],
) -> dict[str, Any]:
    """What ``job``, a module of this library, writes when it is run there, with its provenance.
    ``along`` are the files that it needs."""
    with FETCHING:
        kernel = fetch_kernel(machine, cache, say)
        emulator = fetch_emulator(machine, cache, say)
    about: dict[str, Any] = json.loads((kernel / "about.json").read_text())
    say("packing an initramfs")
    modules = [(name, (kernel / f"{name}.ko").read_bytes()) for name in machine.modules]
    work = cache / "run" / machine.name
    work.mkdir(parents=True, exist_ok=True)
    files = {"kernel": kernel / "vmlinux", "initrd": work / "initrd"}
    added = initramfs(modules, f"{job} {machine.name}", about["python"], along)
    files["initrd"].write_bytes((kernel / "python.cpio").read_bytes() + added)
    if machine.firmware:
        files["bios"] = kernel / "firmware"
    say("booting")
    document = _boot(machine, emulator, files, work, limit, say)
    as_what = ", ".join(filter(None, (machine.processor, machine.beneath)))
    document["provenance"] = {
        "machine": machine.name,
        "kernel": f"Linux {document.pop('release')}, {about['kernel']} of Debian {about['suite']}",
        "emulator": f"{NAMES[machine.emulator[:4]]} {emulator.version}, as {as_what}",
    }
    return document


def _boot(
    machine: Machine,
    emulator: Emulator,
    files: dict[str, Path],
    work: Path,
    limit: float,
    say: Progress,
) -> dict[str, Any]:
    log, serial, environment = work / "console.txt", None, emulator.environment
    if machine.emulator == "bochs":
        argv, environment, serial = start_bochs(machine, emulator.argv, emulator.root, files, work)
    else:
        argv = boot.qemu(
            emulator.argv, machine.processor, machine.arguments, files, machine.console
        )
    return boot.run(argv, log, limit, say, environment, serial)


def fetch_kernel(machine: Machine, cache: Path, say: Progress) -> Path:
    """The folder with vmlinux, modules, firmware and the packages of Python."""
    folder = cache / "kernel" / machine.name
    if folder.exists():
        return folder
    problem: KvmExitError | None = None
    for suite in machine.suites:
        archive = Archive(cache, suite, machine.architecture)
        try:
            archive.update(say)
            with whole(folder) as part:
                _fetch_into(part, archive, machine, say)
            return folder
        except KvmExitError as found:
            problem = problem or found
            say(f"not from {suite}: {found}")
    assert problem is not None
    raise problem


def _fetch_into(part: Path, archive: Archive, machine: Machine, say: Progress) -> None:
    planned = archive.plan(machine.kernel)
    kernel = next((one for one in planned if re.match(r"linux-image-\d", one)), None)
    if kernel is None:
        raise KvmExitError(f"{machine.kernel} of {archive.suite} names no kernel: try again later")
    python = [
        one for one in archive.plan("python3-minimal", "libpython3-stdlib") if PYTHON.match(one)
    ]
    say(f"fetching {kernel.replace('=', ' ')} and Python of {archive.suite}")
    wanted = [kernel, *python]
    if machine.firmware:
        name = machine.firmware[0]
        wanted += [one for one in archive.plan(name) if one.startswith(f"{name}=")]
    packages = archive.download(wanted, part)
    for package in packages:
        if package.name.startswith("linux-image-"):
            _unpack_kernel(package, part, machine.modules)
        elif machine.firmware and package.name.startswith(f"{machine.firmware[0]}_"):
            _take(package, machine.firmware[1], part / "firmware")
    needed = ["vmlinux", *(f"{name}.ko" for name in machine.modules)]
    needed += ["firmware"] if machine.firmware else []
    if missing := [name for name in needed if not (part / name).exists()]:
        raise KvmExitError(f"{kernel} has no {', '.join(missing)}: it is not the kernel we know")
    others = ("linux-image-", *(f"{name}_" for name in (machine.firmware or ())[:1]))
    data, program = python_archive([one for one in packages if not one.name.startswith(others)])
    (part / "python.cpio").write_bytes(data)
    for package in packages:
        package.unlink()
    about = {"kernel": kernel.replace("=", " "), "suite": archive.suite, "python": program}
    (part / "about.json").write_text(json.dumps(about))


def _unpack_kernel(package: Path, part: Path, modules: tuple[str, ...]) -> None:
    """The image, and the modules that are asked for, unpacked if they are packed."""
    with contents(package) as tar:
        for member in tar:
            base = member.name.rpartition("/")[2]
            found = tar.extractfile(member) if member.isfile() else None
            name = base.partition(".ko")[0].replace("-", "_")
            if found and "/boot/vmlinu" in member.name:
                (part / "vmlinux").write_bytes(found.read())
            elif found and ".ko" in base and name in modules:
                (part / f"{name}.ko").write_bytes(module(found.read(), base))


def _take(package: Path, wanted: str, to: Path) -> None:
    with contents(package) as tar:
        for member in tar:
            if merged(member.name) == wanted and (found := tar.extractfile(member)):
                to.write_bytes(found.read())


@dataclass(frozen=True, slots=True)
class Emulator:
    """How an emulator is started (by a loader, to which the program is to be added, if it is of
    another release), which version it is, and where it was unpacked: "/" if it is installed."""

    argv: list[str]
    environment: dict[str, str]
    root: Path
    version: str


def fetch_emulator(machine: Machine, cache: Path, say: Progress) -> Emulator:
    """The reader's own emulator, or else the package of the reader's own release, unpacked."""
    if not machine.release and (there := shutil.which(machine.emulator)):
        asked = call(["dpkg-query", "-W", "-f", "${Version}", machine.package])
        return Emulator([there], {}, Path("/"), asked.stdout or "of no package")
    root = cache / "emulator" / machine.package
    if not root.exists():
        _fetch_emulator(machine, cache, root, say)
    program = root / "usr/bin" / machine.emulator
    if not program.exists():
        raise KvmExitError(f"the package {machine.package} has no {machine.emulator}")
    found = (path for path in root.rglob("*.so*") if LIBRARY.search(path.name))
    libraries = sorted({str(path.parent) for path in found})
    version, path = (root / "version").read_text(), ":".join(libraries)
    if machine.release:  # the C library of another release must be loaded by its own loader
        loaders = (path for path in root.rglob("ld-linux*.so.*") if path.is_file())
        return Emulator([str(next(loaders)), "--library-path", path], {}, root, version)
    # What was installed already was not unpacked: its data lie where they are installed.
    places = [
        word for top in (root, Path("/")) for name in DATA for word in ("-L", str(top / name))
    ]
    return Emulator([str(program), *places], {"LD_LIBRARY_PATH": path}, root, version)


def _fetch_emulator(machine: Machine, cache: Path, root: Path, say: Progress) -> None:
    """Unpack it and what it needs: what is not installed here, or all, if it is another
    release's."""
    architecture = call(["dpkg", "--print-architecture"]).stdout.strip()
    if machine.release:
        archive = Archive(cache, machine.release, architecture)
    else:
        archive = Archive(cache / "own", own_suite(), architecture, installed=True)
    archive.update(say)
    planned = archive.plan(machine.package, *machine.tools)
    say(f"fetching {machine.emulator} of {archive.suite} ({len(planned)} packages)")
    with whole(root) as part:
        folder = part / "packages"
        folder.mkdir()
        for package in archive.download(planned, folder):
            with contents(package) as tar:
                tar.extractall(part, members=_merged(tar), filter="tar")
        shutil.rmtree(folder)
        of = next(one for one in planned if one.startswith(f"{machine.package}="))
        (part / "version").write_text(of.partition("=")[2])


def _merged(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Its members, at their places in a system whose /lib is in /usr."""
    for member in tar:
        member.name = merged(member.name) or "."
        if member.islnk():
            member.linkname = merged(member.linkname)
        yield member
