"""The registry of sources: all of it is used, and nothing is cited that is not in it.

And how a page shows it: by a small mark in the line, and by a list at its foot.
"""

import re
from pathlib import Path

import pytest
from exits import read_exits
from prose import pages, text
from sources import EVIDENCE, LETTERS, Source, read_registry
from sphinx.application import Sphinx

CITED = re.compile(r"\{source\}`([^`]+)`")
REGISTRY = read_registry()
MOVING = ("/master/", "/main/", "/HEAD/", "/latest/", "/develop/")
FORGES = ("github.com", "gitlab.com", "elixir.bootlin.com")

every_source = pytest.mark.parametrize("source", REGISTRY.values(), ids=lambda source: source.id)


def cited() -> set[str]:
    in_the_table = {source for row in read_exits() for source in row.sources}
    return in_the_table | {name for page in pages() for name in CITED.findall(text(page))}


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


@every_source
def test_a_kernel_file_is_mainline_or_says_whose_tree_it_is(source: Source) -> None:
    tree = re.match(r"https://github.com/([^/]+)/[^/]+/blob/", source.url)
    if source.work == "Linux" and tree:
        assert tree[1] == "torvalds" or tree[1] in source.where


@every_source
def test_what_we_ran_names_kernel_and_module(source: Source) -> None:
    assert bool(source.on) == (source.evidence == "ran")
    for machine in source.on:
        assert machine == "the simulated kernel" or re.fullmatch(
            r"Linux \d+\.\d+\.\d+ with kvm_\w+"
            r"|Linux \d+\.\d+( of \w+)?( with kvm_\w+)?, in (QEMU|Bochs)",
            machine,
        )


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('evidence = "ran"', "`on` says where"),
        ('evidence = "source"\non = ["Linux 6.18.44 with kvm_pvm"]', "`on` says where"),
        ('evidence = "seen"', "unknown evidence"),
        ('evidence = "source"\nelse = 1', "else"),
    ],
)
def test_an_entry_that_says_too_little_or_too_much_is_refused(
    tmp_path: Path, entry: str, problem: str
) -> None:
    registry = tmp_path / "sources.toml"
    registry.write_text(f'[one]\nwork = "w"\nat = "1"\nwhere = "p"\nsays = "S."\n{entry}\n')
    with pytest.raises(ValueError, match=problem):
        read_registry(registry)


PAGE_OF_MARKS = """
Marks
=====

A claim :source:`api-note`. Another :source:`ran-no-data`, and the first :source:`api-note` again.
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of three marks, of two sources, as HTML."""
    folder = tmp_path_factory.mktemp("marks")
    (folder / "conf.py").write_text("extensions = ['sources']\n")
    (folder / "index.rst").write_text(PAGE_OF_MARKS)
    out, tree = folder / "out", folder / "tree"
    Sphinx(folder, folder, out, tree, "html", status=None, warning=None).build()
    return (out / "index.html").read_text()


def test_a_mark_is_small_numbered_and_says_what_it_stands_for(built: str) -> None:
    marks = re.findall(
        r'<sup class="source"[^>]*><a href="#cite-([\w-]+)" aria-label="([^"]+)">(\w+)', built
    )
    assert [(name, seen) for name, _, seen in marks] == [
        ("api-note", "d1"), ("ran-no-data", "r2"), ("api-note", "d1")
    ]  # fmt: skip
    for name, label, seen in marks:
        source = REGISTRY[name]
        assert label.startswith(f"{seen}. {EVIDENCE[source.evidence].capitalize()}: {source.work}")
    assert "kvm_pvm" in marks[1][1]
    assert "A claim<sup" in built, "the mark stands at its word"


def test_the_foot_of_a_page_lists_its_sources_once_in_their_order(built: str) -> None:
    foot = built[built.index('id="sources-of-this-page"') :]
    assert re.findall(r'<li id="cite-([\w-]+)"', foot) == ["api-note", "ran-no-data"]
    for name in ("api-note", "ran-no-data"):
        assert f'#source-{name}"' in foot


def test_every_kind_of_evidence_has_a_letter_of_its_own() -> None:
    assert set(LETTERS) == set(EVIDENCE) and len(set(LETTERS.values())) == len(EVIDENCE)


def test_the_foot_leads_back_to_the_first_mark(built: str) -> None:
    assert re.findall(r'id="mark-([\w-]+)"', built) == ["api-note", "ran-no-data"]
    assert re.findall(r'href="#mark-([\w-]+)"', built) == ["api-note", "ran-no-data"]
