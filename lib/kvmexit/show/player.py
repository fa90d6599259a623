"""The players of films, questions, pictures and the map of the atlas: ES modules in ``film/``,
``ask/``, ``moving/`` and ``atlas/``, and how the parts of each become one. They share what they
need, so no two parts have one name.

A page opened from a file may not import a module, and a widget's script is one text. So the parts
are joined: one behind the other, each behind all that it imports, without the imports. That needs
no bundler, because the parts keep six rules:

1.  An import is ``import { names } from "./part.js";`` and renames nothing.
2.  An export is ``export`` before a function, a class or a const, and is never assigned again;
    the main part alone ends with ``export default``.
3.  Imports have no circle.
4.  Parts that are joined share no name at their top, exported or not: there is one scope. What is
    declared there stands on the line that its ``const``, ``function`` or ``class`` begins.
5.  A const in capitals that is a number is written where its name stands, so that name stands in
    no template's text.
6.  No template stands in a template, and no regular expression has a space or a quote in it:
    the joined module is made lean by :func:`lean`, which knows neither.

Unjoined, as :func:`parts` gives them, they run as they are: ``<script type="module">`` loads
them, and so does Node. ``vocabulary.js`` is no file; it is what :mod:`kvmexit.show.vocabulary`
says, a constant a line, of which a joined module has those that it uses.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from kvmexit.show.vocabulary import for_player

FOLDERS = [Path(__file__).with_name(name) for name in ("film", "ask", "atlas", "moving")]
MAINS = ("film.js", "asking.js", "player.js", "night.js", "atlas.js", "picture.js", "question.js")
"""Parts that stand on their own; a page loads those that it needs. ``film.js`` plays films of which
none is small or veiled, ``asking.js`` those that are veiled and small, ``player.js`` all."""
IMPORT = re.compile(r'^import \{([\w\s,]*)\} from "\./([\w-]+\.js)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) (\w+))", re.MULTILINE)
DEFAULT = re.compile(r"^export default\b", re.MULTILINE)
TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|(?<=\s)//[^\n]*)|(?P<space>\s+)|(?P<word>[\w$]+)"""
    r"""|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`|.""",
    re.DOTALL,
)
TOP = re.compile(
    r"^(?:export )?(?:(?:async )?(?:function\*?|class) (\w+)|(?:const|let|var) (.*))", re.MULTILINE
)
CAPITALS = re.compile(r"(?<![.\w])[A-Z_]+\b(?!:)")
NEXT = re.compile(r", (\w+) = ")
NUMBERS = re.compile(r"^const ((?:[A-Z_]+ = [\da-fx.]+(?:, )?)+);.*\n", re.MULTILINE)
CONSTANT = re.compile(r"^const (\w+) = .*;\n", re.MULTILINE)
SHEET = re.compile(r"(?<=[`{};,])\n\s*|;?\n\s*(?=\})|;(?=\})")
WORDY = re.compile(r"[\w$]")
OTHER = re.compile(r"^[ \t]*(?:import|export)\b.*", re.MULTILINE)


def parts() -> dict[str, str]:
    """Each part by the name of its file: an ES module that imports its neighbours."""
    paths = [path for folder in FOLDERS for path in sorted(folder.glob("*.js"))]
    found = {path.name: path.read_text(encoding="utf-8") for path in paths}
    said = {
        name: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for name, value in for_player().items()
    }
    vocabulary = "".join(f"export const {name} = {value};\n" for name, value in said.items())
    return {**found, "vocabulary.js": vocabulary}


@cache
def module(main: str = "film.js") -> str:
    """A player, one of ``MAINS``, as one ES module, which imports nothing."""
    return lean(join(parts(), main))


def lean(source: str) -> str:
    """Without comments and without space that means nothing: nobody reads the joined module, and
    every page loads it. A line's end stays where a statement may end there. A template that begins
    with one is a style sheet, and loses those of its lines."""
    kept: list[str] = []
    space = ""
    for token in TOKEN.finditer(source):
        text = token.group()
        if text.startswith("`\n"):
            text = SHEET.sub("", text)
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

    ValueError, with the part and the rule, where a part breaks one. A constant of one line that
    nobody uses is left out.
    """
    needed = order(sources, main)
    homes: dict[str, str] = {}
    for name in needed:
        for own in sorted(names(sources[name])):
            if homes.setdefault(own, name) != name:
                raise ValueError(f"{homes[own]} and {name} both declare {own} at their top")
    if len(DEFAULT.findall(sources[main])) != 1:
        raise ValueError(f"{main} needs one `export default`")
    joined = "\n".join(_body(sources, name, default=name == main) for name in needed)
    joined = with_numbers(joined)
    words = Counter(re.findall(r"\w+", joined))
    return CONSTANT.sub(lambda one: one[0] if words[one[1]] > 1 else "", joined)


def with_numbers(joined: str) -> str:
    """The same with each constant that is a number written where its name stood."""
    known = dict(re.findall(r"(\w+) = ([^,]+)", ", ".join(NUMBERS.findall(joined))))

    def put(token: re.Match[str]) -> str:
        text = token[0]
        if text.startswith("`"):
            return CAPITALS.sub(lambda one: known.get(one[0], one[0]), text)
        before, after = token.string[: token.start()][-1:], token.string[token.end() :][:1]
        return text if before == "." or after == ":" else known.get(text, text)

    return TOKEN.sub(put, NUMBERS.sub("", joined))


def names(source: str) -> set[str]:
    """What a part declares at its top."""
    found: set[str] = set()
    for one, several in TOP.findall(source):
        first, _, rest = several.partition(" =")
        found.update([one] if one else [*re.findall(r"\w+", first), *NEXT.findall(rest)])
    return found


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
    """A part without its imports, whose names are declared by the parts before it."""
    for wanted, home in IMPORT.findall(sources[name]):
        missing = set(re.findall(r"\w+", wanted)) - set(_exports(sources[home]))
        if missing:
            raise ValueError(f"{name} imports what {home} does not export: {sorted(missing)}")
    body = IMPORT.sub("", EXPORT.sub("", sources[name]))
    left = [line for line in OTHER.findall(body) if not (default and DEFAULT.match(line))]
    if left:
        raise ValueError(f"{name} breaks a rule of kvmexit.show.player: {left[0].strip()}")
    return body
