"""A page that is taken along as a zip: what is in it, and whether it runs where no book is."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import kvmexit
import pytest
from pages import ROOT, SITE, contents
from patience import draws
from zips import RUN, zipped

NOTEBOOKS = [name for name in contents() if (ROOT / f"{name}.ipynb").exists()]
READ_FILES = ["16-reading-the-traces", "12-the-whole-stop-path", "15-how-vmms-finish"]
READ_FILES += ["17-the-real-thing"]
EXECUTED = [*(f"book/{name}" for name in READ_FILES), "book/01-a-byte-goes-missing"]
EXECUTED = EXECUTED[: draws(1, in_ci=len(EXECUTED))]
"""Those that read files, and one that reads none; the cells of all are run where they stand."""


def built(name: str) -> zipfile.ZipFile:
    """The zip of a page."""
    return zipfile.ZipFile(SITE / "_sources" / f"{name}.zip")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_zip_holds_the_notebook_and_says_how_to_run_it(name: str) -> None:
    stem = Path(name).name
    with built(name) as archive:
        files = {one: archive.read(one) for one in archive.namelist()}
    assert zipped(files.items()) == (SITE / "_sources" / f"{name}.zip").read_bytes()
    own = {one.removeprefix(f"{stem}/"): data for one, data in files.items()}
    assert all(one.startswith(f"{stem}/") for one in files)
    assert own[f"{stem}.ipynb"] == (SITE / "_sources" / f"{name}.ipynb").read_bytes()
    readme = own["README.txt"].decode()
    assert f"\n    {RUN.format(file=stem)}.ipynb\n" in readme
    page = (SITE / f"{name}.html").read_text()
    assert f'_sources/{name}.zip" download' in page
    wanted = own["requirements.txt"].decode().split()
    assert wanted[0] == f"kvmexit[notebooks]=={kvmexit.__version__}" and len(wanted) > 5
    assert set(wanted[1:]) <= set((ROOT / "requirements.txt").read_text().split())
    assert "jupyterlab" in {one.partition("==")[0] for one in wanted}
    notebook = "".join("".join(one["source"]) for one in json.loads(own[f"{stem}.ipynb"])["cells"])
    for folder in ("code", "logs", "vmms"):
        there = any(one.startswith(f"{folder}/") for one in own)
        assert not there or stem in READ_FILES, "execute it, too"
        assert there == (f'"{folder}/' in notebook or f'Path("{folder}")' in notebook), folder


@pytest.mark.parametrize("name", EXECUTED)
def test_a_zip_runs_in_an_empty_folder(name: str, tmp_path: Path) -> None:
    """Without the repository: the library is a copy, as pip would lay it down."""
    library = tmp_path / "library"
    shutil.copytree(Path(kvmexit.__file__).parent, library / "kvmexit")
    with built(name) as archive:
        archive.extractall(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(library), "HOME": str(tmp_path)}
    folder, command = tmp_path / Path(name).name, [sys.executable, "-m", "jupyter", "execute"]
    where = [sys.executable, "-c", "import kvmexit; print(kvmexit.__file__)"]
    done = subprocess.run(where, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.stdout.startswith(str(library)), done
    done = subprocess.run(
        [*command, "--timeout=600", f"{folder.name}.ipynb"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
