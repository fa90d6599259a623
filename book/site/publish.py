"""A Sphinx extension: where the book and its repository stand, and what follows from that.

Both addresses are settings of `_config.yml` (`html: baseurl`, `repository_url`). BOOK_ADDRESS and
BOOK_REPOSITORY stand in for them, so that a workflow can say where a copy is published. Of an
address that is empty nothing is claimed.

1.  Buttons that run a page elsewhere (Binder, Colab), if the repository is known.
2.  A notebook that is downloaded begins with a cell that installs the library where it is missing:
    the release that the page was built from. Chapters in the repository have no such cell.
3.  ``{citation}``: how to cite this version, from `CITATION.cff`.
"""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from kvmexit import __version__
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.docutils import SphinxDirective
from zips import read_files

ROOT = Path(__file__).resolve().parents[2]
BRANCH = "notebooks"
"""The branch of prepared notebooks, which .github/workflows/pages.yml writes: Colab opens what
stands in a repository, and nothing else."""
INSTALL = """\
# Where the library is not installed yet (in Colab, say), this installs the release of this page.
from importlib.util import find_spec

if find_spec("kvmexit") is None:
    %pip install -q "kvmexit[notebooks]=={version}"
    if find_spec("kvmexit") is None:
        raise SystemExit("kvmexit {version} cannot be installed here: {otherwise}")
"""
FILES = """
# Nor are the files that this page reads, where a notebook is opened alone.
from pathlib import Path

if not all(map(Path.is_dir, map(Path, {folders}))):
    {fetch}
"""
FETCH = "!git clone -q --depth 1 {repository} .book && cp -r {places} ."
ALONE = 'raise SystemExit("The files of this page are not here: download its zip, which has them")'


def state_addresses(app: Sphinx, config: Config) -> None:
    """Called when the configuration is read."""
    config.html_baseurl = os.environ.get("BOOK_ADDRESS", config.html_baseurl)
    options = config.html_theme_options
    repository = os.environ.get("BOOK_REPOSITORY", options.get("repository_url") or "").rstrip("/")
    options["repository_url"] = repository
    if not repository:
        options["launch_buttons"] = {}


def launches(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Called for each page: the buttons that the theme has made, in the order of the template."""
    groups = [g for g in context.get("header_buttons", []) if g.get("label") == "launch-buttons"]
    context["launches"] = [
        (one["text"], prepared(one["url"], app) if one["text"] == "Colab" else one["url"])
        for group in groups
        for one in group["buttons"]
    ]


def prepared(url: str, app: Sphinx) -> str:
    """The address of a notebook in the branch of those that install what they need."""
    branch = app.config.html_theme_options.get("repository_branch") or "main"
    return url.replace(f"/blob/{branch}/", f"/blob/{BRANCH}/")


def first_cell(repository: str, folders: list[str]) -> dict[str, Any]:
    """The cell that a downloaded notebook begins with; ``folders`` are those that it reads."""
    otherwise = "pip says above what is missing"
    if repository:
        package = f"kvmexit[notebooks] @ git+{repository}#subdirectory=lib"
        otherwise += f"; or: pip install '{package}'"
    source = INSTALL.replace("{version}", __version__).replace("{otherwise}", otherwise)
    if folders:
        places = " ".join(f".book/book/{folder}" for folder in folders)
        fetch = FETCH.format(repository=repository, places=places) if repository else ALONE
        source += FILES.format(folders=folders, fetch=fetch)
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": "install",
        "metadata": {},
        "outputs": [],
        "source": source.splitlines(keepends=True),
    }


def prepare_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Called at the end: every notebook that can be downloaded gets its first cell, once."""
    if error is not None or app.builder.format != "html":
        return
    sources = Path(app.outdir) / "_sources"
    for path in sorted(sources.rglob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        read = read_files(notebook, (ROOT / path.relative_to(sources)).parent)
        folders = sorted({name.partition("/")[0] for name, _ in read})
        cell = first_cell(app.config.html_theme_options["repository_url"], folders)
        if notebook["cells"][0].get("id") != cell["id"]:
            notebook["cells"].insert(0, cell)
            path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1), encoding="utf-8")


class CitationDirective(SphinxDirective):
    """``{citation}``: a line to cite the book by, and the same for BibTeX."""

    def run(self) -> list[nodes.Node]:
        facts = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
        self.env.note_dependency(str(ROOT / "CITATION.cff"))
        authors = " and ".join(author["name"] for author in facts["authors"])
        year, address = date.today().year, self.config.html_baseurl
        line = f"{authors[:1].upper()}{authors[1:]}. {facts['title']}."
        line += f" Version {__version__}, {year}."
        entry = {
            "author": f"{{{authors}}}",
            "title": facts["title"],
            "year": str(year),
            "version": __version__,
            "url": address,
        }
        fields = "".join(f",\n  {name} = {{{value}}}" for name, value in entry.items() if value)
        bibtex = f"@book{{between-exit-and-entry{fields}\n}}"
        said = nodes.paragraph("", f"{line} {address}".strip())
        return [said, nodes.literal_block(bibtex, bibtex, language="text")]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_directive("citation", CitationDirective)
    app.connect("config-inited", state_addresses, priority=1)
    app.connect("html-page-context", launches, priority=950)
    app.connect("build-finished", prepare_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
