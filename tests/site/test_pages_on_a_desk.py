"""Every page over http, on a wide screen, in the light: one visit each, and all that it tells."""

import re
from collections.abc import Callable

from looks import faint_in_forced_colours, wrong_on_paper
from visits import HEADER, Visit, is_its_turn

HEAVIEST_PAGE = 200_000
"""Bytes that a first view may load, compressed, everything counted."""
LOW = 720
"""Pixels: the height of a small screen on a desk."""


def test_axe_finds_nothing(desk: Visit, name: str) -> None:
    """All of axe-core's rules, without CI on every fourth of the pages."""
    assert desk.page.evaluate("document.documentElement.dataset.theme") == "light"
    assert not is_its_turn(name, 4) or desk.axe() == []


def test_no_text_is_small(desk: Visit) -> None:
    assert desk.small_text() == []


def test_the_keyboard_reaches_everything(desk: Visit, name: str) -> None:
    assert not is_its_turn(name, 4) or desk.unreachable() == []


def test_a_picture_and_its_control_fit_a_low_screen_at_each_frame(desk: Visit) -> None:
    pictures = desk.pictures()
    assert any(url.split("?")[0].endswith("/picture.js") for url in desk.requests) == bool(pictures)
    for picture in pictures:
        assert picture["wrong"] == [], picture["name"]
        assert picture["frames"] == picture["last"] + 1 > 1
        assert picture["height"] + HEADER <= LOW, picture


def test_no_request_left_the_site_and_nothing_failed(desk: Visit, over_http: str) -> None:
    """Asked after a reader's time on the page: what loads late is counted too."""
    assert desk.requests_outside(over_http) == []
    assert desk.complaints == []


def test_first_view_is_light(desk: Visit, record_property: Callable[..., None]) -> None:
    weight = desk.weight()
    record_property("kilobytes of a first view", sum(weight.values()) / 1000)
    heaviest = sorted(weight.items(), key=lambda item: -item[1])[:5]
    assert 20_000 < sum(weight.values()) <= HEAVIEST_PAGE, heaviest


def test_every_icon_is_in_the_small_font(desk: Visit) -> None:
    fonts = [url.rsplit("/")[-1] for url in desk.requests if ".woff" in url or ".ttf" in url]
    assert fonts == ["icons.woff"]


def test_forced_colours_leave_text_and_frames(desk: Visit, name: str) -> None:
    assert not is_its_turn(name, 3) or faint_in_forced_colours(desk) == []


def test_paper_shows_all_and_cuts_nothing(desk: Visit, name: str) -> None:
    assert not is_its_turn(name, 3) or wrong_on_paper(desk) == []


def test_it_can_be_printed(desk: Visit, name: str) -> None:
    """Not more sheets than it has text for: a block that may not be cut leaves some room."""
    if not is_its_turn(name, 6):
        return  # a sheet takes a second
    tall = desk.page.evaluate("document.querySelector('article').scrollHeight")
    sheets = len(re.findall(rb"/Type\s*/Page\b", desk.page.pdf(format="A4")))
    assert 1 <= sheets <= 3 + tall / 500
