"""Make the students' form of the labs: python tests/lab/release.py

Takes the notebooks with solutions in tests/lab/source, has nbgrader strip them, executes what is
left, and writes book/labs. `--check` writes nothing and says whether that would change anything.
"""

import argparse
import asyncio
import os
import shutil
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
sys.path.insert(0, str(ROOT / "book" / "tools"))  # its notebook.py, not Jupyter's
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


def texts(notebooks: dict[str, nbformat.NotebookNode]) -> dict[str, str]:
    """The canonical text of each notebook, freshly executed."""
    from notebook import canonical, execute

    async def all_of_them() -> None:
        for notebook in notebooks.values():
            await execute(notebook, TARGET)

    asyncio.run(all_of_them())
    return {name: canonical(notebook) for name, notebook in notebooks.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    TARGET.mkdir(exist_ok=True)
    status = 0
    for name, text in texts(stripped()).items():
        path = TARGET / f"{name}.ipynb"
        if path.exists() and path.read_text() == text:
            continue
        if args.check:
            print(f"{path}: differs from the release of its source", file=sys.stderr)
            status = 1
        else:
            path.write_text(text)
            print(f"wrote {path}")
    return status


if __name__ == "__main__":
    sys.exit(main())
