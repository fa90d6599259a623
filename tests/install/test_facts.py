"""What is said in several places of the package, its versions and its makers is said once."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import files, metadata
from pathlib import Path
from tempfile import TemporaryDirectory

import edition
import publish
import pytest
import rebuild
import yaml
from kvmexit import __version__
from kvmexit.commands import built
from matrix import SUPPORTED
from pages import ROOT, contents, differences

PROJECT = tomllib.loads((ROOT / "lib" / "pyproject.toml").read_text())["project"]
PIN = re.compile(r"^([\w-]+)==([\w.]+)", re.M)
SUPPORTED_TEXT = ["{}.{}".format(*version) for version in SUPPORTED]


def test_the_changelog_begins_with_this_version():
    headings = re.findall(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] == __version__


def test_the_supported_pythons_are_the_same_everywhere():
    named = [line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if " 3." in line]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())
    assert named == SUPPORTED_TEXT
    assert workflow["jobs"]["pythons"]["strategy"]["matrix"]["python"] == SUPPORTED_TEXT
    assert PROJECT["requires-python"] == f">={SUPPORTED_TEXT[0]}"


def test_the_authors_are_those_of_the_licence():
    (author,) = (one["name"] for one in PROJECT["authors"])
    assert author in (ROOT / "LICENSE").read_text()
    assert author in (ROOT / "LICENSE-TEXT").read_text()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert [one["name"] for one in citation["authors"]] == [author]
    assert yaml.safe_load((ROOT / "_config.yml").read_text())["author"] == author
    # A copy: of a source archive with a link that leads out of it, Python 3.13 unpacks nothing.
    assert not (ROOT / "lib" / "LICENSE").is_symlink()
    assert (ROOT / "lib" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_what_is_installed_has_its_licence_and_says_what_it_is():
    """The text of MIT must go along."""
    said = metadata("kvmexit")
    assert said.get_all("License-File") == ["LICENSE"]
    (licence,) = (file for file in files("kvmexit") if file.name == "LICENSE")
    assert licence.locate().read_text() == (ROOT / "LICENSE").read_text()
    for name in ("Summary", "Description", "Author", "Keywords", "License-Expression"):
        assert said[name], name
    assert said.get_all("Classifier") == PROJECT["classifiers"]


def test_binder_gets_the_versions_that_the_book_was_tried_with():
    pins = dict(PIN.findall((ROOT / "requirements.txt").read_text()))
    there = dict(PIN.findall((ROOT / "binder" / "requirements.txt").read_text()))
    assert there and there.items() <= pins.items()
    assert set(PROJECT["optional-dependencies"]["notebooks"]) <= set(there)


def test_every_extra_is_a_part_of_all():
    extras = dict(PROJECT["optional-dependencies"])
    whole = set(extras.pop("notebooks"))
    assert all(set(part) <= whole for part in extras.values())


def test_a_page_names_no_extra_that_the_library_has_not():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("book/**/*.md"), *ROOT.glob("book/**/*.ipynb")]
    named = {(p.name, e) for p in pages for e in re.findall(r"/lib\[(\w+)\]", p.read_text())}
    assert {page for page, _ in named} >= {"checking.ipynb", "instructor.md"}
    assert {extra for _, extra in named} <= set(PROJECT["optional-dependencies"])


def test_a_checkout_and_an_archive_say_what_they_were_built_of(monkeypatch, tmp_path):
    git = ["git", "-C", ROOT, "rev-parse", "--short=12", "HEAD"]
    here = subprocess.run(git, capture_output=True, text=True)  # it reads nobody else's repository
    of = f"at {here.stdout.strip()}" if here.returncode == 0 else f"in {ROOT}, which git cannot"
    assert built.version().startswith(f"kvmexit {__version__} (a checkout {of}")
    facts = tmp_path / "built.json"
    facts.write_text(json.dumps({"commit": "0123456789ab"}))
    monkeypatch.setattr(built, "BUILT", facts)
    assert built.origin() == "built from 0123456789ab"


def test_a_build_that_fails_leaves_the_last_good_book(monkeypatch, tmp_path):
    stage, site = tmp_path / "stage", tmp_path / "site" / "html"
    for folder in (stage, site):
        folder.mkdir(parents=True)
    (stage / "built-of").write_text(rebuild.state())  # all is up to date, and some page is broken
    (site / "index.html").write_text("the good one")
    monkeypatch.setattr(rebuild, "STAGE", stage)
    monkeypatch.setattr(rebuild, "STAMP", stage / "built-of")
    monkeypatch.setattr(rebuild, "LOG", stage / "log")
    monkeypatch.setattr(rebuild, "SITE", site)
    monkeypatch.setattr(
        rebuild, "COMMAND", [sys.executable, "-c", "import sys; sys.exit('broken')"]
    )
    with pytest.raises(SystemExit, match="(?s)broken.*The last good one stands"):
        rebuild.build()
    assert (site / "index.html").read_text() == "the good one"
    assert not (stage / "built-of").exists(), "the next build must begin anew"
    made = tmp_path / "made"
    made.mkdir()
    (made / "index.html").write_text("a better one")
    rebuild.publish(made)
    assert [path.name for path in site.parent.iterdir()] == ["html"]
    assert (site / "index.html").read_text() == "a better one"


def test_a_build_on_top_of_another_finds_what_a_fresh_one_does(tmp_path):
    for name in ("book.css", "live/page.js", "live/cells/book/01.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rebuild.forget_copies(tmp_path)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["01.js"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("root: [", "cannot be read: while parsing"),
        ("root: book/none", "names book/none, and"),
    ],
)
def test_broken_contents_are_named_and_the_book_stays(monkeypatch, tmp_path, text, said):
    (tmp_path / "_toc.yml").write_text(text)
    monkeypatch.setattr(rebuild, "contents", lambda: contents(tmp_path / "_toc.yml"))
    with pytest.raises(SystemExit, match=f"_toc.yml {said}.*\nThe book was not built"):
        rebuild.build()


def test_a_page_too_few_and_one_too_many_are_told(tmp_path):
    first, *_ = pages = contents()
    for page in (*pages, "index", "_static/frame"):
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{page}.html").touch()
    assert differences(tmp_path) == []
    (tmp_path / f"{first}.html").rename(tmp_path / "book" / "old.html")
    told = [f"not built: {first}", "built, but not in _toc.yml: book/old"]
    assert differences(tmp_path) == told


@pytest.mark.parametrize("text", ["{", "[]", '{"cells": [{}]}', '{"cells": [3]}'])
def test_a_broken_notebook_is_named(monkeypatch, tmp_path, text):
    (tmp_path / "a.ipynb").write_text(text)
    monkeypatch.setattr(rebuild, "ROOT", tmp_path)
    with pytest.raises(ValueError, match="^a.ipynb is no notebook: "):
        rebuild.title("a")


def test_the_state_of_a_build_knows_pages_from_what_all_pages_share(monkeypatch):
    before = rebuild.state()
    assert rebuild.state() == before
    for name in ("BOOK_ADDRESS", "BOOK_REPOSITORY"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "https://example.org/book/")
            assert rebuild.state() != before, name
    monkeypatch.setattr(rebuild, "title", lambda page: "# Another")
    assert rebuild.state() != before, "a title stands in all menus"


def test_joined_pages_keep_their_names_apart(monkeypatch, tmp_path):
    """Two pages with a name in common: links, labels and rules of style follow their own."""
    (tmp_path / "book").mkdir()
    for page, other in (("a", "b"), ("b", "a")):
        (tmp_path / "book" / f"{page}.html").write_text(
            f'<article class="bd-article"><h1>{page}</h1><style>#x:checked ~ p {{}}</style>'
            f'<input id="x" name="n"><label for="x">#x</label><a href="#x">here</a>'
            f'<a href="{other}.html#x">there</a><img src="../_images/{page}.png"></article>'
        )
    monkeypatch.setattr(edition, "SITE", tmp_path)
    first, second = edition.Joined(["book/a", "book/b"]).sections()
    new = "page-book-b--x"
    assert 'id="x"' in first and f'<a href="#{new}">there' in first
    assert f'<input id="{new}" name="page-book-b--n">' in second
    assert f'for="{new}">#x<' in second and f"#{new}:checked" in second
    assert f'<a href="#{new}">here' in second and '<a href="#x">there' in second
    assert 'src="../html/_images/b.png"' in second


def test_the_first_cell_of_a_downloaded_notebook_says_what_it_cannot_install():
    """Run by IPython where nothing can be installed, it ends with a sentence; where the library
    is, it does nothing."""
    cell = "".join(publish.first_cell("", [])["source"])
    assert f'"kvmexit[notebooks]=={__version__}"' in cell
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as Shell\n"
        "import importlib.util as util, sys\n"
        "shell, tried = Shell.instance(), []\n"
        "shell.register_magic_function(tried.append, 'line', 'pip')\n"
        f"cell = {cell!r}\n"
        "assert shell.run_cell(cell).success and not tried\n"
        "util.find_spec = lambda name: None\n"
        "done = shell.run_cell(cell)\n"
        "assert tried and 'cannot be installed here' in str(done.error_in_exec), done\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout


def test_a_notebook_that_is_opened_alone_fetches_its_files_or_says_where_they_are(tmp_path):
    """From the repository, if that is known; else the zip is named."""
    (tmp_path / "origin" / "book" / "logs").mkdir(parents=True)
    (tmp_path / "origin" / "book" / "logs" / "one").write_text("here")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, tmp_path / "origin", *words], check=True)
    alone = "".join(publish.first_cell("", ["logs"])["source"])
    known = "".join(publish.first_cell((tmp_path / "origin").as_uri(), ["logs"])["source"])
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as Shell\n"
        "import pathlib\n"
        "shell = Shell.instance()\n"
        f"done = shell.run_cell({alone!r})\n"
        "assert 'download its zip' in str(done.error_in_exec), done\n"
        f"assert shell.run_cell({known!r}).success\n"
        "assert pathlib.Path('logs/one').read_text() == 'here'\n"
        f"assert shell.run_cell({alone!r}).success\n"
    )
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "empty", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr + done.stdout


def test_what_the_workflows_call_is_there():
    targets = re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text(), re.M)
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        text = re.sub(r"#.*", "", path.read_text())
        for target in re.findall(r"\bmake ([a-z]+)", text):
            assert target in targets, f"{path.name} makes {target}"
        for script in re.findall(r"run: (\.[\w/]+)", text):
            assert Path(ROOT, script).exists()


def test_root_may_open_the_labs():
    """In a container everybody is; JupyterLab wants it said."""
    said = subprocess.run(["make", "-n", "lab"], cwd=ROOT, capture_output=True, text=True).stdout
    assert "jupyter lab" in said and ("--allow-root" in said) == (os.getuid() == 0)


def test_a_copy_that_cannot_be_written_is_named_and_no_package_is_blamed():
    with TemporaryDirectory() as name:
        for file in ("Makefile", "requirements.txt", "lib/pyproject.toml", "lib/hatch_build.py"):
            copy = Path(name) / file
            copy.parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / file, copy)
            for path, mode in ((copy, 0o644), (copy.parent, 0o755)):
                path.chmod(mode)  # whatever this checkout lets others do
        os.chmod(name, 0o555)
        another = {"user": 65534} if os.getuid() == 0 else {}  # root writes everywhere
        command = ["make", "-s", "setup"]
        done = subprocess.run(command, cwd=name, capture_output=True, text=True, **another)
        os.chmod(name, 0o755)
    assert done.returncode == 2 and "cannot be written by" in done.stdout, done
    assert "apt-get" not in done.stdout + done.stderr
