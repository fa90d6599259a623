"""A Sphinx extension that keeps the pages light: a reader loads what the page uses.

1.  Maths becomes MathML while building: browsers draw it, so no page loads a script for it.
    A formula of letters, indices and powers becomes text instead: where no font for maths is
    installed, as on many telephones, MathML puts its indices on the line.
2.  The film's player, and what else moves, is joined from its parts to one ES module
    (kvmexit/show/player.py), written for anywidget's ``render({model, el})``. A page opened from
    a file may not load a module, so here it becomes a classic script, with `host.js` in the place
    of a widget manager, and loses its long names (`with_short_names`). Only pages that hold what
    it plays load it.
3.  The theme draws its icons by a script of 543 kB (compressed). `static/scripts/` shadows
    it with an empty one, and the icon font that its style sheet falls back to is cut down
    to the glyphs in use; a glyph not among them makes the browser load the whole font.
4.  Style sheets of others lose the rules that match nothing here (`thin.py`).
"""

import re
from pathlib import Path
from typing import Any

import latex2mathml.converter
from docutils import nodes
from fontTools import subset
from fontTools.ttLib import TTFont
from kvmexit.show.player import MAINS, module
from sphinx.application import Sphinx
from sphinx.util import logging
from thin import thin_out

try:
    from minify import string as minified
except ImportError:
    minified = None

HERE = Path(__file__).resolve().parent


SIGNS = {r"\dots": "…", "-": "−", "=": " = ", ",": ", ", "<": " &lt; ", ">": " &gt; "}
PARTS = re.compile(r"([_^])(?:\{([^{}]*)\}|(\w))|([A-Za-z])|(\\dots|[-=,<>])|([\d./()]+)|\s+")


def formula(tex: str) -> str | None:
    """A formula of letters, numbers, indices and powers as HTML; None if it has more in it."""
    out, at = "", 0
    while at < len(tex):
        if not (part := PARTS.match(tex, at)):
            return None
        shift, braced, single, letter, sign, digits = part.groups()
        if shift:
            if (inner := formula(braced or single)) is None:
                return None
            tag = "sub" if shift == "_" else "sup"
            out += f"<{tag}>{inner}</{tag}>"
        elif letter:
            out += f"<i>{letter}</i>"
        elif sign == "-" and out[-1:] not in ("", "(", " "):
            out += " − "  # between two terms, not before one
        else:
            out += SIGNS[sign] if sign else digits or ""
        at = part.end()
    return out


def mathml(translator: Any, node: nodes.Element) -> None:
    """One formula: a small one in a line as text, any other as MathML."""
    tex = node.astext()
    if isinstance(node, nodes.math_block):
        translator.body.append(latex2mathml.converter.convert(tex, display="block"))
    elif text := formula(tex):
        translator.body.append(f'<span class="formula">{text}</span>')
    else:
        translator.body.append(latex2mathml.converter.convert(tex, display="inline"))
    raise nodes.SkipNode


def mark_of(script: str) -> str:
    """The class of what a script plays: ``kvmexit-film`` for ``film.js``."""
    return f"kvmexit-{Path(script).stem}"


def played(html: str) -> list[str]:
    """The scripts that a page needs for what it holds."""
    found = [script for script in MAINS if re.search(rf'class="{mark_of(script)}[" ]', html)]
    films = [set(kinds.split()) for kinds in re.findall(r'class="kvmexit-film\b([^"]*)"', html)]
    if any({"small", "veiled"} & kinds for kinds in films):
        found = [script for script in found if script != "film.js"]
        asks = all({"small", "veiled"} <= kinds for kinds in films)
        found.append("asking.js" if asks else "player.js")
    return found


def with_short_names(script: str) -> str:
    """The script with short names for what nobody outside can name, and nothing to spare.

    Where the minifier has no build (it has none for Macs with Apple's processors), the script
    stays as it is: it does the same.
    """
    return minified("application/javascript", script) if minified else script


def classic_script(player: str, host: str) -> str:
    """An ES module and the host that runs it, as one classic script.

    ValueError if the module imports anything, or exports otherwise than by declarations and
    one ``export default``.
    """
    if re.search(r"^\s*import\b", player, re.MULTILINE):
        raise ValueError("a page opened from a file cannot import: keep the module in one file")
    body, defaults = re.subn(r"^export default\b", "const player =", player, flags=re.MULTILINE)
    body = re.sub(r"^export (?=(async )?(function|const|let|class)\b)", "", body, flags=re.M)
    if defaults != 1 or re.search(r"^export\b", body, re.MULTILINE):
        raise ValueError("the module needs one `export default` and no list of exports")
    return with_short_names(f'(() => {{\n"use strict";\n{body}\n{host}}})();\n')


def icons(static: Path, pages: Path) -> set[int]:
    """The code points of the icons that the pages, the theme's scripts and styles ask for."""
    style = (static / "styles" / "pydata-sphinx-theme.css").read_text()
    sources = [*pages.rglob("*.html"), *static.glob("scripts/*theme.js")]
    names = {name for path in sources for name in re.findall(r"\bfa-[a-z-]+", path.read_text())}
    drawn = re.findall(r'([^{}]*)\{(?:--fa|content):"\\(f[0-9a-f]{3})', style)
    by_name = {
        int(code, 16)
        for selectors, code in drawn
        if names & set(re.findall(r"\.(fa-[a-z-]+)", selectors))
    }
    by_style = {ord(glyph) for glyph in re.findall(r'--pst-icon-[a-z-]+:"(.)"', style)}
    return by_name | by_style


def write_icon_font(static: Path, pages: Path) -> None:
    """Cut the theme's icon font down to the icons in use, in a file that book.css names."""
    whole = static / "vendor/fontawesome/webfonts/fa-solid-900.ttf"
    with TTFont(whole, recalcTimestamp=False) as font:  # the same bytes at each build
        cutter = subset.Subsetter(subset.Options(layout_features=[], hinting=False))
        cutter.populate(unicodes=icons(static, pages))
        cutter.subset(font)
        font.flavor = "woff"
        font.save(static / "icons.woff")


SPY = 'data-bs-spy="scroll" data-bs-target=".bd-toc-nav"'


def aim(text: str) -> str:
    """A page whose theme marks where the reader is in the page's contents, and in no other link.

    The theme names a target that no page has. Its script then takes all links of the page for
    contents, and fails at an address such as ``#atlas=in-al-dx.1``, which is no selector.
    """
    contents = "pst-page-toc-nav"
    there = f'id="{contents}"' in text
    return text.replace(SPY, f'data-bs-spy="scroll" data-bs-target="#{contents}"' if there else "")


def finish(app: Sphinx, error: Exception | None) -> None:
    """Write what the pages load: classic scripts of what moves, and the icon font."""
    if error is None and app.builder.format == "html":
        pages = Path(app.outdir)
        write_icon_font(pages / "_static", pages)
        host, held = (HERE / "host.js").read_text(), set()
        for page in pages.rglob("*.html"):
            text = page.read_text()
            held.update(played(text))
            if (aimed := aim(text)) != text:
                page.write_text(aimed)
        for name in held:
            script = classic_script(module(name), host)
            (pages / "_static" / name).write_text(script)
        thin_out(pages / "_static", pages)


def load_players(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Load a script on pages that hold what it plays, and on no other."""
    for script in played(context.get("body", "")):
        app.add_js_file(script, loading_method="defer")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    if minified is None:
        logging.getLogger(__name__).info("no tdewolff-minify here: the scripts keep their names")
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
    app.config["html_math_renderer"] = "mathml"
    app.connect("html-page-context", load_players)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
