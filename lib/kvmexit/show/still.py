"""The still frame: what a film shows without scripts, and on paper.

All text is the page's own colour; the other colours are the vocabulary's. Drawings have a fixed
size and are clipped, so that their text keeps its size on a telephone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from kvmexit.exits import Lane, Reason, What
from kvmexit.packet.outcome import Kind
from kvmexit.show.frame import Frame
from kvmexit.show.reel import Reel
from kvmexit.show.scene import marks, scene
from kvmexit.show.stage import Verdict
from kvmexit.show.vocabulary import LANES, MARKS, OUTCOMES, REGISTERS, STEPS, WORDS, OutcomeLook
from kvmexit.show.words import outcome_words, verdict_words

DRAWN = (What.EXECUTE, What.SERVE, What.ENTRY, What.REQUEST)
"""Steps that keep their shape here; the others are boxes, told apart by their labels."""
NEAR = "border:1px solid;border-radius:5px;padding:.35rem .5rem;margin:.4rem 0"
WIDTH, LEFT, TALL = 760, 58, 38


def strip_svg(kinds: Sequence[str], landing: int = 0) -> str:
    """The outcome at every landing, one column each, as wide as there is room."""
    paths: dict[str, list[str]] = {}
    for at, kind in enumerate(kinds):
        for top, bottom in OUTCOMES[Kind(kind)].bars:
            paths.setdefault(kind, []).append(f"M{at} {top}h1v{bottom - top}h-1z")
    drawn = "".join(
        f'<path {_fill(OUTCOMES[Kind(kind)])} d="{"".join(parts)}"/>'
        for kind, parts in paths.items()
    )
    if landing:
        drawn += f'<path fill="currentColor" d="M{landing - 2.5} 28l2-6 2 6z"/>'
    return (
        f'<svg role="img" aria-label="{escape(strip_words(kinds))}" width="100%" height="28"'
        f' viewBox="0 0 {len(kinds)} 28" preserveAspectRatio="none">{drawn}</svg>'
    )


def _fill(look: OutcomeLook) -> str:
    faded = f' fill-opacity="{look.opacity:g}"'.replace("0.", ".") if look.opacity < 1 else ""
    return f'fill="{look.colour}"{faded}'


def strip_words(kinds: Sequence[str]) -> str:
    """The strip in words."""
    found = ", ".join(f"{kinds.count(k.value)} {k.value}" for k in Kind if k.value in kinds)
    return f"Outcome at each of {len(kinds)} landings: {found}"


def lanes_svg(frames: Sequence[Frame], step: int) -> str:
    """Some steps around ``step`` on their lanes."""
    wide = [18 if frame.what is What.EXECUTE else 58 for frame in frames]
    first, room = step, 0
    while first > 0 and room + wide[first - 1] < 180:
        first -= 1
        room += wide[first]
    lines = {lane: 20 + TALL * n for n, lane in enumerate(LANES)}
    parts = []
    for lane, y in lines.items():
        parts.append(f'<path stroke="currentColor" opacity=".3" d="M{LEFT} {y}H{WIDTH}"/>')
        parts.append(f'<path fill="{LANES[lane].colour}" d="M0 {y - 7}h4v14h-4z"/>')
        parts.append(f'<text x="8" y="{y + 4}">{LANES[lane].name}</text>')
    x = LEFT
    for number in range(first, len(frames)):
        if x + wide[number] > WIDTH:
            break
        frame, mid = frames[number], x + wide[number] / 2
        what, lane = frame.what, frame.lane
        if number == step:
            parts.append(
                f'<rect x="{x + 1}" y="1" width="{wide[number] - 2}" height="{5 * TALL}" rx="4"'
                ' fill="none" stroke="currentColor" stroke-width="1.5"/>'
            )
        if frame.seen.pending:
            y = lines[Lane.KERNEL]
            parts.append(
                f'<path stroke="{LANES[Lane.KERNEL].colour}" stroke-width="5"'
                f' stroke-dasharray="4 3" d="M{mid:g} {y}h{wide[number]}"/>'
            )
            if what is What.EXIT:
                parts.append(
                    f'<text x="{mid + 12:g}" y="{y - 8}">{WORDS["pending"].lower()}</text>'
                )
        shape = STEPS[what if what in DRAWN else What.EXIT].shape
        parts.append(
            f'<path fill="{LANES[lane].colour}" transform="translate({mid:g} {lines[lane]})"'
            f' d="{shape}"/>'
        )
        if label := STEPS[what].label:
            parts.append(
                f'<text x="{mid:g}" y="{lines[lane] + 21}" text-anchor="middle">{label}</text>'
            )
        x += wide[number]
    words = f"Steps {first + 1} to {number} of {len(frames)}: " + " ".join(
        frame.sentence for frame in frames[first : first + 6]
    )
    return (
        f'<div style="overflow:hidden"><svg role="img" aria-label="{escape(words)}"'
        f' width="{WIDTH}" height="{5 * TALL + 6}" viewBox="0 0 {WIDTH} {5 * TALL + 6}"'
        ' style="display:block;max-width:none;font:12px system-ui,sans-serif"'
        f' fill="currentColor">{"".join(parts)}</svg></div>'
    )


def buffer_html(buffer: Sequence[int | None], expected: bytes, verdict: Verdict) -> str:
    """The guest's bytes; a wrong one is framed and says under it what it is."""
    cells = []
    for at, (byte, mark) in enumerate(zip(buffer, marks(buffer, expected, verdict))):
        if verdict.kind == "missing" and at == verdict.index:
            for lost in expected[at : at + verdict.shift]:
                cells.append(_cell(f"<s>{lost:02x}</s>", "gap"))
        cells.append(_cell(WORDS["unwritten"] if byte is None else f"{byte:02x}", mark))
    return f'<div style="display:flex;flex-wrap:wrap;gap:3px">{"".join(cells)}</div>'


def _cell(text: str, mark: str) -> str:
    border = "1px dashed" if mark == "gap" else "1px solid" if mark else "1px solid transparent"
    note = (
        f'<br><span style="font:12px system-ui,sans-serif">{MARKS[mark].word}</span>'
        if mark
        else ""
    )
    return (
        f'<span style="border:{border};border-radius:3px;padding:0 3px;text-align:center;'
        f'font:13px/1.35 ui-monospace,monospace">{text}{note}</span>'
    )


def still(film: Reel) -> str:
    """The whole of the film's ``text/html``."""
    frames, step = film.frames(), film.step
    frame, seen = frames[step], frames[step].seen
    verdict = film.verdict(film.landing)
    now = scene(frames[: step + 1])
    at_end = step == len(frames) - 1
    parts = []
    if film.title:
        parts.append(f"<p><strong>{escape(film.title)}</strong></p>")
    if kinds := film.kinds():
        parts += [strip_svg(kinds, film.landing), f"<p>{escape(strip_words(kinds))}.</p>"]
    if kinds or film.landing:
        parts.append(f"<p>{escape(outcome_words(verdict))}</p>")
    parts.append(f"<p>Step {step + 1} of {len(frames)}: {escape(frame.sentence)}</p>")
    parts.append(lanes_svg(frames, step))
    registers = ", ".join(f"{n} {v:#x}" for n, v in zip(REGISTERS, seen.registers))
    page = now.page
    cards = {
        WORDS["pending"]: escape(seen.pending or "nothing"),
        "kvm_run": f"immediate_exit {seen.immediate_exit}, exit_reason {page.reason_words}"
        + (
            f", mmio: phys_addr {page.gpa:#x}, len {page.size}, is_write {page.is_write}, data "
            + page.data.hex(" ")
            if page.reason == Reason.MMIO
            else ""
        ),
        WORDS["registers"]: registers,
    }
    if not film.source:
        expected = film.worlds[0].stage.undisturbed.guest
        cards["Device"] = f"offset {seen.device[0]} of {len(film.base.response)} bytes"
        cards[WORDS["guest"]] = buffer_html(now.bytes(), expected, verdict) or WORDS["empty"]
        cards[WORDS["verdict"]] = escape(verdict_words(verdict)) if at_end else WORDS["early"]
    parts += [f'<div style="{NEAR}"><strong>{k}:</strong> {v}</div>' for k, v in cards.items()]
    data = json.dumps(film.traits(), separators=(",", ":")).replace("</", "<\\/")
    return (
        '<div class="kvmexit-film"><script type="application/json">'
        + data
        + "</script>"
        + "".join(parts)
        + "</div>"
    )
