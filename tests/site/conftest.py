"""A browser on the built site, over http and from files."""

from collections.abc import Callable, Iterator

import pytest
from alive import CHAPTER, LAB
from browsers import started
from live_lab import on_a_copy
from pages import contents
from patience import RUN
from playwright.sync_api import Browser
from serving import served
from visits import PAGES, PHONE, SITE_ON_DISK, Visit, visiting


@pytest.fixture(scope="session")
def over_http() -> Iterator[str]:
    """The address of the built site, served on the loopback."""
    with served() as address:
        yield address


@pytest.fixture(params=["http", "file"])
def address(request: pytest.FixtureRequest, over_http: str) -> str:
    """The built site, once over http and once from the disk."""
    return over_http if request.param == "http" else SITE_ON_DISK


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """Chromium, without a window."""
    with started(chromium) as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """``visit(address, name, **options of the browser's context)`` opens a page of the book.

    What answers a question is not covered, so that all of the page is looked at, unless the visit
    is ``covered``. It is ``alone`` if the test changes more than the page, ``timed`` if it turns
    the page's clock (:func:`browsers.lent`).
    """
    yield from visiting(browser)


@pytest.fixture(scope="module")
def desk(browser: Browser, over_http: str, name: str) -> Iterator[Visit]:
    """The page ``name`` over http, on a wide screen, light; alone, as what a first view loads is
    weighed."""
    for visit in visiting(browser):
        yield visit(over_http, name, alone=True, color_scheme="light")


@pytest.fixture(scope="module")
def phone(browser: Browser, name: str) -> Iterator[Visit]:
    """The page ``name`` from the disk, on a narrow screen, dark."""
    for visit in visiting(browser):
        yield visit(SITE_ON_DISK, name, color_scheme="dark", viewport=PHONE)


@pytest.fixture(scope="module")
def alive_chapter(browser: Browser, over_http: str) -> Iterator[Visit]:
    """A chapter over http, on a wide screen, light, whose cells are about to be run."""
    for visit in visiting(browser):
        yield visit(over_http, CHAPTER, alone=True, color_scheme="light")


@pytest.fixture(scope="module")
def alive_lab(browser: Browser) -> Iterator[Visit]:
    """A lab from the disk, on a narrow screen, dark, whose cells are about to be run."""
    for visit in visiting(browser):
        yield visit(SITE_ON_DISK, LAB, alone=True, color_scheme="dark", viewport=PHONE)


@pytest.fixture(scope="session")
def jupyterlab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab on a copy of the book: what a reader saves changes nothing."""
    with on_a_copy(tmp_path_factory.mktemp("lab")) as address:
        yield address


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever asks for `name` is run for every page of the table of contents. Without CI a page in
    four is looked at on the desk, and another in four on the phone; others in each run."""
    if "name" in metafunc.fixturenames:
        names = contents()
        if {"desk", "phone"} & set(metafunc.fixturenames):
            first = RUN + ("phone" in metafunc.fixturenames) * 2
            names = names[first % PAGES :: PAGES]
        metafunc.parametrize("name", names, ids=[n.split("/")[-1] for n in names], scope="module")
