"""Whose file is it? The names that learning platforms and browsers give to what is handed in."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from kvmexit.lab import catalogue
from kvmexit.lab.players import printable

_LABS = "|".join(catalogue.NOTEBOOKS.values())
_LAB = re.compile(rf"(^|[ _-])({_LABS}|lab[ _-]?[1-6])(?=[ _-]|$|\()", re.IGNORECASE)
_COPY = re.compile(
    r"(?:\s*\(\d{1,3}\)|[ _-]+copy(?:[ _-]*\(?\d+\)?)?|[ _-]+kopie(?:[ _-]*\(?\d+\)?)?)$",
    re.IGNORECASE,
)
_COPY_OF = re.compile(r"^(?:copy of|kopie von)[ _-]+", re.IGNORECASE)
_LATE = re.compile(r"(?:^|[ _-])late(?=[ _-]|$)", re.IGNORECASE)
_CANVAS = re.compile(
    r"^(?P<who>[^_]+)_(?P<late>LATE_)?(?P<id>\d{3,})_\d{3,}_(?P<file>.+?)(?:-\d+)?$"
)
_MOODLE = re.compile(
    r"^(?P<who>.+?)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)$"
)
_BLACKBOARD = re.compile(
    r"^(?P<lab>.*?)_?(?P<who>[^_]+)_attempt_(?P<id>[\d-]+)(?:_(?P<file>.*))?$", re.IGNORECASE
)
_SAKAI = re.compile(r"^(?P<who>.+?)\((?P<id>[a-z]\w+)\)$")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a file is: ``number`` is the platform's, where it gives one; ``notes`` what else the
    name said."""

    name: str
    number: str = ""
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The same for two spellings of one name."""
        name = unicodedata.normalize("NFKC", self.name).casefold()
        return " ".join(re.split(r"[\s_]+", name.strip()))


def owner(stem: str, is_folder: bool = False) -> Owner:
    """Whose the file with this name, without its ending, or this folder is."""
    stem = printable(unicodedata.normalize("NFC", stem))
    if found := _MOODLE.match(stem):
        return Owner(found["who"], found["id"])
    if (found := _CANVAS.match(stem)) and not is_folder:
        late = ("its name says LATE",) if found["late"] else ()
        return Owner(found["who"], found["id"], late)
    if found := _BLACKBOARD.match(stem):
        return Owner(found["who"])
    if is_folder:
        sakai = _SAKAI.match(stem)
        return Owner(sakai["who"].strip(), sakai["id"]) if sakai else Owner(stem)
    name = stem
    notes: tuple[str, ...] = ()
    if _LATE.search(name):
        name, notes = _LATE.sub("", name), ("its name says LATE",)
    name = _COPY_OF.sub("", _uncopied(name))
    name = _uncopied(_LAB.sub(r"\1", name, count=1).strip(" _-"))
    if inside := re.fullmatch(r"\((.+)\)", name):
        name = inside[1]
    return Owner(name.strip(" _-") or _uncopied(_COPY_OF.sub("", stem)), notes=notes)


def _uncopied(name: str) -> str:
    """Without what browsers and notebooks add to the name of a copy."""
    while (shorter := _COPY.sub("", name)) != name and shorter.strip(" _-"):
        name = shorter
    return name
