"""Make the students' form of the labs: python tests/lab/release.py

Takes the notebooks with solutions in tests/lab/source, has nbgrader strip them, executes what is
left, and writes book/labs.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = ROOT / "book" / "labs"
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # nbgrader calls alembic


@contextmanager
def course(seed: int | None = None) -> Iterator[tuple[Path, Any]]:
    """An nbgrader course in a folder that goes away, and the API to run it."""
    from kvmexit.lab.nbgrader import configure

    with TemporaryDirectory() as name:
        root = Path(name)
        shutil.copytree(HERE / "source", root / "source")
        config = Config()
        configure(config)
        config.CourseDirectory.root = str(root)
        config.CourseDirectory.course_id = "exit-and-entry"
        if seed is not None:
            config.Referee.seed = seed
        yield root, NbGraderAPI(config=config)


def stripped() -> dict[str, nbformat.NotebookNode]:
    """Each lab as nbgrader releases it."""
    notebooks = {}
    with course() as (root, api):
        for folder in sorted((HERE / "source").iterdir()):
            made = api.generate_assignment(folder.name)
            if not made["success"]:
                raise SystemExit(f"{folder.name}: {made['log']}")
            path = root / "release" / folder.name / f"{folder.name}.ipynb"
            notebooks[folder.name] = nbformat.read(path, as_version=4)
    return notebooks


def write(notebooks: dict[str, nbformat.NotebookNode], target: Path) -> list[Path]:
    """Write them, not yet executed."""
    target.mkdir(exist_ok=True)
    paths = []
    for name, notebook in notebooks.items():
        paths.append(target / f"{name}.ipynb")
        nbformat.write(notebook, paths[-1])
    return paths


def main() -> int:
    paths = write(stripped(), TARGET)
    tool = ROOT / "book" / "tools" / "notebook.py"
    return subprocess.call([sys.executable, str(tool), "run", *map(str, paths)])


if __name__ == "__main__":
    sys.exit(main())
