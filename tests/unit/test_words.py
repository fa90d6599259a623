"""One word for one thing, spelled one way; and a link in the book leads to a page of it."""

import re
from pathlib import Path

import pytest
from kvmexit.packet.outcome import Kind
from kvmexit.probe.verdict import Verdict
from pages import ROOT, contents
from prose import LINK, pages, text, words

SPELLED = {
    r"\b(?:VCPU|vcpu|Vcpu|v-CPU)s?\b": "vCPU",
    r"\bsame-v?V?CPU\b": "same vCPU",
    r"\bkvm[- _]run\b(?<!KVM_RUN)": "`KVM_RUN` or `kvm_run`, as code",
    r"\bKVM[- ]RUN\b": "KVM_RUN",
    r"(?i)\buser-?land\b|\buser[- ]space\b": "userspace",
    r"\bEintr\b|\beintr\b": "EINTR",
    r"\bimmediate exit\b": "`immediate_exit`",
    r"(?i)\bin[- ]flight\b|\boutstanding\b": "pending",
    r"(?i)\bquiesc\w*|\bflush the (?:vCPU|exit)": "drain",
    r"(?i)\bcheckpoint\w*|\blive-migrate\w*": "save, restore",
    r"(?i)\bVM-?exits?\b": "exit",
    r"(?i)\bre-entr\w+": "entry, or enters again",
    r"(?i)\btimeouts?\b": "time-out",
    r"\b[Mm]mio\b": "MMIO",
    r"\b[Ff]ifo\b": "FIFO",
}
NOT_OURS = r'"[^"\n]*"|\{[a-z:-]+\}.*|(?m:^:[a-z]+:.*$|^\.\. [a-z]+::.*$)'
"""Quotations stay as they are; names of directives, their arguments and options are code."""

every_page = pytest.mark.parametrize(
    "page", pages(), ids=lambda page: page.relative_to(ROOT / "book").as_posix()
)


@every_page
def test_words_are_spelled_one_way(page: Path) -> None:
    prose = re.sub(NOT_OURS, "", words(page))
    found = {
        f"{match[0]!r}: write {wanted}"
        for pattern, wanted in SPELLED.items()
        for match in re.finditer(pattern, prose)
    }
    assert found == set()


def test_a_wrong_spelling_is_found() -> None:
    wrong = "the same-VCPU kept a vcpu in-flight: user space saw a timeout and a VM exit by mmio"
    assert sum(re.search(pattern, wrong) is not None for pattern in SPELLED) >= 5


@every_page
def test_links_inside_the_book_lead_to_a_page_of_it(page: Path) -> None:
    in_the_contents = set(contents())
    for link in LINK.findall(text(page)):
        if link.startswith(("http://", "https://", "mailto:", "#")):
            continue
        target = (page.parent / link.split("#")[0]).resolve()
        assert target.exists(), link
        if target.suffix in (".ipynb", ".md"):
            name = target.relative_to(ROOT).with_suffix("").as_posix()
            assert name in in_the_contents, f"{link} is not in the table of contents"


def test_every_outcome_and_every_fate_is_among_the_words() -> None:
    page = (ROOT / "book" / "reference" / "words.md").read_text()
    said = set(re.findall(r"(?m)^([a-z -]+)\n:|\*(\w+)\*", page))
    assert {one.value for one in (*Kind, *Verdict)} <= {term or word for term, word in said}
