"""Who can read a page on a wide screen, in the light, by keyboard, by ear."""

from visits import Visit


def test_axe_finds_nothing_on_a_wide_light_screen(desk: Visit) -> None:
    """All of axe-core's rules, contrast among them."""
    assert desk.page.evaluate("document.documentElement.dataset.theme") == "light"
    assert desk.axe() == []


def test_no_text_is_small_on_a_wide_screen(desk: Visit) -> None:
    assert desk.small_text() == []


def test_the_keyboard_reaches_everything(desk: Visit) -> None:
    assert desk.unreachable() == []
