"""An answer is not lost by what stands beside it in a cell: imports that nobody uses, and magics.

All of a kind are loaded by one process of a student, each with a function of its own behind it.
What a cell means is IPython's to say, and is asked there.
"""

from collections.abc import Iterable

from beside import ALONE, IMPORTS, MAGICS, WHOLE
from IPython.core.inputtransformer2 import TransformerManager
from kvmexit.lab.cells import parses, plain
from kvmexit.lab.starting import spawn

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
