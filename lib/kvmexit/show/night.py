"""The packets of a long test as dots: a thousand suspends on one screen.

A dot has the colour and the shape of its packet's outcome. The page's script lets the dots fall
in one after another, and shows the packet of the one that is chosen; without scripts there are
the dots and the table. What is shown of a packet is what the report of 2011 could see of it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Any

from kvmexit.packet.longtest import HEADINGS, LongTest, Suspend
from kvmexit.packet.outcome import Kind
from kvmexit.show.views import widget_view
from kvmexit.show.vocabulary import OUTCOMES

COLUMNS = 40
PITCH = 10
"""How far apart dots stand, in units of the drawing."""


@dataclass(frozen=True, slots=True)
class Dots:
    """A long test that shows itself as dots, and as its table where there is no page."""

    test: LongTest

    def __repr__(self) -> str:
        return repr(self.test)

    @property
    def data(self) -> dict[str, Any]:
        """What the script draws: rows of the table, the packets that differ, and their order.

        ``seen`` are the packets as ``[row, hexadecimal]``; ``order`` has the number of one of
        them for each suspend, ``first`` is the suspend that is shown first.
        """
        kinds = {_row(one): _kind(one) for one in reversed(self.test.suspends)}
        rows = [(*row, kinds[row[1:]].value) for row in self.test.tally]
        numbers = {row[1:3]: number for number, row in enumerate(rows)}
        packets = dict.fromkeys((numbers[_row(one)], one.packet) for one in self.test.suspends)
        places = {packet: number for number, packet in enumerate(packets)}
        order = [places[numbers[_row(one)], one.packet] for one in self.test.suspends]
        wrong = (n for n, one in enumerate(self.test.suspends) if _kind(one) is not Kind.OK)
        sent = self.test.sent.hex()
        return {
            "key": "kxn" + sha256(f"{sent} {order}".encode()).hexdigest()[:8],
            "columns": COLUMNS,
            "sent": sent,
            "headings": HEADINGS,
            "rows": rows,
            "seen": [(row, packet.hex()) for row, packet in packets],
            "order": order,
            "first": next(wrong, 0),
        }

    def html(self) -> str:
        """The dots and the table as they are without scripts, and the data."""
        data = json.dumps({"data": self.data}, separators=(",", ":")).replace("</", "<\\/")
        return (
            f'<div class="kvmexit-night"><script type="application/json">{data}</script>'
            f"{self._svg()}{self.test._repr_html_()}</div>"
        )

    def _svg(self) -> str:
        paths: dict[Kind, list[str]] = {}
        for number, one in enumerate(self.test.suspends):
            down, along = divmod(number, COLUMNS)
            at = f"M{along * PITCH + PITCH // 2} {down * PITCH + PITCH // 2}"
            paths.setdefault(_kind(one), []).append(at + OUTCOMES[_kind(one)].dot)
        drawn = "".join(
            f'<path fill="{OUTCOMES[kind].colour}" fill-opacity="{OUTCOMES[kind].opacity:g}"'
            f' d="{"".join(parts)}"/>'
            for kind, parts in paths.items()
        )
        words = "; ".join(f"{count} {packet}, {says}" for count, packet, says in self.test.tally)
        tall = -(-len(self.test.suspends) // COLUMNS) * PITCH
        return (
            f'<svg role="img" aria-label="{escape(words)}" style="max-width:32rem"'
            f' viewBox="0 0 {COLUMNS * PITCH} {tall}">{drawn}</svg>'
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self.html()}
        return {**bundle, **widget_view("NightWidget", {"data": self.data})}


def _row(one: Suspend) -> tuple[str, str]:
    """The line of the table in which a suspend is counted."""
    return one.packet_words, one.driver_words


def _kind(one: Suspend) -> Kind:
    """How its packet looks: nobody who has only the packet sees a write that was lost."""
    return Kind.OK if one.kind is Kind.LOST else one.kind


def dots(test: LongTest) -> Dots:
    """The packets of ``test``, a dot each, in the order in which they came."""
    return Dots(test)
