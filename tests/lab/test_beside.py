"""An answer is not lost by what stands beside it in a cell: imports that nobody uses, and magics.

All of a kind are loaded by one process of a student, each with a function of its own behind it.
What a cell means is IPython's to say, and is asked there.
"""

import ast
import random
import textwrap
from collections.abc import Iterable

from beside import ALONE, IMPORTS, MAGICS, PYTHON, WHOLE
from IPython.core.inputtransformer2 import TransformerManager
from kvmexit.lab.cells import SAYS, parses, plain
from kvmexit.lab.starting import spawn
from patience import SEED, draws

IPYTHON = TransformerManager()


def lost(before: Iterable[str]) -> dict[str, str]:
    """Which of these cost the function that follows in the same cell, and what is said of it."""
    texts = list(before)
    cells = [plain(f"{text}\ndef f{n}(): return {n}") for n, text in enumerate(texts)]
    with spawn(cells) as player:
        return {
            text: "; ".join(player.problems)
            for n, text in enumerate(texts)
            if f"f{n}" not in player.names or player.call(f"f{n}") != n
        }


def test_an_import_that_nobody_uses_costs_nothing() -> None:
    """Whatever it is: each module of Python, some of this library, of others, of one's own."""
    assert not lost(IMPORTS.values())


def test_a_magic_costs_nothing() -> None:
    assert all(parses(IPYTHON.transform_cell(text)) for text in MAGICS.values())
    assert not lost(MAGICS.values())


def defined(source: str) -> set[str]:
    """The names that a cell sets, at whatever depth."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    every = list(ast.walk(compile(source, "cell", "exec", flags)))
    made = ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef
    named = {node.name for node in every if isinstance(node, made)}
    stored = [n for n in every if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return named | {node.id for node in stored}


def mixed(dice: random.Random) -> str:
    """A cell of Python and magics, some of them in a block, perhaps indented as a whole."""
    pieces = dice.choices((*PYTHON, *MAGICS.values()), k=dice.randrange(1, 6))
    inside = [
        piece for piece in dice.choices(pieces, k=2) if "'''" not in piece and '"""' not in piece
    ]
    pieces.append(textwrap.indent("\n".join(["if True:", *inside, "pass"]), "    ")[4:])
    cell = "\n".join([*pieces, "last = 1"])
    return textwrap.indent(cell, "  ") if dice.random() < 0.1 else cell


def test_what_ipython_takes_is_taken_and_sets_the_same_names() -> None:
    """But for what it times itself: that is run here."""
    dice = random.Random(SEED)
    taken = 0
    for _ in range(draws(150, in_ci=3_000)):
        cell = mixed(dice)
        try:
            theirs = IPYTHON.transform_cell(cell)
        except SyntaxError:
            continue
        if not parses(theirs):
            continue
        taken += 1
        assert parses(ours := plain(cell)), (SEED, cell)
        assert defined(ours) - {SAYS, "y"} == defined(theirs) - {"y"}, (SEED, cell, ours)
    assert taken > 50, SEED


def test_a_cell_under_a_magic_is_the_notebooks_or_is_not() -> None:
    """Python under ``%%time`` defines names; a script, a page, a query and a repetition do not."""
    found = {}
    cells = [plain(f"{first}\ndef f{n}(): return {n}\n") for n, first in enumerate(WHOLE)]
    with spawn(cells) as player:
        assert not player.problems
        found = {first: f"f{n}" in player.names for n, first in enumerate(WHOLE)}
    assert found == WHOLE


def test_a_command_alone_in_its_cell_is_no_mistake() -> None:
    """``pip install numpy`` without a sign is one that Jupyter takes."""
    with spawn([plain(text) for text in ALONE]) as player:
        assert not [said for said in player.problems if "Error" in said]
