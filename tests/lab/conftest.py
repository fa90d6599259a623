"""The labs as an nbgrader course that has released them."""

import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE))
from nbgrader_course import Course  # noqa: E402 - found by the line above


@pytest.fixture(scope="session")
def course() -> Iterator[Course]:
    """All six labs, assigned by nbgrader in a folder that goes away."""
    import nbgrader.api
    from release import course as make_course

    bin_folder = str(Path(sys.executable).parent)
    os.environ["PATH"] = f"{bin_folder}:{os.environ['PATH']}"
    nbgrader.api.get_alembic_version = cache(nbgrader.api.get_alembic_version)
    with make_course(seed=2026) as (root, api):
        for folder in sorted((HERE / "source").iterdir()):
            made = api.generate_assignment(folder.name)
            assert made["success"], made["log"]
        yield Course(root, api)
