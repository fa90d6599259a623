"""Packages from the mirrors that the reader's own apt uses, into a cache: nothing is installed.

apt-get is asked with lists, archives and a status of its own, so it needs no root, no foreign
architecture and no entry in the reader's sources. What has been unpacked stays in the cache under
its last name only when it is whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from kvmexit.errors import KvmExitError

Progress = Callable[[str], None]
SECONDS = 300
"""After which one apt-get is given up."""
OPTIONS = {
    "Acquire::Languages": "none",
    "Acquire::Retries": "1",
    "Acquire::http::Timeout": "20",
    "APT::Sandbox::User": "root",
    "Debug::NoLocking": "1",
}
TARGET = "$(CREATED_BY)|$(REPO_URI)|$(CODENAME)|$(SIGNED_BY)"


class Archive:
    """One suite for one architecture, as a private apt sees it. ``installed`` makes it know what
    the reader has: then only what is missing is fetched."""

    def __init__(self, cache: Path, suite: str, architecture: str, installed: bool = False) -> None:
        self.suite, self.architecture = suite, architecture
        self.home = cache / "apt" / f"{suite}-{architecture}"
        self._status = Path("/var/lib/dpkg/status") if installed else self.home / "status"

    def update(self, say: Progress) -> None:
        """Fetch the lists, if there are none. Part of them may be missing, when a mirror is out of
        step: what is there is used."""
        if (self.home / "updated").exists():
            return
        say(f"fetching the lists of {self.suite} for {self.architecture}")
        shutil.rmtree(self.home, ignore_errors=True)
        for folder in ("lists/partial", "archives/partial", "parts"):
            (self.home / folder).mkdir(parents=True)
        (self.home / "status").touch()
        (self.home / "sources.list").write_text("".join(self._sources()))
        result = self._apt("update")
        lists = self.home / "lists"
        if not any(path.stat().st_size for path in lists.glob("*Packages*")):
            raise KvmExitError(_why(result, f"the lists of {self.suite} {self.architecture}"))
        (self.home / "updated").touch()

    def plan(self, *packages: str) -> list[str]:
        """What would be installed for ``packages``, they among it, each as name=version."""
        result = self._apt("-s", "install", "--no-install-recommends", *packages)
        if result.returncode:
            raise KvmExitError(_why(result, " ".join(packages)))
        found = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", result.stdout, re.M)
        return [f"{name.partition(':')[0]}={version}" for name, version in found]

    def download(self, packages: list[str], folder: Path) -> list[Path]:
        """The .deb files of ``packages`` in ``folder``. After a failure the lists are fetched anew
        the next time: they may have named what is gone."""
        if packages:
            result = self._apt("download", *packages, cwd=folder)
            if result.returncode:
                (self.home / "updated").unlink(missing_ok=True)
                raise KvmExitError(_why(result, ", ".join(packages[:2])))
        return sorted(folder.glob("*.deb"))

    def _sources(self) -> Iterator[str]:
        mirrors = targets()
        if not mirrors:
            raise KvmExitError(
                "apt-get names no mirror: give your apt a line of sources (deb URI bookworm main)"
            )
        for uri, codename, key in mirrors:
            suite = f"{self.suite}-security" if codename.endswith("-security") else self.suite
            signed = f" signed-by={key}" if key else ""
            yield f"deb [arch={self.architecture}{signed}] {uri} {suite} main\n"

    def _apt(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        home = self.home
        options = OPTIONS | {
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "Dir::State": str(home),
            "Dir::State::lists": str(home / "lists"),
            "Dir::State::status": str(self._status),
            "Dir::Cache": str(home),
            "Dir::Cache::archives": str(home / "archives"),
            "Dir::Etc::sourcelist": str(home / "sources.list"),
            "Dir::Etc::sourceparts": str(home / "parts"),
            "Dir::Etc::preferencesparts": str(home / "parts"),
        }
        return call(
            ["apt-get", "-q", *(f"-o{key}={value}" for key, value in options.items()), *words], cwd
        )


def call(argv: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program of apt; raises KvmExitError if it is not there or does not end."""
    try:
        return subprocess.run(
            argv,
            capture_output=True,
            text=True,
            cwd=cwd,
            timeout=SECONDS,
            env=os.environ | {"LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise KvmExitError(
            f"no {argv[0]} here: the kernels come as packages of Debian; run this on Debian or in a"
            " container of it, or read the recordings that are shipped"
        ) from None
    except subprocess.TimeoutExpired:
        raise KvmExitError(
            f"{argv[0]} has not ended after {SECONDS} seconds: the mirror is slow or silent; try"
            " again later"
        ) from None


def targets() -> list[tuple[str, str, str]]:
    """The mirrors that the reader's apt uses: address, codename, and a key if one is named. Of
    those of one address the security suite keeps its own."""
    unwritten = ["-oDir::Cache::pkgcache=", "-oDir::Cache::srcpkgcache="]  # as root, too
    result = call(["apt-get", *unwritten, "indextargets", "--format", TARGET])
    found: dict[tuple[str, bool], tuple[str, str, str]] = {}
    for line in result.stdout.splitlines():
        made, uri, codename, key = line.split("|")
        secure = codename.endswith("-security")
        if made == "Packages" and "-" not in codename.removesuffix("-security"):
            found.setdefault((uri, secure), (uri, codename, "" if "$(" in key else key))
    return list(found.values())


def own_suite() -> str:
    """The codename of the reader's own release."""
    for _, codename, _ in targets():
        if "-" not in codename:
            return codename
    raise KvmExitError("apt-get names no release: give your apt a line of sources")


REASONS = {
    "Temporary failure resolving": "no network",
    "Could not resolve": "no network",
    "Could not connect": "no network",
    "Network is unreachable": "no network",
    "404": "the mirror says 404: its lists and its files are out of step",
    "Hash Sum mismatch": "the mirror is out of step with itself",
    "unexpected size": "the mirror is out of step with itself",
    "No space left": "no space",
    "enough free space": "no space",
    "Write error": "no space",
    "Unable to locate package": "no such package on these mirrors",
    "has no installation candidate": "no such package on these mirrors",
    "Unable to correct problems": "the mirror has not all that the package needs",
    "unmet dependencies": "the mirror has not all that the package needs",
}
CURES = {
    "no network": "connect this machine, and try again",
    "no space": "make room in the project's .cache, and try again",
    "no such package on these mirrors": "they may be those of another distribution than Debian",
}


def _why(result: subprocess.CompletedProcess[str], what: str) -> str:
    """What apt said, in a sentence that says what to do."""
    said = result.stderr + result.stdout
    for words, reason in REASONS.items():
        if words in said:
            cure = CURES.get(reason, "try again later")
            return f"cannot fetch {what}: {reason}; {cure}"
    last = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
    return f"cannot fetch {what}: apt-get says {last!r}; try again later"


@contextlib.contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A new folder that gets its name only when everything is in it: whatever ends the block
    early leaves nothing that the next run would take for whole."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        part.rename(folder)
    except OSError as problem:
        if problem.errno == errno.ENOSPC:
            cure = CURES["no space"]
            raise KvmExitError(f"cannot write {folder}: no space; {cure}") from None
        if isinstance(problem, PermissionError):
            raise KvmExitError(f"cannot write {folder}: {problem.strerror}") from None
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
