"""What goes along for the project's own tests: they, what they read, this library whole, and pytest
of this environment."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from kvmexit.elsewhere.initramfs import LIBRARY
from kvmexit.errors import KvmExitError

PYTEST = ("py", "pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments")
LEXERS = ("__init__", "_mapping", "python", "diff")
"""Of pygments, which pytest imports, most is for languages that are not spoken here."""
READ = ("tests/patience.py", "tests/real", "book/code", "book/reference/api.md")
"""Of the checkout: the tests, and what they read."""
DATA = (".py", ".pyi", ".gz", ".json", ".toml", ".md", ".txt")


def files_for_tests(checkout: Path) -> list[tuple[str, bytes]]:
    """Files for an initramfs, by name. Raises KvmExitError where tests or pytest are missing."""
    if not (checkout / "tests/real").is_dir():
        raise KvmExitError(
            f"no tests/real in {checkout}: they are not part of the library; run this in the"
            " project's folder"
        )
    return [*_checkout(checkout), *whole_library(), *_pytest()]


def _checkout(checkout: Path) -> Iterator[tuple[str, bytes]]:
    for name in READ:
        place = checkout / name
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if path.suffix in DATA and path.is_file():
                yield f"checkout/{path.relative_to(checkout).as_posix()}", path.read_bytes()


def whole_library() -> Iterator[tuple[str, bytes]]:
    """Every file of this library."""
    for path in sorted(LIBRARY.rglob("*")):
        if path.suffix in DATA and path.is_file():
            yield f"lab/kvmexit/{path.relative_to(LIBRARY).as_posix()}", path.read_bytes()


def _pytest() -> Iterator[tuple[str, bytes]]:
    for package in PYTEST:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise KvmExitError(f"no {package} here, and the tests need it: make setup")
        folder = Path(spec.origin).parent
        if not spec.submodule_search_locations:
            yield f"lab/{package}.py", Path(spec.origin).read_bytes()
            continue
        for path in sorted(folder.rglob("*.py")):
            if path.parent.name == "lexers" and path.stem not in LEXERS:
                continue
            yield f"lab/{package}/{path.relative_to(folder).as_posix()}", path.read_bytes()
