"""On paper: a page that says it is one sheet is one."""

import re
from collections.abc import Callable

from visits import SITE_ON_DISK, Visit


def sheets(visit: Callable[..., Visit], name: str) -> int:
    """Pages of A4 on which the page of the book is printed."""
    printed = visit(SITE_ON_DISK, name).page.pdf(format="A4")
    return len(re.findall(rb"/Type\s*/Page\b", printed))


def test_the_checklist_is_one_sheet(visit: Callable[..., Visit]) -> None:
    assert sheets(visit, "book/reference/checklist") == 1


def test_a_page_that_is_longer_takes_more(visit: Callable[..., Visit]) -> None:
    assert sheets(visit, "book/reference/kernel-note") > 1
