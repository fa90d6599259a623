"""How the house stands: which module may know which."""

import ast
import re
import sys
from pathlib import Path

import kvmexit

ROOT = Path(kvmexit.__file__).parent
PLAN = Path(__file__).parents[2] / "CONTRIBUTING.md"
OUTSIDE_CORE = ("commands", "show", "lab", "tracelint")
NEEDS = {"kvmexit.elsewhere.testing": {"pytest"}, "kvmexit.packet.timing": {"simpy"}}
"""What a module of the core may need besides the standard library."""
FLOORS = (
    *("exits", "guest", "kernel", "vmm", "packet", "probe", "elsewhere"),
    *("faults", "show", "lab", "commands"),
)
"""Rooms from the ground up; ``tracelint`` and ``conform`` stand beside them."""
LONGEST = 420
"""Lines that can be read in one sitting, docstrings included."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(path: Path) -> set[str]:
    """Modules that ``path`` imports, at any time, be it for types alone: a reader follows all."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= below & set(MODULES) or {node.module}
    return found


GRAPH = {name: imports(path) for name, path in MODULES.items()}


def room(name: str) -> str:
    """The package, or the module, that stands directly in ``kvmexit``."""
    return (name.split(".") + ["", ""])[1]


def test_core_needs_nothing_but_the_standard_library():
    for name, known in GRAPH.items():
        foreign = {module.split(".")[0] for module in known} - sys.stdlib_module_names
        if room(name) not in OUTSIDE_CORE:
            assert foreign <= {"kvmexit"} | NEEDS.get(name, set()), f"{name} imports {foreign}"


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The names on one circle of arrows, or none."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done or name not in graph:
            return []
        found = next(filter(None, (visit(o, [*way, name]) for o in sorted(graph[name]))), [])
        done.add(name)
        return found

    return next(filter(None, (visit(name, []) for name in graph)), [])


def test_imports_have_no_circle():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert not circle({name: known - {name} for name, known in GRAPH.items()})


def test_rooms_have_no_circle():
    rooms: dict[str, set[str]] = {}
    for name, known in GRAPH.items():
        rooms.setdefault(room(name), set()).update(room(n) for n in known if n in MODULES)
    del rooms[""]  # the library's own front page, which all may read for its version
    assert not circle({name: known - {name, ""} for name, known in rooms.items()})


def test_arrows_point_downward():
    """What stands higher may know what stands lower, never the other way round."""
    for name, known in GRAPH.items():
        if room(name) in FLOORS:
            above = FLOORS[FLOORS.index(room(name)) + 1 :]
            assert not [n for n in known if n in MODULES and room(n) in above], name


def test_at_most_three_modules_stand_beside_the_packages():
    alone = {path.stem for path in ROOT.glob("*.py")} - {"__init__", "__main__"}
    assert len(alone) <= 3, alone


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


def planned() -> set[str]:
    """Every file that the plan names: a line that ends a room's name with ``/`` opens it, and the
    words before the dash of the lines below are its modules."""
    block = PLAN.read_text().split("```")[1]
    _, _, library = block.partition("lib/kvmexit/\n")
    library = library.partition("\ntests/")[0]
    found, room = set(), ""
    for line in library.splitlines():
        words = line.split()
        if not words:
            continue
        indent = len(line) - len(line.lstrip())
        if words[0].endswith("/"):
            room = "" if indent == 2 else room
            room, words = (room.split("/")[0] + "/" if indent > 2 else "") + words[0], words[1:]
        elif indent == 2:
            room = ""
        found |= {
            room + word.strip(",") for word in words if word.strip(",").endswith((".py", ".js"))
        }
    return found


def test_the_plan_and_the_tree_name_the_same_files():
    there = {
        path.relative_to(ROOT).as_posix()
        for pattern in ("*.py", "*.js")
        for path in ROOT.rglob(pattern)
        if path.name != "__init__.py"
    }
    assert planned() - there == set(), "the plan in CONTRIBUTING.md names what is not there"
    assert there - planned() == set(), "the plan in CONTRIBUTING.md does not name these"


def test_no_name_of_a_face_is_that_of_a_module_behind_it():
    """Whoever has loaded the module first would get it in the place of the name."""
    for stub in ROOT.glob("*/__init__.pyi"):
        names = {
            alias.asname or alias.name
            for node in ast.parse(stub.read_text()).body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        modules = {path.stem for path in stub.parent.glob("*.py")}
        modules |= {path.parent.name for path in stub.parent.glob("*/__init__.py")}
        assert not names & modules, stub.parent.name


def test_the_plan_names_the_tools_the_site_and_the_tests():
    book, _, rest = PLAN.read_text().split("```")[1].partition("lib/kvmexit/\n")
    root, named = PLAN.parent, set(re.findall(r"[\w.]+", book))
    files = [
        *(root / "book" / "tools").glob("*.py"),
        *(root / "book" / "site" / "live").glob("*.js"),
    ]
    assert {path.name for path in files} <= named
    assert {path.stem for path in (root / "book" / "site").glob("*.py")} <= {
        word.removesuffix(".py") for word in named
    }
    folders = {path.parent.name for path in (root / "tests").glob("*/*.py")}
    assert folders == set(re.findall(r"(\w+)/", rest.partition("\ntests/")[2]))
