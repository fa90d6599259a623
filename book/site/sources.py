"""A Sphinx extension for the book's sources: one registry, and four ways to show it.

`book/sources.toml` holds every source once.

1.  ``{source}`some-id` `` cites one: a small mark in the line, a letter for the kind of
    evidence and a number. What it stands for is said by its ``aria-label``, and shown by the
    style sheet while the mark is pointed at or has the focus. No script takes part.
2.  At the foot of a page stand the sources that it cites, in the order of their numbers; on
    paper they are all that is left of the marks.
    From there an arrow leads back to the place of the first mark.
3.  The page with the ``{sources}`` directive lists the whole registry, and with each source the
    pages that cite it.
4.  ``{seen}`` is a matrix: what we ran, against the machines that it was seen on.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective, SphinxRole

REGISTRY = Path(__file__).resolve().parents[1] / "sources.toml"
PAGE = "book/reference/sources"
EVIDENCE = {
    "ran": "we ran this",
    "source": "the source reads",
    "documented": "documented",
    "inferred": "inferred",
}
LETTERS = {"ran": "r", "source": "s", "documented": "d", "inferred": "i"}
HARDWARE = {"kvm_intel": "VMX", "kvm_amd": "SVM"}
"""The vendor modules of mainline, and what they need: the matrix says which are missing."""
EMULATED = ", in "
"""How the name of a machine says that its processor was an emulator's."""


@dataclass(frozen=True)
class Source:
    """One source: the ``work``, the version (``at``: a commit, a release, a Message-ID), the
    place in it, the kind of ``evidence``, what it ``says``, and where to find it; ``on`` which
    machines, kernel and module, if we ran it."""

    id: str
    work: str
    at: str
    where: str
    evidence: str
    says: str
    url: str = ""
    on: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """How a list names it: the work and a short form of the version; or where we ran it."""
        if self.on:
            return f"{self.work}, on {' and on '.join(self.on)}"
        version = self.at if "@" not in self.at else self.at.split()[0]
        words = version.split()
        if words and len(words[0]) >= 12 and set(words[0]) <= set("0123456789abcdef"):
            words[0] = words[0][:12]
        return f"{self.work} {words[0]}" if words and "@" not in words[0] else self.work

    @property
    def label(self) -> str:
        """What a mark says aloud, and on hover: the evidence, the work, the place."""
        return f"{EVIDENCE[self.evidence].capitalize()}: {self.short}; {self.where}"


def read_registry(path: Path = REGISTRY) -> dict[str, Source]:
    """All sources by id, read once for each state of the file. ValueError for an entry that is
    incomplete, of unknown evidence, or run on a machine that it does not name."""
    return _registry(path.read_text(), path.name)


@lru_cache(maxsize=4)
def _registry(text: str, file: str) -> dict[str, Source]:
    sources = {}
    for name, entry in tomllib.loads(text).items():
        entry["on"] = tuple(entry.get("on", ()))
        try:
            source = Source(id=name, **entry)
        except TypeError as problem:
            raise ValueError(f"{file}: source {name!r}: {problem}") from None
        if source.evidence not in EVIDENCE:
            raise ValueError(f"{file}: source {name!r}: unknown evidence {source.evidence!r}")
        if (source.evidence == "ran") != bool(source.on):
            raise ValueError(f"{file}: source {name!r}: `on` says where we ran it, and only that")
        sources[name] = source
    return sources


def cited_in(env: Any) -> dict[str, list[str]]:
    """For each page the ids of the sources that it cites, as far as pages have been read."""
    found: dict[str, list[str]] = env.__dict__.setdefault("kvmexit_cited_in", {})
    return found


class CitedIn(nodes.Element):  # type: ignore[misc]  # docutils has no types
    """Stands for the pages that cite ``source``; :class:`ListCiting` puts them there."""


class ListCiting(SphinxPostTransform):
    """When all pages are read: which of them cite a source, each a link to its foot."""

    default_priority = 100

    def run(self, **kwargs: Any) -> None:
        for stand_in in list(self.document.findall(CitedIn)):
            said: list[nodes.Node] = []
            for page in self.citing(stand_in["source"]):
                to = self.app.builder.get_relative_uri(self.env.docname, page)
                name = self.env.titles[page].astext()
                to += f"#cite-{stand_in['source']}"
                said += [nodes.Text(", " if said else " Cited in ")]
                said += [nodes.reference("", name, internal=True, refuri=to)]
            stand_in.replace_self([*said, nodes.Text(".")] if said else [])

    def citing(self, source: str) -> list[str]:
        """The pages in the order of the book."""
        pages = [self.config.root_doc, *self.env.toctree_includes.get(self.config.root_doc, ())]
        return [page for page in pages if source in cited_in(self.env).get(page, ())]


class SourceMark(nodes.Element, nodes.Inline):  # type: ignore[misc]  # docutils has no types
    """A citation in the line; :class:`ListAtTheFoot` gives it its number."""


def mark_of(source: Source) -> SourceMark:
    """An unnumbered mark."""
    return SourceMark("", source=source.id, evidence=source.evidence, label=source.label)


def open_mark(translator: Any, node: SourceMark) -> None:
    """The mark as HTML: a link to the foot of its own page."""
    seen = f"{LETTERS[node['evidence']]}{node['number']}"
    label = translator.attval(f"{seen}. {node['label']}")
    here = f' id="mark-{node["source"]}"' if node["first"] else ""
    link = f'<a href="#cite-{node["source"]}" aria-label="{label}">{seen}</a>'
    translator.body.append(f'<sup class="source"{here}>{link}</sup>')


def open_plain(translator: Any, node: SourceMark) -> None:
    """The mark where there are no links: its letter and number in brackets."""
    translator.add_text(f" [{LETTERS[node['evidence']]}{node['number']}]")


def close_mark(translator: Any, node: SourceMark) -> None:
    """Nothing is open."""


class SourceRole(SphinxRole):
    """``{source}`id` ``: cite an entry of the registry."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        source = read_registry().get(self.text)
        if source is None:
            problem = self.inliner.reporter.error(f"no source {self.text!r} in {REGISTRY.name}")
            return [nodes.literal(self.text, self.text)], [problem]
        return [mark_of(source)], []


class ListAtTheFoot(SphinxTransform):
    """Number the marks of a page, take the blank before each, and list what they stand for."""

    default_priority = 700

    def apply(self, **kwargs: Any) -> None:
        numbers: dict[str, int] = {}
        for mark in self.document.findall(SourceMark):
            mark["first"] = mark["source"] not in numbers
            mark["number"] = numbers.setdefault(mark["source"], len(numbers) + 1)
            self.draw_near(mark)
        if not numbers:
            return
        here, builder = self.env.docname, self.app.builder
        cited_in(self.env)[here] = list(numbers)
        listed = nodes.bullet_list(classes=["sources-here"])
        for source in (read_registry()[name] for name in numbers):
            to = f"{builder.get_relative_uri(here, PAGE)}#source-{source.id}"
            about = nodes.paragraph("")
            about += nodes.strong("", f"{LETTERS[source.evidence]}{numbers[source.id]}")
            about += nodes.Text(" ")
            about += nodes.reference("", source.short, internal=True, refuri=to)
            about += nodes.Text(f"; {source.where}. {EVIDENCE[source.evidence].capitalize()}. ")
            back = nodes.reference("", "↑ back", internal=True, refuri=f"#mark-{source.id}")
            back["reftitle"] = "back to where it is cited"
            about += back
            listed += nodes.list_item("", about, ids=[f"cite-{source.id}"])
        title = nodes.title("", "Sources of this page")
        foot = nodes.section("", title, listed, ids=["sources-of-this-page"], classes=["foot"])
        first = next(iter(self.document.findall(nodes.section)), self.document)
        first += foot

    @staticmethod
    def draw_near(mark: SourceMark) -> None:
        """A mark stands at its word: the blank that separates the role in the text goes."""
        at = mark.parent.index(mark)
        before = mark.parent[at - 1] if at else None
        if isinstance(before, nodes.Text):
            mark.parent[at - 1] = nodes.Text(before.astext().rstrip())


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
            about += CitedIn("", source=source.id)
            listed += nodes.definition_list_item("", term, nodes.definition("", about))
        return [listed]


def row(cells: list[list[nodes.Node]]) -> nodes.row:
    """A row of a table, a paragraph a cell."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells))


def table(head: list[str], rows: list[list[list[nodes.Node]]]) -> nodes.table:
    """A table with a head, of cells that are lists of nodes; as wide as its text."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in head), cols=len(head))
    group += nodes.thead("", row([[nodes.Text(word)] for word in head]))
    group += nodes.tbody("", *(row(cells) for cells in rows))
    return nodes.table("", group, classes=["colwidths-auto"])


class SeenDirective(SphinxDirective):
    """``{seen}``: each claim that we ran against the machines on which it was seen."""

    def run(self) -> list[nodes.Node]:
        ran = [source for source in read_registry().values() if source.on]
        machines = list(dict.fromkeys(machine for source in ran for machine in source.on))
        rows: list[list[list[nodes.Node]]] = []
        for source in ran:
            link = nodes.reference("", source.id, internal=True, refuri=f"#source-{source.id}")
            claim: list[nodes.Node] = [nodes.Text(f"{source.says} ("), link, nodes.Text(")")]
            seen = [nodes.Text("seen" if machine in source.on else "–") for machine in machines]
            rows.append([claim, *([cell] for cell in seen)])
        missing = [
            f"{module} ({what})"
            for module, what in HARDWARE.items()
            if not any(module in machine and EMULATED not in machine for machine in machines)
        ]
        said = (
            [
                nodes.paragraph(
                    "", f"Not run on a processor that has what they need: {', '.join(missing)}."
                )
            ]
            if missing
            else []
        )
        return [table(["what we ran", *machines], rows), *said]


def note_registry(app: Sphinx, env: Any, added: Any, changed: Any, removed: Any) -> list[str]:
    """A changed registry is read again by the page that lists it."""
    for page in removed:
        cited_in(env).pop(page, None)
    return [PAGE] if PAGE in env.found_docs else []


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_role("source", SourceRole())
    app.add_directive("sources", SourcesDirective)
    app.add_directive("seen", SeenDirective)
    app.add_node(SourceMark, html=(open_mark, close_mark), text=(open_plain, close_mark))
    app.add_transform(ListAtTheFoot)
    app.add_post_transform(ListCiting)
    app.connect("env-get-outdated", note_registry)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
