"""The browser of the tests, and pages in it that are lent from one test to the next."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from patience import PATIENCE, draws
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

DESK = {"width": 1280, "height": 900}
NO_COVERS = 'try { localStorage.setItem("kvmexit.cover", "off") } catch { /* not a page */ }'
CHANGED_IN_A_PAGE = ("viewport", "color_scheme", "reduced_motion", "forced_colors")
"""Options of a context that an open page can be given, too."""
_IDLE: dict[tuple[Browser, bool, str], list[Page]] = {}
"""Pages that have been given back, by their browser and what cannot be changed in them."""


@contextmanager
def started(chromium: str) -> Iterator[Browser]:
    """Chromium, without a window."""
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"], timeout=1000 * PATIENCE
        )


def patient(browser: Browser, **options: object) -> BrowserContext:
    """A context of the browser, whose pages wait as long as a busy machine needs."""
    context = browser.new_context(**options)
    context.set_default_timeout(1000 * PATIENCE)
    return context


def stop_clock(of: Page | BrowserContext) -> None:
    """From now on scripts get no timer and no frame but by ``clock.run_for``: what a page shows for
    a while stays there until a busy machine has looked at it."""
    of.clock.install(time=0)
    of.clock.pause_at(24 * 3600)


@contextmanager
def lent(
    browser: Browser,
    site: str,
    covered: bool = True,
    alone: bool = False,
    timed: bool = False,
    **options: object,
) -> Iterator[Page]:
    """An empty page, with these options of a context, that remembers nothing of ``site``.

    In CI, and where it is ``alone`` because a test changes more than the page, or ``timed`` because
    it turns the page's clock (:func:`stop_clock`), it is new. Else it
    is one that a test before has given back, if its context can look so: to start a renderer, and
    to compile a film's scripts in it, costs more than most tests do. It asks the site for each file
    all the same.
    """
    looks: dict[str, Any] = {"viewport": DESK, "color_scheme": "light", **options}
    fixed = {key: looks.pop(key) for key in options if key not in CHANGED_IN_A_PAGE}
    if alone or timed or not draws(1, in_ci=0):
        context = patient(browser, **looks, **fixed)
        if not covered:
            context.add_init_script(NO_COVERS)
        if timed:
            stop_clock(context)
        yield context.new_page()
        context.close()
        return
    idle = _IDLE.setdefault((browser, covered, repr(sorted(fixed.items()))), [])
    if idle:
        page = idle.pop()
    else:
        context = patient(browser, **fixed)
        if not covered:
            context.add_init_script(NO_COVERS)
        page = context.new_page()
        context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    page.goto(f"{site}/robots.txt")
    page.evaluate("localStorage.clear(); sessionStorage.clear()")
    page.mouse.move(0, 0)
    page.set_viewport_size(looks.pop("viewport"))
    page.emulate_media(
        **{"media": "screen", "reduced_motion": "no-preference", "forced_colors": "none"} | looks
    )
    yield page
    page.goto("about:blank")
    idle.append(page)
