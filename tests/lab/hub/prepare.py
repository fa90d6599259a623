"""Make what `make hub` runs in, once: an environment of its own in .cache/hub, with JupyterHub from
PyPI and the hub's proxy from npm. Where one is missing a sentence says so.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / ".cache" / "hub"
PYTHON = FOLDER / "venv" / "bin" / "python"
HUB = ("jupyterhub==6.1.1", "nbgitpuller==1.3.0")
BESIDE = ("jupyterlab", "nbgrader", f"-e{ROOT / 'lib'}[notebooks]")
"""In the versions of requirements.txt, as everything else that stands there."""
PROXY = "configurable-http-proxy@5.3.0"


def pins() -> str:
    """The versions that the book was tried with."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return "\n".join(line for line in lines if re.match(r"[\w.-]+==", line)) + "\n"


def run(*command: str | Path) -> str:
    """Why a command has failed, in its own last words, or nothing."""
    done = subprocess.run(command, capture_output=True, text=True)
    said = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    return (said or [f"{command[0]} failed"])[-1].strip() if done.returncode else ""


def made() -> str:
    """Make it; why that cannot be done, or nothing."""
    npm = shutil.which("npm")
    if npm is None:
        return (
            "no npm here, from which configurable-http-proxy comes; on Debian: apt-get install npm"
        )
    ready, wanted = FOLDER / "ready", "\n".join([*HUB, *BESIDE, PROXY, pins()])
    if ready.exists() and ready.read_text() == wanted:
        return ""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    constraints = FOLDER / "constraints.txt"
    constraints.write_text(pins())
    print(f"installing {', '.join(HUB)} and {PROXY} into {FOLDER.relative_to(ROOT)}")
    install = ("install", "-q", "-c", constraints, *HUB, *BESIDE)
    why = run(sys.executable, "-m", "venv", PYTHON.parents[1])
    # uv does in seconds what pip does in minutes; pip does it where uv has no build.
    why = why or (
        (run(PYTHON, "-m", "pip", "install", "-q", "uv") and "no uv")
        or run(PYTHON.parent / "uv", "pip", *install, "--python", PYTHON)
    )
    why = why and run(PYTHON, "-m", "pip", *install)
    switches = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
    why = why or run(npm, "install", "--prefix", FOLDER, *switches, PROXY)
    if not why:
        ready.write_text(wanted)
    return why


if __name__ == "__main__":
    if reason := made():
        sys.exit(f"The hub cannot be tried: {reason}")
