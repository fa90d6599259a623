"""Whose file is it? The names that learning platforms and browsers give to what is handed in."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from kvmexit.lab import catalogue
from kvmexit.lab.players import printable

_LABS = "|".join(catalogue.NOTEBOOKS.values())
_LAB = re.compile(rf"(^|[ _-])({_LABS}|lab[ _-]?[1-6])(?=[ _-]|$|\()", re.IGNORECASE)
_WORD = "copy|copie|copia|cópia|kopie|kopia|kopi|kopio|копия|副本|コピー"
_COPY = re.compile(
    rf"\s*(?:\(\d{{1,3}}\)|[ _–—-]+(?:{_WORD})(?:[ _-]*\(?\d+\)?)?"
    rf"|\((?:[\w. ']+ )?(?:{_WORD})(?: [\d -]+)?\))$",
    re.IGNORECASE,
)
_COPY_OF = re.compile(
    r"^(?:(?:copy of|kopie van|kopie von|kopia av|copie de|copia d[ei]|cópia de)[ _-]+)+",
    re.IGNORECASE,
)
_NUMBERED = re.compile(rf"(?<=\w)([ _-](?:{_LABS}))-[2-9]$", re.IGNORECASE)
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
_BRIGHTSPACE = re.compile(
    r"^\d+-\d+ ?- (?P<who>.+?) ?- \w{3,9}\.? \d{1,2}, \d{4} \d{3,4} [AP]M(?: ?- .*)?$"
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
    if found := _BLACKBOARD.match(stem) or _BRIGHTSPACE.match(stem):
        return Owner(found["who"])
    if is_folder:
        if sakai := _SAKAI.match(stem):
            return Owner(sakai["who"].strip(), sakai["id"])
        return Owner(_LAB.sub(r"\1", stem, count=1).strip(" _-") or stem)
    name = stem
    notes: tuple[str, ...] = ()
    if _LATE.search(name):
        name, notes = _LATE.sub("", name), ("its name says LATE",)
    name = _NUMBERED.sub(r"\1", _COPY_OF.sub("", _uncopied(name)))
    name = _LAB.sub(r"\1", name, count=1).strip(" _-")
    if inside := re.fullmatch(r"\((.+)\)", name):
        name = inside[1]
    return Owner(name.strip(" _-") or _uncopied(_COPY_OF.sub("", stem)), notes=notes)


def _uncopied(name: str) -> str:
    """Without what browsers and notebooks add to the name of a copy."""
    while (shorter := _COPY.sub("", name)) != name and shorter.strip(" _-"):
        name = shorter
    return name
