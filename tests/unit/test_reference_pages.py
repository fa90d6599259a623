"""What one takes along from the reference: the note for the kernel, its patch, the checklist."""

import io
import re

import nbformat
import pytest
from docutils import nodes
from docutils.core import publish_doctree
from docutils.utils import Reporter
from pages import ROOT
from prose import LINK

REFERENCE = ROOT / "book" / "reference"
NOTE, PATCH = REFERENCE / "kernel-note.rst", REFERENCE / "kernel-note.patch"
CHAPTER = ROOT / "book" / "12-the-whole-stop-path.ipynb"
SCREEN = 45
"""Lines that stand on a screen, or, as the lines of a table, on a sheet of A4."""
HUNK = re.compile(r"@@ -(\d+),(\d+) \+(\d+),(\d+) @@")


def complaints(text: str) -> str:
    """What docutils has to say of a text, down to its remarks."""
    said = io.StringIO()
    settings = {"warning_stream": said, "report_level": Reporter.INFO_LEVEL, "halt_level": 5}
    publish_doctree(text, settings_overrides=settings)
    return said.getvalue()


def test_the_note_is_restructured_text_and_one_screen() -> None:
    text = NOTE.read_text()
    assert complaints(text) == ""
    items = list(publish_doctree(text).findall(nodes.list_item))
    assert len(items) == len(re.findall("^- ", text, re.M)) > 0, (
        "a list needs a blank line before it"
    )
    assert len(text.splitlines()) <= SCREEN
    assert max(map(len, text.splitlines())) <= 72


@pytest.mark.parametrize("wrong", ["``open", "- one\ntwo", "Title\n==\n"])
def test_text_that_is_wrong_is_complained_of(wrong: str) -> None:
    assert complaints(wrong)


def hunk() -> tuple[list[int], list[str]]:
    """The only hunk of the patch: the four numbers of its head, and its lines."""
    lines = PATCH.read_text().splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("@@"))
    assert lines[at - 2 : at] == [
        f"{sign} {side}/Documentation/virt/kvm/api.rst"
        for sign, side in (("---", "a"), ("+++", "b"))
    ]
    head = HUNK.match(lines[at])
    assert head is not None
    return [int(number) for number in head.groups()], lines[at + 1 :]


def test_the_patch_adds_the_note_and_nothing_else() -> None:
    _, lines = hunk()
    assert {line[:1] for line in lines} == {" ", "+"}
    added = [line[1:] for line in lines if line.startswith("+")]
    assert added == [*NOTE.read_text().splitlines(), ""]


def test_the_numbers_of_the_patch_are_those_of_its_lines() -> None:
    (old, old_count, new, new_count), lines = hunk()
    assert old == new
    assert old_count == sum(line.startswith(" ") for line in lines)
    assert new_count == len(lines)


def test_the_page_names_every_run_of_the_note() -> None:
    """Each test of the sentences is in the table, and each name in the table is a test."""
    page = (REFERENCE / "kernel-note.md").read_text()
    runs = (ROOT / "tests" / "real" / "test_kernel_note.py").read_text()
    table = "".join(line for line in page.splitlines(True) if line.startswith("| "))
    named = set(re.findall(r"`([a-z_]{20,})`", table))
    assert named == set(re.findall(r"^def test_(\w+)", runs, re.M))


def checklist() -> tuple[str, list[list[str]]]:
    """The page, and the cells of its rows that are a step."""
    page = (REFERENCE / "checklist.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ☐")]
    return page, rows


def test_the_checklist_fits_a_sheet_and_each_step_has_a_reason() -> None:
    page, rows = checklist()
    assert 10 < len(rows) and page.count("\n") <= SCREEN
    for row in rows:
        assert len(row) == 4 and all(cell.strip() for cell in row), row


def test_the_checklist_leads_to_the_chapter_and_to_sections_of_it() -> None:
    """As soon as the chapter is there: until then it is named, and not linked."""
    page, rows = checklist()
    linked = any(target.endswith(CHAPTER.name) for target in LINK.findall(page))
    assert linked == CHAPTER.exists()
    if not CHAPTER.exists():
        return
    cells = nbformat.read(CHAPTER, as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    headings = re.findall(r"^## (.+)$", text, re.M)
    for *_, section in rows:
        assert section.startswith("[") or any(h.startswith(section) for h in headings), section


def test_how_long_a_bad_vmm_passes_is_what_the_formula_gives() -> None:
    page = (REFERENCE / "is-my-vmm-right.md").read_text()
    said = re.search(r"bad at\s+1 save in (\d+) passes (\d+) saves about once in (\d+)", page)
    assert said
    one_in, saves, times = map(int, said.groups())
    assert 0.9 < times * (1 - 1 / one_in) ** saves < 1.1
