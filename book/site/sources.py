"""A Sphinx extension for the book's sources: one registry, a role that cites, a page that lists.

`book/sources.toml` holds every source once. ``{source}`some-id` `` in a chapter becomes a link
to its entry on the page that has the ``{sources}`` directive, with the kind of evidence in
words, so that a reader can tell for each claim whether it was run, read, documented or inferred.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

REGISTRY = Path(__file__).resolve().parents[1] / "sources.toml"
PAGE = "book/reference/sources"
EVIDENCE = {
    "ran": "we ran this",
    "source": "the source reads",
    "documented": "documented",
    "inferred": "inferred",
}


@dataclass(frozen=True)
class Source:
    """One source: the ``work``, the version (``at``: a commit, a release, a Message-ID), the
    place in it, the kind of ``evidence``, what it ``says``, and where to find it."""

    id: str
    work: str
    at: str
    where: str
    evidence: str
    says: str
    url: str = ""

    @property
    def short(self) -> str:
        """How it is named in the text: the work and a short form of the version."""
        version = self.at if "@" not in self.at else self.at.split()[0]
        words = version.split()
        if words and len(words[0]) >= 12 and set(words[0]) <= set("0123456789abcdef"):
            words[0] = words[0][:12]
        return f"{self.work} {words[0]}" if words and "@" not in words[0] else self.work


def read_registry(path: Path = REGISTRY) -> dict[str, Source]:
    """All sources by id. ValueError for an entry that is incomplete or of unknown evidence."""
    sources = {}
    for name, entry in tomllib.loads(path.read_text()).items():
        try:
            source = Source(id=name, **entry)
        except TypeError as problem:
            raise ValueError(f"{path.name}: source {name!r}: {problem}") from None
        if source.evidence not in EVIDENCE:
            raise ValueError(f"{path.name}: source {name!r}: unknown evidence {source.evidence!r}")
        sources[name] = source
    return sources


class SourceRole(SphinxRole):
    """``{source}`id` ``: cite an entry of the registry."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        source = read_registry().get(self.text)
        if source is None:
            problem = self.inliner.reporter.error(f"no source {self.text!r} in {REGISTRY.name}")
            return [nodes.literal(self.text, self.text)], [problem]
        here = self.env.docname
        builder = self.env.app.builder
        target = f"{builder.get_relative_uri(here, PAGE)}#source-{source.id}"
        link = nodes.reference("", source.short, internal=True, refuri=target)
        words = nodes.inline("", f" ({EVIDENCE[source.evidence]})", classes=["evidence"])
        return [nodes.inline("", "", link, words, classes=["source"])], []


class SourcesDirective(SphinxDirective):
    """``{sources}``: the whole registry, one entry a source, by work."""

    def run(self) -> list[nodes.Node]:
        listed = nodes.definition_list(classes=["sources"])
        for source in sorted(read_registry().values(), key=lambda s: (s.work.lower(), s.id)):
            term = nodes.term("", f"{source.work}, {source.at}", ids=[f"source-{source.id}"])
            about = nodes.paragraph("", f"{source.where}. ")
            about += nodes.emphasis("", f"{EVIDENCE[source.evidence].capitalize()}: ")
            about += nodes.Text(source.says)
            if source.url:
                about += nodes.Text(" ")
                about += nodes.reference("", "[open]", refuri=source.url)
            listed += nodes.definition_list_item("", term, nodes.definition("", about))
        return [listed]


def note_registry(app: Sphinx, env: Any, added: Any, changed: Any, removed: Any) -> list[str]:
    """A changed registry is read again by the page that lists it."""
    return [PAGE] if PAGE in env.found_docs else []


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_role("source", SourceRole())
    app.add_directive("sources", SourcesDirective)
    app.connect("env-get-outdated", note_registry)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
