"""Small displays: a program with one instruction marked, and the shared page at a step."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import Reason
from kvmexit.guest import driver as tis_driver
from kvmexit.guest.assembler import assemble
from kvmexit.show.reel import Reel
from kvmexit.show.scene import scene
from kvmexit.show.vocabulary import PAGE, PAGE_FIELDS


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of text; marked ones carry an arrow and are bold."""

    lines: tuple[str, ...]
    marked: frozenset[int]

    def __repr__(self) -> str:
        return "\n".join(
            ("→ " if n in self.marked else "  ") + line for n, line in enumerate(self.lines)
        )

    def html(self) -> str:
        """A preformatted block."""
        rows = []
        for number, line in enumerate(self.lines):
            text = escape(line, quote=False)
            rows.append(f"<strong>→ {text}</strong>" if number in self.marked else f"  {text}")
        return (
            '<pre class="kvmexit-listing" tabindex="0" style="overflow-x:auto">'
            + "\n".join(rows)
            + "</pre>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}


def listing(
    program: str = "driver",
    *,
    source: str | None = None,
    mark: str | int | None = None,
    start: str | int | None = None,
    lines: int | None = None,
) -> Lines:
    """The machine code of a driver, or of ``source``: address, bytes, instruction.

    ``mark`` is an address or a part of an instruction's text; ``start`` where to begin (an
    address, or a part of the first instruction's text), ``lines`` how many to show.
    """
    made = (
        assemble(source, tis_driver.ORIGIN)
        if source is not None
        else tis_driver.tis_driver(program)
    )
    names = {address: name for name, address in made.labels.items()}
    rows = [(at, raw.hex(" "), _with_label(text, names)) for at, raw, text in made.rows()]
    first = _find(rows, start, "start") if start is not None else 0
    rows = rows[first : None if lines is None else first + lines]
    marked = frozenset[int]()
    if mark is not None:
        hits = [n for n, row in enumerate(rows) if mark in (row[0],) or str(mark) in row[2]]
        if not hits:
            raise KvmExitError(f"nothing to mark: no instruction shown matches {mark!r}")
        marked = frozenset(hits)
    wide = max((len(raw) for _, raw, _ in rows), default=0)
    text: list[str] = []
    shown: set[int] = set()
    for number, (address, digits, words) in enumerate(rows):
        if address in names:
            text.append(f"{names[address]}:")
        if number in marked:
            shown.add(len(text))
        text.append(f"{address:#06x}  {digits:<{wide}}  {words}")
    end = made.origin + len(made.code)
    if lines is None and end in names:
        text.append(f"{names[end]}:")
    return Lines(tuple(text), frozenset(shown))


def _with_label(text: str, names: dict[int, str]) -> str:
    """A jump or a call says where to by its label, if there is one."""
    words, _, target = text.rpartition(" ")
    if not words.startswith(("j", "call", "loop")) or not target.startswith("0x"):
        return text
    return f"{words} {names.get(int(target, 16), target)}"


def _find(rows: list[tuple[int, str, str]], wanted: str | int, what: str) -> int:
    for number, (address, _, text) in enumerate(rows):
        if wanted == address or (isinstance(wanted, str) and wanted in text):
            return number
    raise KvmExitError(f"{what} {wanted!r} is not in this program")


def card(film: Reel, step: int | None = None) -> Lines:
    """``struct kvm_run`` after one step of a film's run (its first shown step if None)."""
    frames = film.frames()
    at = film.step if step is None else step
    if not 0 <= at < len(frames):
        raise KvmExitError(f"step {at} is outside the run: it has steps 0 to {len(frames) - 1}")
    page, seen = scene(frames[: at + 1]).page, frames[at].seen
    values = [str(seen.immediate_exit), page.reason_words]
    if page.reason == Reason.MMIO:
        values += [f"{page.gpa:#x}", str(page.size), str(page.is_write), page.data.hex(" ")]
    wide = max(len(name) for name in PAGE_FIELDS)
    lines = [PAGE, *(f"{name:<{wide}}  {value}" for name, value in zip(PAGE_FIELDS, values))]
    return Lines(tuple(lines), frozenset())
