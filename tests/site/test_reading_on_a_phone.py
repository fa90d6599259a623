"""Who can read a page on a phone, in the dark. Apart, so that two processors share the pages."""

from visits import Visit


def test_axe_finds_nothing_on_a_dark_phone(phone: Visit) -> None:
    assert phone.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert phone.axe() == []


def test_a_phone_is_wide_enough(phone: Visit) -> None:
    assert phone.wider_than_the_screen() == []


def test_no_text_is_small_on_a_phone(phone: Visit) -> None:
    assert phone.small_text() == []
