"""The checkers of style and types have nothing to say; where one is silenced, it says why; and no
name is defined that nothing uses."""

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = {".py", ".pyi", ".js", ".css", ".sh", ".c", ".html"}
SILENCED = re.compile(
    r"(?:#|//|/\*) *(?:type: ?ignore|noqa|pragma: ?no|(?:mypy|pyright|ruff):|nosec|@ts-"
    r"|(?:eslint|stylelint|biome|prettier)-|shellcheck disable)"
    r"[-:=, \w]*?(?:\[[-, \w]*\])?(?= *(?:#|\*/|$)| --? )"
)
"""What silences a checker, without a reason. A layout that is kept (``fmt: skip``) is its own."""


@pytest.mark.parametrize("check", ["ruff check", "ruff format --check", "mypy"])
def test_nothing_to_say(check: str) -> None:
    command = [sys.executable, "-m", *check.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def without_a_reason(text: str) -> list[str]:
    """Lines that silence a checker and say why neither behind that nor in a comment above."""
    found, above = [], ""
    for line in map(str.strip, text.splitlines()):
        if mark := SILENCED.search(line):
            behind, comment = line[mark.end() :], re.sub(SILENCED, "", above)
            said = behind + (comment if above.startswith(("#", "//", "/*")) else "")
            if not re.search(r"\w \w", said):
                found.append(line)
        above = line
    return found


def test_a_silence_without_a_reason_is_found() -> None:
    for mark in ("# type: ignore[misc]", "# noqa: F401, E402", "# shellcheck disable=SC2086"):
        line = f"x = 1  {mark}"
        assert without_a_reason(line) == [line] == without_a_reason(f"a = b + c\n{line}")
        assert without_a_reason(f"{line}\n{line}") == [line, line]
        assert not without_a_reason(f"{line}  # the class has no types")
        assert not without_a_reason(f"# The class has no types.\n{line}")


def test_where_a_checker_is_silenced_it_says_why() -> None:
    files = [path for top in ("lib", "tests", "book") for path in (ROOT / top).rglob("*")]
    seen, silent = 0, {}
    for path in files:
        name = path.relative_to(ROOT)
        hidden = any(part.startswith(".") or part == "node_modules" for part in name.parts)
        if path.suffix in CODE and not hidden and path != Path(__file__).resolve():
            seen += 1
            if lines := without_a_reason(path.read_text()):
                silent[str(name)] = lines
    assert seen > 400 and not silent


READ = CODE | {".md", ".ipynb", ".toml"}
CALLED_BY_OTHERS = {
    "CustomBuildHook": "hatchling",
    "CustomMetadataHook": "hatchling",
    "OwnVmm": "kvmexit conform, which takes the one adapter of a file",
    "create_module": "Python's importer",
    "exec_module": "Python's importer",
    "from_filename": "nbgrader",
    "initialize": "hatchling",
    "send_error": "http.server",
}
"""Names that stand once in this repository, and who asks for them."""


def defined(text: str) -> set[str]:
    """What a file defines by name: functions, classes, constants. What is decorated, or a test, is
    found without its name."""
    tree = ast.parse(text)
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found |= set() if node.decorator_list else {node.name}
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {one.id for one in targets if isinstance(one, ast.Name)}
    return {name for name in found if not re.match(r"test_|pytest_|__", name)}


def code_in(path: Path) -> str:
    """What a file says; of a notebook the code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def test_no_name_stands_only_where_it_is_defined() -> None:
    texts = {
        path: code_in(path)
        for top in ("lib", "tests", "book")
        for path in (ROOT / top).rglob("*")
        if path.suffix in READ and path != Path(__file__).resolve()
        if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    }
    words = Counter(word for text in texts.values() for word in re.findall(r"\w+", text))
    names = {name for path, text in texts.items() if path.suffix == ".py" for name in defined(text)}
    alone = {name for name in names if words[name] == 1}
    assert len(names) > 2500 and alone == CALLED_BY_OTHERS.keys(), alone ^ CALLED_BY_OTHERS.keys()
