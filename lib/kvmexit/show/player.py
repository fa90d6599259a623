"""The player of films: ES modules in ``film/``, and how they become one.

A page opened from a file may not import a module, and a widget's script is one text. So the parts
are joined: each becomes a function that is called once and returns what the part exports, behind
all parts that it imports. That needs no bundler, because the parts keep four rules:

1.  An import is ``import { names } from "./part.js";`` and renames nothing.
2.  An export is ``export`` before a function, a class or a const, and is never assigned again;
    the main part alone ends with ``export default``.
3.  Imports have no circle.
4.  No template stands in a template, and no regular expression has a space or a quote in it:
    the joined module is made lean by :func:`lean`, which knows neither.

Unjoined, as :func:`parts` gives them, they run as they are: ``<script type="module">`` loads
them, and so does Node. ``vocabulary.js`` is no file; it is what :mod:`kvmexit.show.vocabulary`
says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from kvmexit.show.vocabulary import for_player

FOLDER = Path(__file__).with_name("film")
MAIN = "film.js"
MAINS = (MAIN, "night.js")
"""Parts that stand on their own in a page; a page loads those that it needs."""
IMPORT = re.compile(r'^import \{([\w\s,]*)\} from "\./([\w-]+\.js)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)
DEFAULT = re.compile(r"^export default\b", re.MULTILINE)
TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|(?<=\s)//[^\n]*)|(?P<space>\s+)|(?P<word>[\w$]+)"""
    r"""|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|.""",
    re.DOTALL,
)
WORDY = re.compile(r"[\w$]")
OTHER = re.compile(r"^[ \t]*(?:import|export)\b.*", re.MULTILINE)


def parts() -> dict[str, str]:
    """Each part by the name of its file: an ES module that imports its neighbours."""
    found = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.js"))}
    words = json.dumps(for_player(), ensure_ascii=False, separators=(",", ":"))
    return {**found, "vocabulary.js": f"export const VOCABULARY = {words};\n"}


@cache
def module(main: str = MAIN) -> str:
    """The player, or another of ``MAINS``, as one ES module, which imports nothing."""
    return lean(join(parts(), main))


def lean(source: str) -> str:
    """Without comments and without space that means nothing: nobody reads the joined module, and
    every page loads it. A line's end stays where a statement may end there."""
    kept: list[str] = []
    space = ""
    for token in TOKEN.finditer(source):
        text = token.group()
        if token.lastgroup == "comment":
            continue
        if token.lastgroup == "space":
            space = "\n" if "\n" in text + space else " "
            continue
        last = kept[-1][-1] if kept else ""
        if space == "\n" and last not in "{,([=&|?:" and text[0] not in "}.,?:&|)]":
            kept.append("\n")
        elif space and (WORDY.match(last) and WORDY.match(text) or last + text[0] in ("++", "--")):
            kept.append(" ")
        kept.append(text)
        space = ""
    return "".join(kept)


def join(sources: Mapping[str, str], main: str) -> str:
    """``main`` and all that it imports, as one ES module with the default export of ``main``.

    ValueError, with the part and the rule, where a part breaks one.
    """
    *below, _ = order(sources, main)
    wrapped = [
        f'part["{name}"] = (() => {{\n{_body(sources, name)}'
        f"return {{ {', '.join(_exports(sources[name]))} }};\n}})();\n"
        for name in below
    ]
    if len(DEFAULT.findall(sources[main])) != 1:
        raise ValueError(f"{main} needs one `export default`")
    return "\n".join(["const part = {};\n", *wrapped, _body(sources, main, default=True)])


def order(sources: Mapping[str, str], main: str) -> list[str]:
    """The parts that ``main`` needs, each behind all that it imports, itself the last."""
    done: list[str] = []

    def visit(name: str, way: tuple[str, ...]) -> None:
        if name in way:
            raise ValueError(f"imports in a circle: {' → '.join([*way, name])}")
        if name not in sources:
            raise ValueError(f"{way[-1] if way else 'the player'} needs {name}, which is no part")
        if name not in done:
            for _, home in IMPORT.findall(sources[name]):
                visit(home, (*way, name))
            done.append(name)

    visit(main, ())
    return done


def _exports(source: str) -> list[str]:
    return EXPORT.findall(source)


def _body(sources: Mapping[str, str], name: str, default: bool = False) -> str:
    """A part whose imports are looked up among the parts before it."""
    for wanted, home in IMPORT.findall(sources[name]):
        missing = set(re.findall(r"\w+", wanted)) - set(_exports(sources[home]))
        if missing:
            raise ValueError(f"{name} imports what {home} does not export: {sorted(missing)}")
    body = IMPORT.sub(r'const {\1} = part["\2"];', EXPORT.sub("", sources[name]))
    left = [line for line in OTHER.findall(body) if not (default and DEFAULT.match(line))]
    if left:
        raise ValueError(f"{name} breaks a rule of kvmexit.show.player: {left[0].strip()}")
    return body
