"""The registry of sources: all of it is used, and nothing is cited that is not in it."""

import re

import pytest
from prose import pages, text
from sources import EVIDENCE, Source, read_registry

CITED = re.compile(r"\{source\}`([^`]+)`")
REGISTRY = read_registry()
MOVING = ("/master/", "/main/", "/HEAD/", "/latest/", "/develop/")
FORGES = ("github.com", "gitlab.com", "elixir.bootlin.com")

every_source = pytest.mark.parametrize("source", REGISTRY.values(), ids=lambda source: source.id)


def cited() -> set[str]:
    return {name for page in pages() for name in CITED.findall(text(page))}


def test_every_source_cited_is_in_the_registry() -> None:
    assert cited() - set(REGISTRY) == set()


def test_every_source_of_the_registry_is_cited() -> None:
    assert set(REGISTRY) - cited() == set()


@every_source
def test_an_entry_says_what_it_must(source: Source) -> None:
    assert source.evidence in EVIDENCE
    assert all(part.strip() for part in (source.work, source.at, source.where, source.says))
    assert source.says.endswith(".") and re.fullmatch(r"[a-z0-9-]+", source.id)


@every_source
def test_what_others_wrote_can_be_opened_at_that_version(source: Source) -> None:
    """A link is pinned to the commit, the release or the mail that the entry names."""
    ours = source.evidence == "ran" or source.work.startswith("The recorded logs")
    assert ours or re.match(r"https?://[a-z.]+/\S+$", source.url)
    assert not any(word in source.url for word in MOVING)
    if any(forge in source.url for forge in FORGES) and "/pull/" not in source.url:
        assert source.at.split()[0] in source.url
