"""What a page is given to run: its cells, the hidden ones that they need, and nothing else."""

import builtins
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import run_cells
import run_here
import run_npm
from kvmexit.show import strip
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "book" / "site" / "live" / "package-lock.json"


def code(source: str, *tags: str, html: str = "") -> dict:
    outputs = [{"output_type": "execute_result", "data": {"text/html": [html]}}] if html else []
    metadata = {"tags": list(tags)} if tags else {}
    return {"cell_type": "code", "source": [source], "metadata": metadata, "outputs": outputs}


def notebook(*cells: dict) -> dict:
    return {"cells": [{"cell_type": "markdown", "source": ["# Words"], "metadata": {}}, *cells]}


def test_a_hidden_cell_stays_if_a_later_one_uses_what_it_defines() -> None:
    kept = run_here.kept(
        notebook(
            code("import re as r\nbase = 2", "remove-cell"),
            code("def more(x):\n    return r.sub('a', 'b', x) + base", "remove-cell"),
            code("assert True", "remove-cell"),
            code("more('a')"),
            code("late = 1", "remove-cell"),
        )
    )
    assert [(cell["at"], cell["shown"]) for cell in kept] == [(1, "none"), (2, "none"), (4, "all")]


def test_a_cell_says_how_it_is_shown_and_what_the_page_has_of_it() -> None:
    html = strip(12).html()
    cells = run_here.kept(
        notebook(code("strip(12)", "remove-input", html=html), code("trial(stop)", "follows"))
    )
    shown, follows = cells
    assert shown["shown"] == "output" and "follows" not in shown
    assert shown["stored"] == [run_cells.shown(strip(12)._repr_mimebundle_())["digest"]]
    assert follows["shown"] == "all" and follows["follows"] == []


def test_a_page_with_another_number_of_cells_is_no_page() -> None:
    page = "book/03-a-read-takes-two-runs"
    count = sum(cell["shown"] != "none" for cell in run_here.cells_of(page))
    body = '<div class="cell docutils container">' * count
    assert run_here.script_of(page, body).count("globalThis.") == 2
    with pytest.raises(ExtensionError, match=f"{count - 1} cells in the page, {count} in"):
        run_here.script_of(page, body.replace("<div", "<p", 1))


def test_the_lock_names_versions_and_no_address() -> None:
    lock, wanted = (
        json.loads(LOCK.read_text()),
        json.loads((LOCK.parent / "package.json").read_text()),
    )
    assert "resolved" not in LOCK.read_text() and "://" not in LOCK.read_text().replace(
        "https://github.com/sponsors", ""
    ).replace("https://opencollective.com", "")
    asked = wanted["dependencies"] | wanted["devDependencies"]
    assert all(version[0].isdigit() for version in asked.values())
    for name, version in asked.items():
        assert lock["packages"][f"node_modules/{name}"]["version"] == version
    assert all("integrity" in one for place, one in lock["packages"].items() if place)


def test_without_npm_a_line_says_so_and_nothing_fails(tmp_path: Path) -> None:
    site = tmp_path / "book" / "site"
    shutil.copytree(run_npm.HERE, site / "live")
    shutil.copy(run_npm.__file__, site)
    done = subprocess.run(
        [sys.executable, site / "run_npm.py"], capture_output=True, text=True, env={"PATH": ""}
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == 'The book is built without "Run it here": no npm here\n'


def test_an_npm_that_fetches_nothing_is_named_with_its_reason(tmp_path: Path) -> None:
    site, tools = tmp_path / "book" / "site", tmp_path / "tools"
    shutil.copytree(run_npm.HERE, site / "live")
    shutil.copy(run_npm.__file__, site)
    tools.mkdir()
    npm = tools / "npm"
    npm.write_text('#!/bin/sh\necho "npm error code EAI_AGAIN\nnpm error no network" >&2; exit 1\n')
    npm.chmod(0o755)
    path = f"{tools}:/usr/bin:/bin"
    command = [sys.executable, site / "run_npm.py"]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": path})
    assert done.returncode == 0
    assert done.stderr.endswith("npm is there, but: no network\n")
    assert not (tmp_path / ".cache/live/ready").exists()


def run(source: str) -> tuple[bool, list[tuple[str, object]]]:
    said: list[tuple[str, object]] = []
    fine = run_cells.run(source, "cell 1", lambda kind, value: said.append((kind, value)))
    return fine, said


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of its own, and IPython's display put back when the test is over."""
    import IPython
    import IPython.display

    monkeypatch.setattr(IPython, "display", IPython.display)
    monkeypatch.setattr(IPython, "get_ipython", IPython.get_ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", sys.modules["IPython.display"])
    monkeypatch.setattr(builtins, "input", builtins.input)
    monkeypatch.setattr(sys, "stdin", sys.stdin)
    monkeypatch.setattr(time, "sleep", time.sleep)
    run_cells.install()
    run_cells.forget()


@pytest.mark.usefixtures("fresh")
def test_a_cell_says_what_a_notebook_would() -> None:
    assert run("x = 1\nprint(x)\nx + 1") == (
        True,
        [("stream", "1"), ("stream", "\n"), ("output", {"text/plain": "2"})],
    )
    assert run("x;") == (True, [])
    long = run("list(range(40))")[1][0][1]["text/plain"]
    assert long.startswith("[0,\n 1,"), "as IPython prints it"


@pytest.mark.usefixtures("fresh")
def test_an_error_has_the_readers_lines_and_not_the_librarys() -> None:
    fine, said = run("from kvmexit.show import film\n\nfilm(16, policy='none')")
    assert not fine
    ((kind, words),) = said
    assert kind == "error" and "cell 1, line 3:\n    film(16, policy='none')" in words
    assert "films.py" not in words and "unknown policy 'none'" in words
    assert "line 1" in run("x = = 1")[1][0][1]


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise ModuleNotFoundError('no', name='matplotlib.figure')", "matplotlib"),
        ("raise OSError(138, 'emscripten does not support processes.')", "a machine of its own"),
        ("from kvmexit.errors import KvmExitError\nraise KvmExitError('no /dev/kvm')", "a machine"),
    ],
)
def test_what_is_not_there_is_no_fault_of_the_cell(source: str, reason: str) -> None:
    fine, ((kind, words),) = run(source)
    assert (fine, kind) == (False, "absent") and reason in words


PICTURED = """class A:
    def _repr_html_(self):
        return f"<b>{self.__class__.__name__}</b>"

    def _ipython_display_(self):
        raise NotImplementedError

class Anything:
    def __getattr__(self, name):
        return None
"""


@pytest.mark.usefixtures("fresh")
def test_a_class_is_not_taken_for_one_of_its_kind() -> None:
    assert run(PICTURED)[0]
    for last, text in (("A", "__main__.A"), ("Anything()", "__main__.Anything at ")):
        fine, said = run(f"{last}")
        assert fine and text in said[0][1]["text/plain"], said


@pytest.mark.usefixtures("fresh")
def test_a_flood_of_values_is_cut_as_one_of_text_is() -> None:
    shows = "from IPython.display import HTML, display\n"
    fine, said = run(f"{shows}for n in range(1000):\n    display(n)\n'end'")
    assert fine and len(said) == run_cells.MANY + 1 and said[-1] == ("stream", run_cells.MORE)
    fine, said = run(f"{shows}display(HTML('<br>' * 2_000_000))\ndisplay(1)")
    assert fine and said == [("stream", run_cells.MORE)], "a picture that no page can show"
    assert run("1")[1] == [("output", {"text/plain": "1"})], "the next cell has room again"


@pytest.mark.usefixtures("fresh")
def test_what_no_notebook_would_stumble_at() -> None:
    """Errors that cannot say what they are; help; lines in one go; nobody at the keyboard."""
    fine, ((kind, words),) = run("class E(Exception):\n    def __str__(self): 1 / 0\nraise E")
    assert (fine, kind) == (False, "error") and "E: <exception str() failed>" in words
    fine, said = run("help(len)")
    assert fine and "number of items in a container" in "".join(text for _, text in said)
    assert run("import sys\nsys.stdout.writelines('ab')")[1] == [("stream", "a"), ("stream", "b")]
    for source in ("sys.stdin.readline()", "input()"):
        assert run(f"import sys\n{source}") == (False, [("absent", run_cells.NOBODY)])
    fine, said = run("import time\ntime.sleep(0.12)\ntime.sleep(-1)")
    assert not fine and "must be non-negative" in said[0][1]
