"""What the pages for contributors name is there."""

import re

from pages import ROOT

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += sorted((ROOT / "contributing").glob("*.md"))
NAMED = re.compile(
    r"`(?:\.venv/bin/\w+ )?((?:[\w.-]+/)*[\w-]+\.(?:py|md|toml|yml|css)|(?:[\w.-]+/)+)`"
)
A_CONTRIBUTORS_OWN = {"my_vmm.py", "drafts/18-your-chapter.md"}


def names() -> set[str]:
    """Files and folders, each by every end of its path."""
    tops = [ROOT / name for name in ("lib", "tests", "book", "contributing", ".github")]
    found = set()
    for path in (*ROOT.glob("*.*"), *tops, *(one for top in tops for one in top.rglob("*"))):
        parts = path.relative_to(ROOT).parts
        found |= {"/".join(parts[start:]) for start in range(len(parts))}
    return found


def test_files_that_are_named_are_there() -> None:
    there = names()
    for page in PAGES:
        named = set(NAMED.findall(page.read_text())) - A_CONTRIBUTORS_OWN
        assert not {name for name in named if name.rstrip("/") not in there}, page.name
    assert "contributing/vmm.md" in there and "no/such/place.py" not in there
