"""Every page from the disk, on a narrow screen, in the dark."""

from looks import too_wide_at_320
from visits import HEADER, PHONE, SITE_ON_DISK, Visit, is_its_turn

CUT_LISTINGS = """() => [...document.querySelectorAll(".kvmexit-listing")]
  .filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)"""
"""Machine code whose lines are wider than what is to be seen of them."""

CUT_SHORT = """() => [...document.querySelectorAll(".pst-scrollable-table-container")]
  .filter((one) => one.scrollWidth > one.clientWidth + 1)
  .filter((one) => getComputedStyle(one).maskImage === "none")
  .map((one) => one.innerText.slice(0, 90))"""
"""Tables that go on beyond the screen, and do not fade there."""


def test_axe_finds_nothing(phone: Visit, name: str) -> None:
    assert phone.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert not is_its_turn(name, 4) or phone.axe() == []


def test_the_screen_is_wide_enough(phone: Visit) -> None:
    assert phone.wider_than_the_screen() == []


def test_the_narrowest_screen_is_wide_enough(phone: Visit) -> None:
    assert too_wide_at_320(phone) == []


def test_no_listing_is_cut(phone: Visit) -> None:
    assert phone.page.evaluate(CUT_LISTINGS) == []


def test_a_table_that_goes_on_says_so(phone: Visit) -> None:
    assert phone.page.evaluate(CUT_SHORT) == []


def test_no_text_is_small(phone: Visit) -> None:
    assert phone.small_text() == []


def test_a_picture_and_its_control_fit_at_each_frame(phone: Visit) -> None:
    for picture in phone.pictures():
        assert picture["wrong"] == [], picture["name"]
        assert picture["height"] + HEADER <= PHONE["height"], picture


def test_no_request_left_the_disk_and_nothing_failed(phone: Visit) -> None:
    """Asked after a reader's time on the page: what loads late is counted too."""
    assert phone.requests_outside(SITE_ON_DISK) == []
    assert phone.complaints == []
