"""A Sphinx extension: a page's notebook as a zip, with all that it needs but Python.

Beside each notebook that can be downloaded lies a zip: the notebook itself, the files of the book
that it reads or offers, what to install, pinned to the release that the page was built from, and
one line that runs it. The same pages give the same bytes.
"""

from __future__ import annotations

import ast
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from kvmexit import __version__
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
TARGET = re.compile(r"\{(?:download|literalinclude)\}(?:`[^`<]*<| *)([\w-]+)/")
"""What a text offers or shows, by the folder it lies in."""
BESIDES = ("jupyterlab", "ipykernel")
"""What runs a notebook; Binder brings its own."""
README = """\
{title}
A page of {book}, as a notebook with its files.

To run it, on Linux with Python 3.11 or newer, one line in this folder:

    {run}

It installs kvmexit {version}, the release of the page, and what the page was tried with.{otherwise}

{address}Code: MIT. Text and figures: CC BY 4.0.
"""
RUN = (
    "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"
    " && .venv/bin/jupyter lab {file}"
)
OTHERWISE = """
If no index has that release, put this line in the place of the one that names it:

    kvmexit[notebooks] @ git+{repository}#subdirectory=lib"""


def zipped(files: Iterable[tuple[str, bytes]]) -> bytes:
    """The files as an archive: the same bytes for the same files."""
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        for name, data in files:
            packed.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, 9)
    return made.getvalue()


def folders(notebook: dict[str, Any]) -> set[str]:
    """What may be a folder that the notebook reads: the first names of paths in its strings, and
    of what its text offers."""
    found: set[str] = set()
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        found.update(TARGET.findall(source))
        if cell["cell_type"] == "code" and "%pip" not in source:
            found.update(map(first_name, ast.walk(ast.parse(source))))
    return found


def first_name(node: ast.AST) -> str:
    """Of ``"logs/one"``, in a string or a part of one, and of ``Path("logs")``: ``logs``."""
    match node:
        case ast.Call(func=ast.Name("Path"), args=[ast.Constant(str(name))]):
            return name.partition("/")[0]
        case ast.Constant(str(text)) if "/" in text:
            return text.partition("/")[0]
    return ""


def read_files(notebook: dict[str, Any], place: Path) -> Iterator[tuple[str, bytes]]:
    """The files beside a notebook, at ``place``, that it reads or offers: whole folders, since a
    cell may go through one. A folder of pages is none of them."""
    pages = {path.parent.name for path in place.glob("*/*.ipynb")}
    for name in sorted(folders(notebook) - pages):
        if name.isidentifier() and (place / name).is_dir():
            for path in sorted((place / name).rglob("*")):
                if path.is_file() and path.suffix != ".pyc":
                    yield path.relative_to(place).as_posix(), path.read_bytes()


def requirements() -> str:
    """What to install: what Binder does, with the release in the place of the copy."""
    binder = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    tried = [line for line in binder if "==" in line]
    tried += [line for line in pins if line.partition("==")[0] in BESIDES]
    return "\n".join([f"kvmexit[notebooks]=={__version__}", *tried, ""])


def archive(notebook: Path, place: Path, title: str, app: Sphinx) -> bytes:
    """The zip of a built notebook, whose source lies in the folder ``place``."""
    text = notebook.read_text(encoding="utf-8")
    repository = app.config.html_theme_options["repository_url"]
    address = str(app.config.html_baseurl or "").rstrip("/")
    readme = README.format(
        title=title,
        book=app.config.html_title,
        run=RUN.format(file=notebook.name),
        version=__version__,
        otherwise=OTHERWISE.format(repository=repository) if repository else "",
        address=f"The book: {address}\n" if address else "",
    )
    files = {
        notebook.name: text.encode(),
        "README.txt": readme.encode(),
        "requirements.txt": requirements().encode(),
        **dict(read_files(json.loads(text), place)),
    }
    return zipped((f"{notebook.stem}/{name}", data) for name, data in files.items())


def write(app: Sphinx, error: Exception | None) -> None:
    """Called at the end, when the notebooks are as they are downloaded."""
    if error is not None or app.builder.format != "html":
        return
    sources = Path(app.outdir) / "_sources"
    for path in sorted(sources.rglob("*.ipynb")):
        page = path.relative_to(sources).with_suffix("").as_posix()
        if page in app.env.titles:
            title = app.env.titles[page].astext()
            made = archive(path, (ROOT / page).parent, title, app)
            path.with_suffix(".zip").write_bytes(made)


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("build-finished", write, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
