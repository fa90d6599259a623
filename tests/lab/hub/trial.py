"""Run the hub of `jupyterhub_config.py` for a class of three and a lecturer, from release to
feedback: make hub

Prints each mark as nbgrader and as `kvmexit grade` gives it, and what a user's server needs. With
`--store` that is written to book/reference/hub.json, which the page on the hub prints. Everything
lives in a folder that goes away, and listens on this machine alone.
"""

import argparse
import csv
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import nbformat
import requests
from measured import adopt, below, computed, end_all, machine, memory_of
from user import PATIENCE, User

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
STORE = ROOT / "book" / "reference" / "hub.json"
LAB = "2-stop"
KINDS = ("right", "wrong", "blank")


def solved(kind: str, notebook: dict) -> dict:
    """A student's notebook: of a ``right`` one all answers, of a ``wrong`` one the first without
    its loop, of a ``blank`` one none."""
    source = nbformat.read(ROOT / "tests" / "lab" / "source" / LAB / f"{LAB}.ipynb", as_version=4)
    answers = {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in source.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    wrong = (ROOT / "tests" / "lab" / "wrong" / "2_drains_once.py").read_text()
    for cell in notebook["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in answers and kind != "blank":
            is_first = name == "2-1-answer"
            cell["source"] = wrong if kind == "wrong" and is_first else answers[name]
    return notebook


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Site:
    """A hub's folder, a course and the material, and the environment that all run in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.password = secrets.token_hex(8)
        npm = ROOT / ".cache" / "hub" / "node_modules" / ".bin"
        path = f"{Path(sys.executable).parent}:{npm}:{os.environ['PATH']}"
        own = {"PATH": path, "LAB_SITE": str(folder), "LAB_URL": self.url}
        own |= {"LAB_PASSWORD": self.password, "HOME": str(folder / "homes" / "hub")}
        self.env = os.environ | own
        (folder / "homes" / "hub").mkdir(parents=True)
        self._course()
        self.material = self._material()

    def _course(self) -> None:
        """The lecturer's folder, as the page says: the sources and the configuration."""
        self.course = self.folder / "course"
        self.course.mkdir()
        shutil.copytree(ROOT / "tests" / "lab" / "source", self.course / "source")
        config = (ROOT / "tests" / "lab" / "nbgrader_config.py").read_text()
        exchange = f"c.Exchange.root = {str(self.folder / 'exchange')!r}\n"
        (self.course / "nbgrader_config.py").write_text(config + exchange)
        (self.folder / "exchange").mkdir()

    def _material(self) -> Path:
        """A bare repository of what students get: the labs without their solutions."""
        work, bare = self.folder / "material", self.folder / "labs.git"
        shutil.copytree(ROOT / "book" / "labs", work, ignore=shutil.ignore_patterns("*.md", ".*"))
        who = ("-c", "user.name=lecturer", "-c", "user.email=lecturer@localhost")
        self.run("git", "init", "-q", "-b", "main", ".", where=work)
        self.run("git", "add", ".", where=work)
        self.run("git", *who, "commit", "-q", "-m", "The labs", where=work)
        self.run("git", "clone", "-q", "--bare", ".", str(bare), where=work)
        return bare

    @property
    def link(self) -> str:
        """What the lecturer sends to everybody: it fetches the labs, and opens their folder."""
        repository = quote(f"file://{self.material}", safe="")
        where = quote("lab/tree/labs", safe="")
        return (
            f"{self.url}/hub/user-redirect/git-pull?repo={repository}&branch=main"
            f"&targetpath=labs&urlpath={where}"
        )

    def run(self, *command: str, where: Path | None = None) -> str:
        """A command of the lecturer's, to its end; what it prints."""
        folder = self.course if where is None else where
        done = subprocess.run(command, cwd=folder, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}: {(done.stderr or done.stdout)[-2000:]}")
        return done.stdout

    @contextmanager
    def hub(self) -> Iterator[float]:
        """The hub, up and answering; yields the seconds that took. Ended afterwards, with all that
        it has started."""
        log = (self.folder / "hub.log").open("w")
        command = ["jupyterhub", "-f", str(HERE / "jupyterhub_config.py")]
        ports = {"JupyterHub.hub_port": free_port()}
        api = f"http://127.0.0.1:{free_port()}"
        command += [f"--{name}={value}" for name, value in ports.items()]
        command += [f"--ConfigurableHTTPProxy.api_url={api}"]
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while not self._answers():
                if process.poll() is not None or time.monotonic() > began + PATIENCE:
                    said = (self.folder / "hub.log").read_text()[-2000:]
                    raise SystemExit(f"the hub does not come up:\n{said}")
                time.sleep(0.1)
            yield time.monotonic() - began
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE)
            log.close()

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/hub/health", timeout=5).ok
        except requests.RequestException:
            return False


def classroom(site: Site) -> dict:
    """A class of three, from release to feedback; what was measured, and the marks of both."""
    site.run("nbgrader", "generate_assignment", LAB, "--create", "--force")
    site.run("nbgrader", "release_assignment", LAB)
    with site.hub() as seconds:
        hub = below(os.getpid())
        found: dict = {"hub": {"seconds": seconds, "memory": memory_of(hub)}}
        users = {kind: User(site.url, kind, site.password) for kind in KINDS}
        found["servers"] = [served(site, kind, user) for kind, user in users.items()]
        every = [pid for kind in users for pid in of(kind)]
        found["load"] = os.getloadavg()[0]
        found["class"] = {"servers": len(users), "memory": memory_of(every)}
        for act in ("collect", "autograde", "generate_feedback", "release_feedback"):
            site.run("nbgrader", act, LAB)
        site.run("nbgrader", "export")
        found["feedback"] = [kind for kind, user in users.items() if returned(user)]
        for user in users.values():
            user.stop()
    found["marks"] = {"nbgrader": by_nbgrader(site.course / "grades.csv")}
    found["marks"]["kvmexit grade"] = by_kvmexit(site)
    return found


def of(who: str) -> list[int]:
    """The processes of a user's server, its kernels and all that they have started."""
    return below(os.getpid(), f"JUPYTERHUB_USER={who}")


def served(site: Site, kind: str, user: User) -> dict:
    """A student starts a server, pulls the labs, fetches, solves, runs, and submits."""
    seconds = user.start()
    found: dict = {"who": kind, "seconds": seconds, "computed": computed(of(kind))}
    found["memory"] = memory_of(of(kind))
    labs = user.pull(site.link)
    if f"{LAB}.ipynb" not in labs:
        raise SystemExit(f"{kind} has pulled {labs}")
    user.exchange("fetch", LAB)
    path = f"{LAB}/{LAB}.ipynb"
    user.write(path, solved(kind, user.read(path)))
    printed = user.run(path)
    found["with a kernel"] = {"computed": computed(of(kind)), "memory": memory_of(of(kind))}
    user.exchange("submit", LAB)
    points = dict(re.findall(r"(\d\.\d): (\d+) of \d+ points", printed))
    return found | {"check": sum(map(int, points.values()))}


def returned(user: User) -> bool:
    """The student fetches the feedback, and opens it."""
    listed = user.exchange("fetch_feedback", LAB)
    paths = [
        f"{one['local_feedback_path']}/{book['notebook_id']}.html"
        for one in listed
        if one["assignment_id"] == LAB and one["status"] == "submitted"
        for one in one["submissions"]
        for book in one["notebooks"]
    ]
    return all("graded with seed" in str(user.read(path)) for path in paths) and bool(paths)


def by_nbgrader(sheet: Path) -> dict[str, float]:
    """Each student's points in nbgrader's export."""
    with sheet.open() as file:
        rows = list(csv.DictReader(file))
    return {row["student_id"]: float(row["score"]) for row in rows if row["assignment"] == LAB}


def by_kvmexit(site: Site) -> dict[str, float]:
    """Each student's points by `kvmexit grade`, on the same files, with the same seed."""
    seed = (site.course / "grading-seed.txt").read_text().strip()
    said = json.loads(site.run("kvmexit", "grade", "submitted", "--seed", seed, "--json"))
    return {one["student"]: float(one["points"]) for one in said["submissions"]}


def said_of(found: dict) -> list[str]:
    """The marks of both, and what the notebook's own checks said."""
    lines = [f"{'student':10}{'check':>8}{'nbgrader':>10}{'kvmexit grade':>15}"]
    marks = found["marks"]
    for one in found["servers"]:
        who = one["who"]
        both = marks["nbgrader"][who], marks["kvmexit grade"][who]
        lines.append(f"{who:10}{one['check']:8}{both[0]:10g}{both[1]:15g}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", action="store_true", help="write what was measured for the page")
    args = parser.parse_args()
    adopt()
    try:
        with TemporaryDirectory(prefix="lab-hub-") as name:
            found = classroom(Site(Path(name)))
    finally:
        left = end_all()
    found["ran on"] = machine() | {name: version(name) for name in ("jupyterhub", "nbgrader")}
    print(*said_of(found), sep="\n")
    marks = found["marks"]
    is_same = marks["nbgrader"] == marks["kvmexit grade"]
    is_same = is_same and all(marks["nbgrader"][s["who"]] == s["check"] for s in found["servers"])
    print("the marks are", "the same" if is_same else "NOT the same")
    print("feedback came back to", ", ".join(found["feedback"]) or "nobody")
    print("ended and cleaned up" if not left else f"had to be ended: {len(left)} processes")
    if args.store:
        STORE.write_text(json.dumps(found, indent=1) + "\n")
        print(f"stored in {STORE.relative_to(ROOT)}")
    return 0 if is_same and len(found["feedback"]) == len(KINDS) and not left else 1


if __name__ == "__main__":
    sys.exit(main())
