"""Submissions: notebooks and Python files, read as they are, whatever became of them."""

from __future__ import annotations

import json
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.lab import catalogue
from kvmexit.lab.cells import plain, script
from kvmexit.lab.questions import Question

LARGEST = 4 << 20
SUFFIXES = (".ipynb", ".py")
NOTHING = "holds no notebook (.ipynb) and no Python file (.py)"


@dataclass(frozen=True, slots=True)
class Submission:
    """One file of one student. ``notes`` name what is missing or was changed."""

    student: str
    path: Path
    lab: int | None
    cells: tuple[str, ...]
    notes: tuple[str, ...] = ()
    problem: str | None = None


def submissions(folder: Path, lab: int | None = None) -> list[Submission]:
    """Every notebook and Python file at or below ``folder``, in the order of their names.

    A file in a folder of its own belongs to the student whose name the folder has; otherwise
    its own name is the student's, without that of the lab. A notebook with the cells of two labs
    is two submissions. A student's folder with nothing to grade is one with a problem. Raises
    KvmExitError if there is nothing to grade at all.
    """
    if folder.is_file():
        return [*read(folder, _student(Path(folder.name)), lab)]
    if not folder.is_dir():
        raise KvmExitError(f"{folder}: no such file or folder")
    found = [
        one
        for path in _files(folder)
        for one in read(path, _student(path.relative_to(folder)), lab)
    ]
    if not found:
        raise KvmExitError(f"{folder}: {NOTHING}")
    return sorted([*map(_marked(found), found), *_without(folder, lab)], key=lambda s: s.path)


def _without(folder: Path, lab: int | None) -> Iterator[Submission]:
    """Students whose folder holds nothing to grade."""
    for path in folder.iterdir():
        is_student = path.is_dir() and not path.name.startswith((".", "__"))
        if is_student and not any(_files(path)):
            yield Submission(path.name, path, lab, (), problem=f"the folder {NOTHING}")


def _marked(found: list[Submission]) -> Callable[[Submission], Submission]:
    """Gives a submission a note if its student has handed in the lab more than once."""
    files = defaultdict(list)
    for one in found:
        files[one.student, one.lab].append(one.path.name)

    def marked(one: Submission) -> Submission:
        all_files = files[one.student, one.lab]
        if len(all_files) == 1:
            return one
        note = f"one of {len(all_files)} files of this student: {one.path.name}"
        return replace(one, notes=(*one.notes, note))

    return marked


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix in SUFFIXES and not hidden and not path.is_dir():
            yield path


def _student(relative: Path) -> str:
    if len(relative.parts) > 1:
        return relative.parts[0]
    labs = "|".join(catalogue.NOTEBOOKS.values())
    name = re.sub(rf"(^|[ _-])({labs}|lab[ _-]?[1-6])(?=[ _-]|$)", "", relative.stem, flags=re.I)
    return name.strip(" _-") or relative.stem


def read(path: Path, student: str, lab: int | None = None) -> tuple[Submission, ...]:
    """The answer's cells in ``path``, once for each lab that they answer.

    Never raises for what a student put there.
    """
    try:
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            raise ValueError("is no regular file")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"is larger than {LARGEST >> 20} MiB")
        text = path.read_text(encoding="utf-8-sig")
        if not text.strip():
            raise ValueError("is empty")
        if path.suffix == ".py":
            return _made(path, student, lab, script(text), None)
        notebook = json.loads(text)
        if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
            raise ValueError("is no notebook of format 4: it has no list of cells")
        return _made(path, student, lab, *_code_of(notebook["cells"]))
    except UnicodeDecodeError:
        why = "is not UTF-8 text"
    except json.JSONDecodeError as problem:
        why = f"is no notebook: line {problem.lineno} is no JSON"
    except RecursionError:
        why = "is no notebook: it is nested too deeply"
    except OSError as problem:
        why = f"cannot be read: {problem.strerror}"
    except ValueError as problem:
        why = str(problem)
    return (Submission(student, path, lab or _named(path), (), problem=f"{path.name} {why}"),)


def code_of(cells: list[Any]) -> list[str]:
    """The code cells that are the student's: all but the locked ones that only give points."""
    return _code_of(cells)[0]


def _code_of(cells: list[Any]) -> tuple[list[str], set[str]]:
    """The student's code cells, and the ids of all cells."""
    sources, ids = [], set()
    for cell in cells:
        if not isinstance(cell, dict):
            continue
        settings = _settings(cell)
        ids.add(str(settings.get("grade_id")))
        if cell.get("cell_type") != "code":
            continue
        if settings.get("grade") is True and settings.get("solution") is not True:
            continue
        source = cell.get("source", "")
        if isinstance(source, list):
            source = "".join(line for line in source if isinstance(line, str))
        if isinstance(source, str):
            sources.append(plain(source))
    return sources, ids


def cell_ids(question: Question) -> tuple[str, str]:
    """The ids of a question's answer cell and of its points cell."""
    stem = question.number.replace(".", "-")
    return f"{stem}-answer", f"{stem}-points"


def _settings(cell: dict[str, Any]) -> dict[str, Any]:
    metadata = cell.get("metadata")
    settings = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return settings if isinstance(settings, dict) else {}


def _made(
    path: Path, student: str, lab: int | None, cells: list[str], ids: set[str] | None = None
) -> tuple[Submission, ...]:
    labs = (lab,) if lab else _labs_of(path, cells, ids or set())
    if not labs:
        names = ", ".join(sorted({q.name for q in catalogue.QUESTIONS.values()}))
        why = f"{path.name} answers no question of any lab: it defines none of {names}"
        return (Submission(student, path, None, tuple(cells), problem=why),)
    return tuple(
        Submission(student, path, one, tuple(cells), () if ids is None else _notes(one, ids))
        for one in labs
    )


def _notes(lab: int, ids: set[str]) -> tuple[str, ...]:
    """Which cells of the lab are not there."""
    wanted = [name for question in catalogue.questions(lab) for name in sorted(cell_ids(question))]
    return tuple(
        f"the cell {name} or its metadata is missing" for name in wanted if name not in ids
    )


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
    for question in catalogue.QUESTIONS.values():
        defined = rf"^(?:(?:async )?(?:def|class) +{question.name}\b|{question.name} *=)"
        imported = rf"^from .*\b{question.name}\b"
        if re.search(f"{defined}|{imported}", text, re.MULTILINE):
            return (question.lab,)
    return ()


def _named(path: Path) -> int | None:
    """The lab that a file's name, or its folder's, bears."""
    for lab, stem in catalogue.NOTEBOOKS.items():
        if stem in path.stem or path.parent.name == stem:
            return lab
    for pattern in (r"(?:^|[ _-])lab[ _-]?([1-6])(?:[ _-]|$)", r"^([1-6])(?:[ _-]|$)"):
        if found := re.search(pattern, path.stem, re.IGNORECASE):
            return int(found[1])
    return None
