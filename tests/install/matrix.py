"""The wheel and the source archive on each supported Python that is on this machine.

Each is installed as a stranger would: into a new environment in a new folder, without HOME, and, if
this is run as root, by a user without rights. Nothing is fetched: the package needs nothing. Prints
a table; ends with 1 if a cell of it is not ok.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SUPPORTED = [(3, minor) for minor in range(11, 15)]
NOBODY = 65534
LOG = ROOT / "book" / "logs" / "probe-bug-rmw.ftrace"
CHECKS = {
    "doctor": (["kvmexit", "doctor"], (0, 1)),
    "run": (["kvmexit", "run", "--at-exit", "13"], (1,)),
    "recorded": (["kvmexit", "run", "--kernel", "recorded", "--at-exit", "13"], (1,)),
    "lint": (["kvmexit", "lint", "log"], (0, 1, 3)),
    "grade": (["kvmexit", "grade", "answer.py", "--lab", "1", "--seed", "1"], (0,)),
    "-m": (["python", "-m", "kvmexit", "--version"], (0,)),
}
"""What is run, and with which status it may end."""


def pythons() -> dict[tuple[int, int], Path]:
    """A Python of each supported version: of the system, or of pyenv."""
    found = {}
    for version in SUPPORTED:
        name = "python{}.{}".format(*version)
        places = [Path("/usr/bin", name), Path("/usr/local/bin", name)]
        places += sorted(Path.home().glob(f".pyenv/versions/*/bin/{name}"))
        for place in filter(Path.exists, places):
            asked = [place, "-c", "import ensurepip, venv; print('it runs')"]
            if subprocess.run(asked, capture_output=True).stdout:
                found[version] = place.resolve()
                break
    return found


def for_all(path: Path) -> bool:
    """May any user reach this?"""
    return all(one.stat().st_mode & 1 for one in (path, *path.parents))


def stranger(python: Path) -> tuple[str, list[str], dict[str, object]]:
    """Who has no rights here and may run ``python``: a name, what starts a command as that user,
    and the arguments that do."""
    if os.geteuid():
        return "you", [], {}
    if for_all(python):
        return "nobody", [], {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    return "root without capabilities", ["setpriv", "--bounding-set=-all", "--no-new-privs"], {}


def install(python: Path, archive: Path, tools: Path) -> tuple[str, dict[str, str]]:
    """Install ``archive`` and use it. Who did that, and what each check said: ok, or the reason."""
    who, before, user = stranger(python)
    with tempfile.TemporaryDirectory(prefix="kvmexit-install-") as name:
        folder = Path(name)
        shutil.copy(archive, folder)
        shutil.copy(LOG, folder / "log")
        (folder / "answer.py").write_text("def predict(situation):\n    return 'ok'\n")
        if "user" in user:
            for path in (folder, *folder.iterdir()):
                os.chown(path, NOBODY, NOBODY)
        environment = {"PATH": f"{folder / 'venv' / 'bin'}:/usr/bin:/bin", "PIP_NO_INDEX": "1"}
        pip = ["venv/bin/python", "-m", "pip", "install", "-q", "--find-links", str(tools)]
        words = {
            "venv": ([str(python), "-m", "venv", "venv"], (0,)),
            "install": ([*pip, "--disable-pip-version-check", archive.name], (0,)),
            **CHECKS,
        }
        said = {}
        for what, (command, statuses) in words.items():
            done = subprocess.run(
                [*before, *command],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=600,
                **user,
            )
            fine = done.returncode in statuses and "Traceback" not in done.stderr
            said[what] = "ok" if fine else f"status {done.returncode}: {done.stderr[-400:]}"
        return who, said


def main() -> int:
    """Build, install everywhere, print."""
    with tempfile.TemporaryDirectory(prefix="kvmexit-archives-") as name:
        archives = Path(name)
        archives.chmod(0o755)
        build = [sys.executable, "-m", "pip", "wheel", "-q", "hatchling", "-w", archives / "tools"]
        subprocess.run(build, check=True)
        subprocess.run(
            [sys.executable, "-m", "build", "--outdir", archives, ROOT / "lib"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        here, bad = pythons(), 0
        wheel, source = next(archives.glob("*.whl")), next(archives.glob("*.tar.gz"))
        print("python  archive ", "  ".join(["venv", "install", *CHECKS]), " installed by")
        for version in SUPPORTED:
            label = "{}.{}".format(*version)
            if version not in here:
                print(f"{label:<7}  not on this machine: .github/workflows/test.yml has it")
                continue
            for archive in (wheel, source):
                who, said = install(here[version], archive, archives / "tools")
                cells = [
                    ("ok" if text == "ok" else "BAD").ljust(len(what))
                    for what, text in said.items()
                ]
                kind = "wheel" if archive.suffix == ".whl" else "source"
                print(f"{label:<7} {kind:<8} ", "  ".join(cells), f" {who}", flush=True)
                for what, text in said.items():
                    if text != "ok":
                        bad = 1
                        print(f"  {what}: {text}")
        return bad


if __name__ == "__main__":
    sys.exit(main())
