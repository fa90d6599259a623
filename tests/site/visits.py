"""An open page of the book: what it loaded, what it complained of, what can be measured on it."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from browsers import lent
from pages import SITE, contents
from patience import PATIENCE, RUN, draws, until
from playwright.sync_api import (
    Browser,
    Page,
    Request,
    Response,
    TimeoutError as Late,
)

SITE_ON_DISK = SITE.as_uri()
COMPRESSED = (".woff", ".woff2", ".png", ".jpg")
PHONE = {"width": 390, "height": 844}
HEADER = 48
"""Pixels of a screen that the page's own header takes."""

WIDER_THAN_THE_SCREEN = """() => {
  const scrolls = (el) => el && (/(auto|scroll|hidden|clip)/.test(getComputedStyle(el).overflowX)
                                 || scrolls(el.parentElement));
  const wide = [...document.querySelectorAll("article *")].filter((el) =>
    el.getBoundingClientRect().right > innerWidth + 1 && !scrolls(el.parentElement));
  if (document.documentElement.scrollWidth > innerWidth) wide.push(document.documentElement);
  return wide.map((el) => el.outerHTML.slice(0, 90));
}"""

SMALL_TEXT = """(least) => {
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), el = walker.currentNode.parentElement;
    if (!text || !el.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const {width, height} = range.getBoundingClientRect();
    if (width < 2 || height < 2) continue;  // for screen readers only
    const matrix = el.getScreenCTM?.();     // text in SVG shrinks with its drawing
    const scale = matrix ? Math.hypot(matrix.c, matrix.d) : 1;
    const size = parseFloat(getComputedStyle(el).fontSize) * scale;
    if (size < least - 0.01) found.push(`${size.toFixed(1)}px: ${text.slice(0, 40)}`);
  }
  return found;
}"""

STOPS = """() => {
  const all = [...document.querySelectorAll(
    'article :is(a[href], button, input, select, textarea, summary, [tabindex="0"],' +
    ' [contenteditable=true])')];
  const group = (el) => [...document.querySelectorAll(`input[name="${el.name}"]`)];
  const chosen = (el) => el.type !== "radio" || el.checked ||
    (group(el)[0] === el && !group(el).some((one) => one.checked));
  const stops = all.filter((el) => el.checkVisibility({visibilityProperty: true}) &&
    !el.disabled && !el.closest("[inert]") && (el.tabIndex >= 0 || el.isContentEditable) &&
    chosen(el));
  stops.forEach((el, n) => { el.dataset.stop = n; });
  return stops.map((el) => el.outerHTML.slice(0, 90));
}"""

PICTURES = """() => [...document.querySelectorAll(".kvmexit-picture")].map((root) => {
  const slider = root.querySelector(".kxp-control input");
  const frames = [...root.querySelectorAll(".kxp-frame")];
  const below = root.getBoundingClientRect().bottom + scrollY, wrong = [];
  for (let at = 0; at < frames.length; at++) {
    slider.value = at;
    slider.dispatchEvent(new Event("input"));
    const shown = frames.filter((one) => one.checkVisibility({visibilityProperty: true}));
    const says = frames[at].querySelector(".kxp-says").textContent;
    if (shown.length !== 1 || shown[0] !== frames[at]) wrong.push(`${at}: other frame`);
    if (slider.getAttribute("aria-valuetext") !== says) wrong.push(`${at}: other words`);
    if (root.getBoundingClientRect().bottom + scrollY !== below) wrong.push(`${at}: moves`);
  }
  if (frames.concat([...root.querySelectorAll("[type=radio]")]).some((one) =>
    one.type === "radio" && one.checkVisibility({opacityProperty: true})))
    wrong.push("a bare button");
  const wide = (one) => Math.round(one.getBoundingClientRect().width);
  const drawn = Math.max(...[...root.querySelectorAll(".kxp-frame *, .kxp-still *")].map(wide));
  if (Math.abs(drawn - wide(slider)) > 20) wrong.push(`${drawn} drawn over ${wide(slider)}`);
  if (getComputedStyle(slider.parentElement).position !== "sticky") wrong.push("it may be left");
  const tops = (frame) => [...frame.querySelectorAll("svg, .kxp-bytes")]
    .map((one) => Math.round(one.getBoundingClientRect().top)).join();
  frames.forEach((frame, at) => {
    if (tops(frame) !== tops(frames[0])) wrong.push(`${at}: its parts stand elsewhere`);
  });
  const {height} = root.getBoundingClientRect();
  return {name: root.dataset.name, frames: frames.length, last: Number(slider.max), height, wrong};
})"""

BEFORE_THE_ARTICLE = """() => {
  const door = document.createElement("span");
  door.tabIndex = -1;
  document.querySelector("article").prepend(door);
  door.focus();
}"""
SETTLED = """() => document.fonts.ready.then(() => new Promise((done) =>
  requestAnimationFrame(() => requestAnimationFrame(done))))"""
"""Its fonts are there, and what depends on its width: nothing moves away under a finger."""
PAGES = draws(4, in_ci=1)
"""Of so many pages a run looks at one, in each form."""


def is_its_turn(name: str, of: int) -> bool:
    """Whether a long check looks at the page: at every ``of``-th of those that are looked at, in
    the order of the contents, so at chapters, labs and reference pages alike; in CI at all."""
    return (contents().index(name) // PAGES + RUN // PAGES) % draws(of, in_ci=1) == 0


def wait_until(page: Page, expression: str, what: str) -> None:
    """Wait until ``expression`` holds in the page. AssertionError names ``what`` never came."""
    try:
        page.wait_for_function(expression)
    except Late:
        raise AssertionError(f"waited {PATIENCE:.0f} s for {what}") from None


def again(page: Page, holds: Callable[[], bool], what: str) -> None:
    """Open the page again until that ``holds`` which it has kept. What one page keeps reaches the
    next by way of the browser, and on a busy machine the page may be there before it."""

    def seen() -> bool:
        page.reload()
        return holds()

    until(seen, what, pause=0.1)


@dataclass
class Visit:
    """One page in one context of the browser, and everything it asked for."""

    page: Page
    scripts: bool = True
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    loaded: list[Response] = field(default_factory=list)

    def __post_init__(self) -> None:
        for event, hear in self._ears().items():
            self.page.on(event, hear)

    def leave(self) -> None:
        """Hear no more of the page: it is another's now."""
        for event, hear in self._ears().items():
            self.page.remove_listener(event, hear)

    def _ears(self) -> dict[str, Callable[..., None]]:
        return {
            "request": self._asked,
            "response": self._loaded,
            "requestfailed": self._failed,
            "pageerror": self._broken,
            "console": self._hear,
        }

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)

    def _broken(self, error: object) -> None:
        self.complaints.append(str(error))

    def _failed(self, request: Request) -> None:
        # A page that is left takes back what it still asks for: that is no failure.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.url}, {request.failure}")

    def _loaded(self, response: Response) -> None:
        self.loaded.append(response)
        if response.status >= 400:
            self.complaints.append(f"{response.status}: {response.url}")

    def _hear(self, message: object) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def go(self, url: str) -> None:
        """Open a page and, where scripts run, wait until its fonts are there."""
        self.page.goto(url)
        if self.scripts:
            wait_until(self.page, "document.fonts.ready.then(() => true)", f"the fonts of {url}")

    def weight(self) -> dict[str, int]:
        """Bytes of each loaded file, compressed as a server would."""

        def compressed(response: Response) -> int:
            body = response.body()
            if response.url.split("?")[0].endswith(COMPRESSED):
                return len(body)
            return len(gzip.compress(body, 6))

        return {response.url: compressed(response) for response in self.loaded}

    def requests_outside(self, site: str) -> list[str]:
        """What the page asked for that is neither under this address nor in the page itself."""
        return [u for u in self.requests if not u.startswith((site, "data:", "blob:"))]

    def axe(self) -> list[str]:
        """What axe-core finds wrong in the article, a line for each element and rule. A colour on
        its way to another is none that anybody reads: what is wrong is so at a second look."""
        # Before a gradient axe does not judge a text's contrast; its paper is what matters.
        self.page.add_style_tag(content="pre { background-image: none !important }")
        if first := self._axe():
            self.page.wait_for_function("() => document.getAnimations().length === 0")
            return [line for line in self._axe() if line in first]
        return []

    def _axe(self) -> list[str]:
        # No details of what is well, which take long; and no style sheets fetched by axe itself
        # (an experimental rule wants them), as only the page's own requests are to be seen.
        options = {"resultTypes": ["violations"], "preload": False}
        found = Axe().run(self.page, context="article.bd-article", options=options)
        return [
            f"{rule['id']} ({rule['impact']}): {' '.join(element['target'])}:"
            f" {element['html'][:120]}"
            for rule in found.response["violations"]
            for element in rule["nodes"]
        ]

    def small_text(self) -> list[str]:
        """Visible text of less than 12 pixels."""
        return self.page.evaluate(SMALL_TEXT, 12)

    def wider_than_the_screen(self) -> list[str]:
        """What a reader would have to scroll the whole page sideways for."""
        return self.page.evaluate(WIDER_THAN_THE_SCREEN)

    def pictures(self) -> list[dict[str, Any]]:
        """Each picture that moves, walked by its slider: how high it is, and what went wrong."""
        return list(self.page.evaluate(PICTURES))

    def unreachable(self) -> list[str]:
        """What in the article can be operated, but not reached by the tabulator key."""
        stops = self.page.evaluate(STOPS)
        self.page.evaluate(BEFORE_THE_ARTICLE)
        reached = set()
        for _ in range(len(stops) + 3):
            self.page.keyboard.press("Tab")
            reached.add(self.page.evaluate("document.activeElement.dataset.stop"))
        return [html for number, html in enumerate(stops) if str(number) not in reached]


def visiting(browser: Browser) -> Iterator[Callable[..., Visit]]:
    with ExitStack() as stack:

        def visit(address: str, name: str, covered: bool = False, **options: object) -> Visit:
            page = stack.enter_context(lent(browser, address, covered, **options))
            visit = Visit(page, bool(options.get("java_script_enabled", True)))
            stack.callback(visit.leave)
            visit.go(f"{address}/{name}.html")
            return visit

        yield visit
