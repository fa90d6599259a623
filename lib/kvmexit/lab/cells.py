"""From a notebook's cell, or a script, to Python: without IPython, and without its magics.

What Python accepts is left alone. Otherwise the beginnings of statements are looked at, as
IPython does it (``IPython.core.inputtransformer2``), so that a ``%`` at the beginning of a line
that goes on from the one before stays an operator.
"""

from __future__ import annotations

import ast
import re
import warnings

RUNS_PYTHON = ("%%time", "%%capture", "%%prun")
"""Cell magics under which the cell is run, here, and its names are kept."""
_LINE_RUNS = re.compile(r"%(?:time|prun)\s+(?!-)(?P<python>.+)", re.DOTALL)
_ASSIGNED = re.compile(r"(?P<names>[^=!%\n]*?[^=!<>%\n])=\s*(?P<what>[%!].*)", re.DOTALL)
_HELP = re.compile(r"(?:%{0,2}[\w.*:]+(?:\[[^\]]*\])*)\?\??\s*;?|\?\??\s*\S.*", re.DOTALL)
_PROMPT = re.compile(r"^(?:>>> ?|In \[\d+\]: )")
_MORE = re.compile(r"^(?:\.\.\. ?| *\.\.\.+: ?|(?:>>> ?|In \[\d+\]: ))")
_SPLIT = re.compile(r"^#\s*(?:%%|In\s*\[[\d ]*\]|COMMAND -+|<codecell>).*$", re.MULTILINE)
_ALONE = re.compile(
    r"(?:alias|autoreload|cat|cd|clear|colors|conda|config|cp|debug|env|history|less|ll|load|load_ext"
    r"|ls|mamba|man|matplotlib|mkdir|more|mv|pdb|pip|prun|pwd|reload_ext|reset|rm|rmdir|run|save"
    r"|store|system|time|timeit|uv|who|whos|xmode)(?:\s+(?![^\w\s]{0,3}=|\().*)?"
)
"""In a cell of one line a magic needs no sign."""
QUOTES = ("'", '"', "'''", '"""')
_MARKS = re.compile(r"\\.|'''|\"\"\"|['\"#()\[\]{}]")
SAYS = "__said_by_a_magic__"
"""Stands for the value of a magic; the student's process knows it."""


def plain(source: str) -> str:
    """Python without IPython's magics: a line of them becomes ``pass``, or what it would run."""
    source = source.replace("\r\n", "\n").removeprefix("\ufeff")
    if _ALONE.fullmatch(source.strip()):
        source = f"%{source.strip()}"
    if parses(source):
        return _from_calls(source) if "get_ipython().run_" in source else source
    source = source.replace("\r", "\n")
    first, _, rest = source.lstrip().partition("\n")
    if first.startswith("%%"):
        words = first.split()
        return plain(f"\n{rest}") if words[0] in RUNS_PYTHON else ""
    for change in (_dedented, _without_prompts):
        source = change(source)
        if parses(source):
            return source
    return _without_magics(source)


def script(source: str) -> list[str]:
    """The cells of a Python file: one, or as many as its marks of an exported notebook tell."""
    source = source.replace("\r\n", "\n").removeprefix("\ufeff")
    inside = _in_texts(source)
    marks = [at for at in (found.start() for found in _SPLIT.finditer(source)) if at not in inside]
    bounds = [0, *marks, len(source)]
    return [plain(source[a:b]) for a, b in zip(bounds, bounds[1:]) if source[a:b].strip()]


def _in_texts(source: str) -> set[int]:
    """Where lines begin that are inside of a text of several lines."""
    inside: set[int] = set()
    open_: list[str] = []
    at = 0
    for line in source.split("\n"):
        if open_ and open_[-1] in QUOTES[2:]:
            inside.add(at)
        _read_on(line, open_)
        at += len(line) + 1
    return set() if open_ else inside  # what is never closed may be no text at all


def parses(source: str) -> bool:
    """Is it Python, at the top of a notebook's cell, where ``await`` may stand?"""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return False
    return True


def _from_calls(source: str) -> str:
    """With the Python that a magic runs in the place of that magic, which stands there as a call:
    so an exported notebook has it."""
    lines = source.split("\n")
    for node in reversed(ast.parse(source).body):
        match node:
            case ast.Expr(ast.Call(ast.Attribute(_, "run_cell_magic"), [*parts])):
                form = "%%{} {}\n{}"
            case ast.Expr(ast.Call(ast.Attribute(_, "run_line_magic"), [*parts])):
                form = "%{} {}"
            case _:
                continue
        own = slice(node.lineno - 1, node.end_lineno)
        texts = [part.value for part in parts if isinstance(part, ast.Constant)]
        is_alone = ast.get_source_segment(source, node) == "\n".join(lines[own]).strip()
        if is_alone and len(texts) == len(parts) == form.count("{"):
            lines[own] = [plain(form.format(*texts))]
    return "\n".join(lines)


def _dedented(source: str) -> str:
    """Without the indent of the first line, where a whole cell is indented."""
    lines = source.split("\n")
    first = next((line for line in lines if line.strip()), "")
    space = first[: len(first) - len(first.lstrip())]
    return "\n".join(line.removeprefix(space) for line in lines) if space else source


def _without_prompts(source: str) -> str:
    lines = source.split("\n")
    if not any(_PROMPT.match(line) for line in lines[:2]):
        return source
    return "\n".join(_MORE.sub("", line, count=1) for line in lines)


def _without_magics(source: str) -> str:
    lines = source.split("\n")
    kept: list[str] = []
    open_: list[str] = []  # the brackets and the quotes that stand open above
    number = 0
    while number < len(lines):
        last = number
        while _goes_on(lines[last], open_) and last + 1 < len(lines):
            last += 1
        line = " ".join([*(one[:-1] for one in lines[number:last]), lines[last]])
        replaced = None if open_ else _replaced(line)
        if replaced is None:
            for one in lines[number : last + 1]:
                _read_on(one, open_)
        kept += lines[number : last + 1] if replaced is None else [replaced]
        kept += [] if replaced is None else [""] * (last - number)
        number = last + 1
    return "\n".join(kept)


def _goes_on(line: str, open_: list[str]) -> bool:
    """Does the next line belong to it? A comment ends with its line, whatever it ends with."""
    return line.endswith("\\") and not _read_on(line, [*open_])


def _read_on(line: str, open_: list[str]) -> bool:
    """Note what ``line`` opens and closes. Does it end in a comment?"""
    for found in _MARKS.finditer(line):
        mark = found[0]
        if open_ and open_[-1] in QUOTES:
            if mark == open_[-1]:
                open_.pop()
        elif mark == "#":
            return True
        elif mark in QUOTES or mark in "([{":
            open_.append(mark)
        elif mark in ")]}" and open_:
            open_.pop()
    if open_ and open_[-1] in QUOTES[:2] and not line.endswith("\\"):
        open_.pop()  # a text of one line that is never closed: no Python anyway
    return False


def _replaced(line: str) -> str | None:
    """What stands in Python for a line that only IPython knows; None if it is no such line."""
    text = line.strip()
    indent = line[: len(line) - len(line.lstrip())]
    if (runs := _LINE_RUNS.fullmatch(text)) and parses(runs["python"]):
        return indent + runs["python"]
    if text[:1] in ("%", "!", "?", ",", ";", "/") or _HELP.fullmatch(text):
        return f"{indent}pass"  # Python has no statement that begins or ends so
    if (assigned := _ASSIGNED.fullmatch(text)) and parses(f"{assigned['names']} = 0"):
        runs = _LINE_RUNS.fullmatch(assigned["what"])
        if runs and parses(timed := f"{assigned['names']} = {runs['python']}"):
            return indent + timed
        names = _one_by_one(assigned["names"].strip())
        return f"{indent}{names} = {SAYS}({assigned['what'].split()[0]!r})"
    return None


def _one_by_one(names: str) -> str:
    """``a, *b`` as ``a = b``: how many lines a command has given nobody knows."""
    if "," not in names:
        return names
    every = ast.walk(ast.parse(f"{names} = 0"))
    own = [node for node in every if isinstance(getattr(node, "ctx", None), ast.Store)]
    single = ast.Name | ast.Attribute | ast.Subscript
    return " = ".join(ast.unparse(node) for node in own if isinstance(node, single))
