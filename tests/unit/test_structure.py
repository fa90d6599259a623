"""How the house stands: which module may know which."""

import ast
import sys
from pathlib import Path

import kvmexit

ROOT = Path(kvmexit.__file__).parent
OUTSIDE_CORE = ("commands", "show", "lab", "tracelint", "timing")
LONGEST = 420
"""Lines that can be read in one sitting, docstrings included."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(path: Path, *, at_load: bool) -> set[str]:
    """Modules that ``path`` imports; with ``at_load`` those that loading it imports."""
    tree = ast.parse(path.read_text())
    if at_load:
        tree.body = [node for node in tree.body if not is_typing_only(node)]
        nodes = [n for top in tree.body for n in walk_outside_functions(top)]
    else:
        nodes = list(ast.walk(tree))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= below & set(MODULES) or {node.module}
    return found


def is_typing_only(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def walk_outside_functions(node: ast.AST):
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from walk_outside_functions(child)


def test_core_needs_nothing_but_the_standard_library():
    for name, path in MODULES.items():
        if name.split(".")[1:2] and name.split(".")[1] in OUTSIDE_CORE:
            continue
        foreign = {
            module.split(".")[0]
            for module in imports(path, at_load=False)
            if module.split(".")[0] not in sys.stdlib_module_names
        } - {"kvmexit"}
        assert not foreign, f"{name} imports {foreign}"


def test_imports_have_no_circle():
    graph = {
        name: imports(path, at_load=True) & set(MODULES) - {name} for name, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_arrows_point_downward():
    """What is listed later may know what is listed earlier, never the other way round."""
    layers = ["exits", "guest", "kernel", "devices", "vmm", "experiment", "sweep"]
    for low, layer in enumerate(layers):
        for name, path in MODULES.items():
            if name.split(".")[1:2] == [layer]:
                for high in layers[low + 1 :]:
                    bad = {m for m in imports(path, at_load=False) if m == f"kvmexit.{high}"}
                    assert not bad, f"{name} ({layer}) knows {bad}"


def test_every_module_reads_in_one_sitting():
    long = {
        name: lines
        for name, path in MODULES.items()
        if (lines := len(path.read_text().splitlines())) > LONGEST
    }
    assert not long


def test_every_module_says_what_it_is():
    for name, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text())), name
