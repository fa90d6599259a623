"""Submissions: notebooks and Python files, read as they are, whatever became of them."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import stat
import tokenize
import zipfile
from collections import Counter, defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.lab import catalogue
from kvmexit.lab.cells import plain, script
from kvmexit.lab.players import printable
from kvmexit.lab.questions import Question
from kvmexit.lab.starting import LARGEST_CODE
from kvmexit.lab.students import Owner, owner

LARGEST = 32 << 20
"""Bytes of a file, outputs included; for the code there is a limit of its own."""
DEEPEST = 32
"""How many folders below that of a student are looked into."""
SUFFIXES = (".ipynb", ".py")
_ASCII = bytes(range(32, 127))
_HALVES = re.compile(rb"\\u[dD][89a-fA-F]")
NOTHING = "holds no notebook (.ipynb) and no Python file (.py)"
_NEARLY = re.compile(r"\.(?:ipynb|py)(?:\.(?:txt|json|html?))+$", re.IGNORECASE)
"""What browsers and mail programs make of the suffix."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One file of one student. ``notes`` name what is missing or was changed."""

    student: str
    path: Path
    lab: int | None
    cells: tuple[str, ...]
    notes: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def file(self) -> str:
        """Its name, as it can be shown and written wherever it came from."""
        return printable(self.path.name)


Found = tuple[Owner, Submission]


def submissions(
    folder: Path, lab: int | None = None, ours: Container[Path] = ()
) -> list[Submission]:
    """Everything in ``folder``, in the order of the names: nobody who has handed in is left out.

    A file in a folder of its own belongs to the student whose name the folder has; otherwise
    its own name is the student's, without that of the lab and what a platform adds. A notebook
    with the cells of two labs is two submissions. What cannot be graded is one with a problem.
    What nobody hands in (:func:`passed_over`) and ``ours`` are not looked at. Raises KvmExitError
    if there is nothing to grade at all.
    """
    if folder.is_file():
        return list(read(folder, owner(folder.stem).name, lab))
    if not folder.is_dir():
        raise KvmExitError(f"{folder}: no such file or folder")
    try:
        entries = sorted(folder.iterdir())
    except OSError as problem:
        raise KvmExitError(f"{folder}: cannot be read: {problem.strerror}") from None
    found = [
        one
        for path in entries
        if _is_handed_in(path) and not _is_one_of(path, ours)
        for one in (_of_folder if path.is_dir() else _of_file)(path, lab)
    ]
    if not found:
        others = passed_over(folder)
        raise KvmExitError(f"{folder}: {NOTHING}{', but ' if others else ''}{', '.join(others)}")
    return _marked(found)


def passed_over(folder: Path, ours: Container[Path] = ()) -> list[str]:
    """What in ``folder`` nobody hands in: hidden files, and those of another kind."""
    if not folder.is_dir():
        return []
    every = sorted(folder.iterdir())
    return [printable(p.name) for p in every if not _is_handed_in(p) and not _is_one_of(p, ours)]


def _is_one_of(path: Path, ours: Container[Path]) -> bool:
    try:
        return path.resolve() in ours
    except (OSError, RuntimeError):  # a link that leads nowhere but to itself
        return False


def _is_handed_in(path: Path) -> bool:
    if path.name.startswith((".", "__")):
        return False
    return _is_ours(path) or path.is_symlink() or path.suffix.lower() in ARCHIVES


OF_TOOLS = ("timestamp.txt", "desktop.ini", "Thumbs.db")
"""What nbgrader and Windows put into a student's folder."""
ARCHIVES = (".zip", ".gz", ".tgz", ".tar", ".7z", ".rar", ".bz2", ".xz")


def _is_ours(path: Path) -> bool:
    """By its name, is it what students hand in?"""
    return path.suffix.lower() in SUFFIXES or bool(_NEARLY.search(path.name)) or path.is_dir()


def _of_file(path: Path, lab: int | None) -> Iterator[Found]:
    nearly = _NEARLY.search(path.name)
    whose = owner(path.name[: nearly.start()] if nearly else path.stem.removesuffix(".tar"))
    for one in read(path, whose.name, lab):
        notes = (*whose.notes, *one.notes)
        if nearly:
            notes = (*notes, f"its name ends in {nearly[0]}")
        yield whose, replace(one, notes=notes)


def _of_folder(path: Path, lab: int | None) -> Iterator[Found]:
    """All that a student's folder holds."""
    whose = owner(path.name, is_folder=True)
    if path.is_symlink():
        yield whose, _bad(path, lab, whose, "is a link: put the folder itself there")
        return
    files, unread = _files(path)
    ours = [file for file in files if _is_ours(file)]
    others = [printable(file.relative_to(path)) for file in files if not _is_ours(file)] + unread
    for file in ours:
        for one in read(file, whose.name, lab):
            notes = (*one.notes, f"not graded: {', '.join(others)}") if others else one.notes
            yield whose, replace(one, notes=notes)
    if not ours:
        why = f"the folder {NOTHING}" + (f", but {', '.join(others)}" if others else "")
        if unread and not files:
            why = f"the folder cannot be read: {unread[0]}"
        yield whose, Submission(whose.name, path, lab, (), problem=why)


def _files(folder: Path) -> tuple[list[Path], list[str]]:
    """The files below ``folder``, and what could not be looked into, in words."""
    unread: list[str] = []

    def note(problem: OSError) -> None:
        where = Path(problem.filename or folder).relative_to(folder)
        unread.append(f"{'' if where == Path() else f'{printable(where)}: '}{problem.strerror}")

    found = []
    for root, folders, names in os.walk(folder, onerror=note):
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith((".", "__"))]
        if folders and len(Path(root).relative_to(folder).parts) >= DEEPEST:
            unread.append(f"nothing is read more than {DEEPEST} folders deep")
            folders.clear()
        own = [name for name in (*names, *links) if name[:1] != "." and name not in OF_TOOLS]
        found += [Path(root) / name for name in own]
    return sorted(found), unread


def _marked(found: list[Found]) -> list[Submission]:
    """A note to each of which its student has handed in more than one for a lab; and the number
    of the platform to the name of two students who have the same."""
    groups: dict[tuple[str, int | None], list[Found]] = defaultdict(list)
    for whose, one in found:
        groups[whose.key, one.lab].append((whose, one))
    marked = []
    for whose, one in found:
        group = groups[whose.key, one.lab]
        if whose.number and len({other.number for other, _ in group}) > 1:
            one = replace(one, student=f"{one.student} {whose.number}")
            group = [pair for pair in group if pair[0].number == whose.number]
        if len(group) > 1:
            note = f"one of {len(group)} files of this student: {one.file}"
            one = replace(one, notes=(*one.notes, note))
        marked.append(one)
    return sorted(marked, key=lambda one: one.path)


def read(path: Path, student: str, lab: int | None = None) -> tuple[Submission, ...]:
    """The answer's cells in ``path``, once for each lab that they answer.

    Never raises for what a student put there.
    """
    try:
        data = contents(path)
        nearly = _NEARLY.search(path.name)
        suffix = (nearly[0].lower() if nearly else path.suffix.lower()).split(".")[1:2]
        if suffix == ["py"]:
            text = _python(data)
            cells = [text] if len(text) > LARGEST_CODE else script(text)
            return _made(path, student, lab, cells, None)
        if suffix != ["ipynb"]:
            raise ValueError(_no_notebook(data))
        return _made(path, student, lab, *_code_of(notebook(data)["cells"]))
    except OSError as problem:
        why = f"cannot be read: {problem.strerror}"
    except ValueError as problem:
        why = str(problem)
    return (_bad(path, lab, Owner(student), why),)


def _bad(path: Path, lab: int | None, whose: Owner, why: str) -> Submission:
    return Submission(
        whose.name, path, lab or _named(path), (), problem=f"{printable(path.name)} {why}"
    )


def contents(path: Path) -> bytes:
    """The bytes of a file that is handed in. ValueError or OSError says why there are none."""
    if not stat.S_ISREG(path.lstat().st_mode):
        raise ValueError("is no regular file")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 20} MiB")
    data = path.read_bytes()
    if not data.strip():
        raise ValueError("is empty")
    return data


def notebook(data: bytes) -> dict[str, Any]:
    """A notebook of format 4, whatever else is the matter with it. ValueError says why not."""
    try:
        found = json.loads(data.decode("utf-8-sig"))
        if _HALVES.search(data):  # halves of characters, which nothing can write
            text = json.dumps(found, ensure_ascii=False)
            found = json.loads(text.encode(errors="replace"))
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    except json.JSONDecodeError as problem:
        raise ValueError(f"is no notebook: line {problem.lineno} is no JSON") from None
    except ValueError:
        raise ValueError("is no notebook: a number in it has too many digits") from None
    except RecursionError:
        raise ValueError("is no notebook: it is nested too deeply") from None
    if not isinstance(found, dict) or not isinstance(found.get("cells"), list):
        raise ValueError("is no notebook of format 4: it has no list of cells")
    return found


def _python(data: bytes) -> str:
    """Python text in the encoding that it names. ValueError if it is none."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        if _ASCII.decode(encoding) != _ASCII.decode():  # not text as it stands, and slow to make so
            raise LookupError
        return data.decode(encoding)
    except (UnicodeError, SyntaxError, LookupError):
        raise ValueError("is not UTF-8 text, and names no other encoding") from None


def _no_notebook(data: bytes) -> str:
    """What is said of a file of another kind."""
    if zipfile.is_zipfile(io.BytesIO(data)) or data[:2] in (b"\x1f\x8b", b"7z", b"Ra", b"BZ"):
        return "is an archive: unpack it"
    return "is no notebook (.ipynb) and no Python file (.py)"


def code_of(cells: list[Any]) -> list[str]:
    """The code cells that are the student's: all but those that only give points."""
    return _code_of(cells)[0]


def _code_of(cells: list[Any]) -> tuple[list[str], Counter[str]]:
    """The student's code cells, and how often each id is there."""
    sources: list[str] = []
    ids: Counter[str] = Counter()
    for cell in cells:
        if not isinstance(cell, dict):
            continue
        name = settings(cell).get("grade_id")
        name = name if isinstance(name, str) else ""
        ids[name] += 1
        is_code = cell.get("cell_type") == "code" or name in ANSWER_CELLS and ids[name] == 1
        if not is_code or name in POINTS_CELLS and ids[name] == 1:
            continue
        source = cell.get("source", "")
        if isinstance(source, list):
            source = "".join(line for line in source if isinstance(line, str))
        if isinstance(source, str):
            sources.append(source)
    if sum(map(len, sources)) > LARGEST_CODE:  # said by who would run it
        return sources, ids
    return [*map(plain, sources)], ids


def cell_ids(question: Question) -> tuple[str, str]:
    """The ids of a question's answer cell and of its points cell."""
    stem = question.number.replace(".", "-")
    return f"{stem}-answer", f"{stem}-points"


ANSWER_CELLS, POINTS_CELLS = map(
    frozenset, zip(*map(cell_ids, catalogue.QUESTIONS.values()), strict=True)
)
"""The first cell of such a name is the lab's, whatever else became of its settings, or of its kind:
an answer in a cell that is no code cell any more is an answer, and nbgrader makes it code again."""


def settings(cell: dict[str, Any]) -> dict[str, Any]:
    """What nbgrader has noted of a cell, if it is still there."""
    metadata = cell.get("metadata")
    found = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return found if isinstance(found, dict) else {}


def _made(
    path: Path,
    student: str,
    lab: int | None,
    cells: list[str],
    ids: Counter[str] | None = None,
) -> tuple[Submission, ...]:
    labs = (lab,) if lab else _labs_of(path, cells, set(ids or ()))
    if not labs:
        names = ", ".join(sorted({q.name for q in catalogue.QUESTIONS.values()}))
        why = f"{printable(path.name)} answers no question of any lab: it defines none of {names}"
        return (Submission(student, path, None, tuple(cells), problem=why),)
    return tuple(
        Submission(student, path, one, tuple(cells), () if ids is None else _notes(one, ids))
        for one in labs
    )


def _notes(lab: int, ids: Counter[str]) -> tuple[str, ...]:
    """Which cells of the lab are not there, and which more than once."""
    wanted = [name for question in catalogue.questions(lab) for name in sorted(cell_ids(question))]
    return tuple(note for name in wanted if (note := cell_note(name, ids[name])))


def cell_note(name: str, times: int) -> str | None:
    """What is said of a cell of the lab that is there so many times."""
    if times == 1:
        return None
    if times == 0:
        return f"the cell {name} or its metadata is missing"
    return f"the cell {name} is there {'twice' if times == 2 else f'{times} times'}"


def _labs_of(path: Path, cells: list[str], ids: set[str]) -> tuple[int, ...]:
    """By the file's name, by the cells' ids, by the checks called, by the names defined."""
    if (named := _named(path)) is not None:
        return (named,)
    text = "\n".join(cells)
    called = set(re.findall(r"\b(?:check|mark)\(\s*[\"'](\d\.\d)[\"']", text))
    asked = [q.lab for q in catalogue.QUESTIONS.values() if ids.intersection(cell_ids(q))]
    asked = asked or [q.lab for q in catalogue.QUESTIONS.values() if q.number in called]
    if asked:
        return tuple(sorted(set(asked)))
    defined = set().union(*map(_defined, cells))
    known = [(q.name, q.lab) for q in catalogue.QUESTIONS.values()]
    in_text = [
        (name, lab)
        for name, lab in known  # broken cells, and texts that are executed
        if re.search(rf"^(?:(?:async )?(?:def|class) +{name}\b|{name} *=)", text, re.MULTILINE)
    ]
    found = [lab for name, lab in known if name in defined] or [lab for _, lab in in_text]
    return tuple(found[:1])


def _defined(cell: str) -> set[str]:
    """The names that a cell defines, not those inside of its functions and classes; none if it is
    no Python."""
    found: set[str] = set()
    try:
        left: list[ast.AST] = [ast.parse(cell)] if len(cell) <= LARGEST_CODE else []
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return found
    while left:
        node = left.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add(node.asname or node.name)
        elif not isinstance(node, ast.Lambda):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            left += ast.iter_child_nodes(node)
    return found


def _named(path: Path) -> int | None:
    """The lab that a file's name, or its folder's, bears."""
    for lab, stem in catalogue.NOTEBOOKS.items():
        if stem in path.stem or path.parent.name == stem:
            return lab
    for pattern in (r"(?:^|[ _-])lab[ _-]?([1-6])(?:[ _-]|$)", r"^([1-6])(?:[ _-]|$)"):
        if found := re.search(pattern, path.stem, re.IGNORECASE):
            return int(found[1])
    return None
