"""The labs as an nbgrader course that has released them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))
from nbgrader_course import Course, released  # noqa: E402  # found by the line above


@pytest.fixture(scope="session")
def course() -> Iterator[Course]:
    """All six labs, assigned by nbgrader in a folder that goes away."""
    with released(*sorted(folder.name for folder in (HERE / "source").iterdir())) as made:
        yield made
