"""Every page with code, run in the page: its outputs are the book's own, words and drawings."""

import os
from collections.abc import Callable

import pytest
from alive import act, needs_npm, outputs, pages, press, rests, said, seen, stored
from patience import draws
from visits import SITE_ON_DISK, Visit

ABSENT = {
    "book/14-how-rare-is-rare": ["matplotlib, which draws it, is not in this page"],
}
"""The cells that keep the book's output, by what they say of it."""
FEW = ("book/07-finish-what-you-started", "book/labs/2-stop")
TURNS = [(page, kind) for page in pages() for kind in ("http", "file")]
CHOSEN = TURNS if os.environ.get("CI") else [(FEW[0], "http"), (FEW[1], "file")]


@pytest.mark.parametrize(("page", "kind"), CHOSEN, ids=["-".join(turn) for turn in CHOSEN])
def test_all_cells_say_what_the_book_has(
    visit: Callable[..., Visit], over_http: str, page: str, kind: str
) -> None:
    needs_npm()
    site = over_http if kind == "http" else SITE_ON_DISK
    here = visit(site, page)
    assert not [url for url in here.requests if "_static/live/" in url and "button.js" not in url]
    before = seen(here.page)
    press(here)
    here.page.evaluate("said.length = 0")  # the press has run the first cell
    act(here.page, "Run all")
    rests(here.page)
    told, absent = outputs(here.page), []
    for number, expected in enumerate(stored(page)):
        found = said(told.get(number, []))
        if found and isinstance(found[-1], tuple) and found[-1][0] == "absent":
            absent.append(found[-1][1])
        elif number in told or expected:
            assert found == expected, f"cell {number}"
    assert absent == ABSENT.get(page, [])
    assert seen(here.page) == before
    assert here.requests_outside(site) == [] and here.complaints == []
