"""What "Run it here" takes from npm: fetched once, by the lock, into ``.cache/live``.

As a script it fetches, or says in one line why the book will have no "Run it here". Nothing that
npm brings is run while it is fetched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).resolve().parent / "live"
CACHE = HERE.parents[2] / ".cache" / "live"
MODULES = CACHE / "node_modules"
READY = CACHE / "ready"
"""Says which lock was fetched; ``make`` builds anew when it is another."""
WHY = CACHE / "why"
"""Why nothing was fetched; begins with "no registry of npm" where none could be reached."""
UNREACHED = re.compile(
    r"code (ENOTFOUND|EAI_AGAIN|ECONN\w+|ETIMEDOUT|ENET\w+|EHOST\w+|ERR_SOCKET_TIMEOUT|ENOTCACHED"
    r"|FETCH_ERROR|E40[134]|E5\d\d)"
)
LISTS = ("package.json", "package-lock.json", ".npmrc")
FETCH = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
PATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000")


def wanted() -> str:
    """What is to be fetched, as one word."""
    return sha256(b"".join((HERE / name).read_bytes() for name in LISTS)).hexdigest()


def is_fetched() -> bool:
    """Is what the lock names there, and Node, which runs the bundler?"""
    there = READY.exists() and READY.read_text() == wanted() and MODULES.is_dir()
    return there and shutil.which("node") is not None


def fetch() -> str:
    """Fetch what the lock names, if it is not there. Returns why it is not, or nothing."""
    if is_fetched():
        return ""
    npm = shutil.which("npm")
    if npm is None:
        return "no npm here"
    CACHE.mkdir(parents=True, exist_ok=True)
    READY.unlink(missing_ok=True)
    WHY.unlink(missing_ok=True)
    for name in LISTS:
        shutil.copyfile(HERE / name, CACHE / name)
    home = os.path.expanduser("~")  # npm keeps what it fetches there, if that can be written
    kept = {} if os.access(home, os.W_OK) else {"npm_config_cache": str(CACHE.parent / "npm")}
    done = subprocess.run(
        [npm, *FETCH, *PATIENCE],
        cwd=CACHE,
        env=os.environ | kept,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("npm error ")]
        telling = [line for line in lines if not re.match(r"npm error (code|syscall|errno) ", line)]
        said = next(
            (line for line in telling if "failed" in line), (telling or ["npm ci failed"])[0]
        )
        reason = said.removeprefix("npm error ").strip()
        WHY.write_text(f"no registry of npm: {reason}" if UNREACHED.search(done.stderr) else reason)
        return f"npm is there, but: {reason}"
    READY.write_text(wanted())
    return ""


if __name__ == "__main__":
    if reason := fetch():
        print(f'The book is built without "Run it here": {reason}', file=sys.stderr)
