"""How an open page looks to readers who do not look as most do: in colours that they have forced,
on a very narrow screen, on paper."""

from collections.abc import Iterator
from contextlib import contextmanager

from patience import draws
from playwright.sync_api import Page
from visits import Visit

NARROW = 320
SHEET = {"width": 673, "height": 1002}
"""Pixels of a sheet of A4 between its margins (book/site/static/paper.css)."""

FAINT = """(least) => {
  const rgb = (text) => (text.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const paper = new Map();  // what lies behind an element
  const behind = (el) => {
    if (!el) return [255, 255, 255];
    if (!paper.has(el)) {
      const own = rgb(getComputedStyle(el).backgroundColor);
      paper.set(el, own.length < 4 || own[3] === 1 ? own : behind(el.parentElement));
    }
    return paper.get(el);
  };
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), el = walker.currentNode.parentElement;
    if (!text || !el.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    if (el.closest("script, style, noscript, :disabled")) continue;
    const style = getComputedStyle(el);
    const ink = rgb(el instanceof SVGElement ? style.fill : style.color);
    const [high, low] = [light(ink), light(behind(el))].sort((a, b) => b - a);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < least) found.push(`${contrast.toFixed(1)}: ${text.slice(0, 40)}`);
  }
  return found;
}"""

UNFRAMED = """() => [...document.querySelectorAll(
    ".cell_input, .admonition, .kvmexit-predict, article table.table td, details.sd-dropdown")]
  .filter((el) => el.checkVisibility()
    && !["Left", "Top", "Bottom"].some((side) =>
      parseFloat(getComputedStyle(el)[`border${side}Width`]) > 0
      && getComputedStyle(el)[`border${side}Style`] !== "none"))
  .map((el) => el.outerHTML.slice(0, 90))"""

MISSING_ON_PAPER = """() => {
  const gone = [], shown = (el) => el.checkVisibility() && el.getBoundingClientRect().height > 4;
  if (!shown(document.querySelector("article h1"))) gone.push("the heading of the page");
  for (const fold of document.querySelectorAll("article details:not(.kx *)")) {
    const inner = [...fold.children].filter((el) => el.tagName !== "SUMMARY");
    if (!inner.some(shown)) gone.push(fold.outerHTML.slice(0, 90));
  }
  for (const part of document.querySelectorAll("article :is(.solution, .kvmexit-film, pre)"))
    if (!shown(part) && part.checkVisibility()) gone.push(part.outerHTML.slice(0, 90));
  return gone;
}"""

CUT_ON_PAPER = """(tall) => [...document.querySelectorAll(
    "article :is(.kvmexit-film, .kvmexit-predict, .kvmexit-figure, .cell_input)")]
  .filter((el) => el.checkVisibility() && el.textContent.split("\\n").length < 60)
  .filter((el) => getComputedStyle(el).breakInside !== "avoid"
    || el.getBoundingClientRect().height > tall)
  .map((el) => `${el.getBoundingClientRect().height} px: ${el.outerHTML.slice(0, 90)}`)"""


@contextmanager
def _sized(page: Page, width: int, height: int) -> Iterator[None]:
    before = page.viewport_size
    page.set_viewport_size({"width": width, "height": height})
    yield
    if before:
        page.set_viewport_size(before)


def too_wide_at_320(visit: Visit) -> list[str]:
    """What does not fit the narrowest screen, or a page seen at 400 %."""
    with _sized(visit.page, NARROW, 700):
        return visit.wider_than_the_screen()


def faint_in_forced_colours(visit: Visit) -> list[str]:
    """Text that does not stand out, and boxes that have lost their frame; on black, in CI on
    white as well."""
    found: list[str] = []
    for scheme in ("dark", "light")[: draws(1, in_ci=2)]:
        visit.page.emulate_media(forced_colors="active", color_scheme=scheme)
        found += visit.page.evaluate(FAINT, 4.5)
    found += visit.page.evaluate(UNFRAMED)
    visit.page.emulate_media(forced_colors="none", color_scheme="light")
    return found


def wrong_on_paper(visit: Visit) -> list[str]:
    """What a sheet of paper does not show, or cuts in two."""
    visit.page.emulate_media(media="print")
    with _sized(visit.page, **SHEET):
        found = visit.page.evaluate(MISSING_ON_PAPER)
        found += visit.page.evaluate(CUT_ON_PAPER, SHEET["height"])
    visit.page.emulate_media(media="screen")
    return found
