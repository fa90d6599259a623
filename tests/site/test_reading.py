"""Who can read a page: on a wide screen and on a phone, light and dark, by keyboard, by ear."""

from visits import Visit


def test_axe_finds_nothing_on_a_wide_light_screen(desk: Visit) -> None:
    """All of axe-core's rules, contrast among them."""
    assert desk.page.evaluate("document.documentElement.dataset.theme") == "light"
    assert desk.axe() == []


def test_axe_finds_nothing_on_a_dark_phone(phone: Visit) -> None:
    assert phone.page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert phone.axe() == []


def test_a_phone_is_wide_enough(phone: Visit) -> None:
    assert phone.wider_than_the_screen() == []


def test_no_text_is_small_on_a_phone(phone: Visit) -> None:
    assert phone.small_text() == []


def test_no_text_is_small_on_a_wide_screen(desk: Visit) -> None:
    assert desk.small_text() == []


def test_the_keyboard_reaches_everything(desk: Visit) -> None:
    assert desk.unreachable() == []
