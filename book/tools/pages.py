"""Does the built site hold exactly the pages of the table of contents?

A builder that reads another kind of `_toc.yml` can end happily and write nothing; a stale
page can outlive its chapter. Both are caught here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"
SUFFIXES = (".ipynb", ".md")
MADE_BESIDES = {"404", "genindex", "index", "py-modindex", "search"}


def contents(toc: Path = ROOT / "_toc.yml") -> list[str]:
    """The pages of the table of contents in reading order, without suffix: `book/02-one-exit`.

    ValueError if it cannot be read, or names a page that is not there.
    """

    def walk(entry: Any) -> Iterator[str]:
        if isinstance(entry, list):
            for item in entry:
                yield from walk(item)
        elif isinstance(entry, dict):
            yield from (entry[key] for key in ("root", "file") if key in entry)
            yield from walk([entry.get(key, []) for key in ("parts", "chapters", "sections")])

    try:
        pages = list(walk(yaml.safe_load(toc.read_text())))
    except yaml.YAMLError as problem:
        raise ValueError(f"{toc.name} cannot be read: {' '.join(str(problem).split())}") from None
    for page in pages:
        if not any((toc.parent / f"{page}{suffix}").is_file() for suffix in SUFFIXES):
            raise ValueError(f"{toc.name} names {page}, and there is no {page}.ipynb and no .md")
    return pages


def notebooks() -> list[Path]:
    """Every notebook of the book, chapters and labs, whether or not the contents list it."""
    paths = (ROOT / "book").rglob("*.ipynb")
    return sorted(path for path in paths if ".ipynb_checkpoints" not in path.parts)


def differences(site: Path = SITE) -> list[str]:
    """One line for each page too few or too many."""
    wanted = set(contents())
    built = {
        page.relative_to(site).with_suffix("").as_posix()
        for page in site.rglob("*.html")
        if not page.relative_to(site).as_posix().startswith("_static/")
    } - MADE_BESIDES
    return [f"not built: {page}" for page in sorted(wanted - built)] + [
        f"built, but not in _toc.yml: {page}" for page in sorted(built - wanted)
    ]
