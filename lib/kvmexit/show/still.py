"""The still frame: what a film shows without scripts, and on paper.

All text is the page's own colour; the other colours are the vocabulary's. Drawings have a fixed
size and are clipped, so that their text keeps its size on a telephone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from kvmexit.exits import Lane, Reason
from kvmexit.packet.outcome import Kind
from kvmexit.show.fates import Column, columns, told
from kvmexit.show.frame import Frame
from kvmexit.show.reel import Reel
from kvmexit.show.scene import scene
from kvmexit.show.stage import Verdict
from kvmexit.show.story import events, stops
from kvmexit.show.vocabulary import (
    FATES,
    LANES,
    MOVED_UP,
    OUTCOMES,
    REGISTERS,
    STEPS,
    WORDS,
    OutcomeLook,
)
from kvmexit.show.words import loss_words, outcome_words, verdict_words

NEAR = "border:1px solid;border-radius:5px;padding:.35rem .5rem;margin:.4rem 0"
CELL = "padding:0 1px;text-align:center;font:12px/1.3 ui-monospace,monospace;border:0"
SCROLLS = "overflow-x:auto;break-inside:avoid"
BEFORE, AFTER, WIDEST = 8, 4, 32
"""Events that are drawn before and after the one that is shown, and bytes of a row."""


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


def rows_html(found: Sequence[Column], buffer: Sequence[int | None], expected: bytes) -> str:
    """What the device sent and what the guest got, in the same columns, and a sign for each
    byte that is not in its place."""
    first = next((at for at, one in enumerate(found) if one.fate != "ok"), 0)
    start = max(0, min(first - WIDEST // 3, len(found) - WIDEST))
    shown = found[start : start + WIDEST]
    up = any(one.fate == "missing" for one in found)
    sent = [f"{expected[one.sent]:02x}" if one.sent is not None else "" for one in shown]
    got = [_got(one, buffer, expected) for one in shown]
    signs = [MOVED_UP if up and one.fate == "moved" else FATES[one.fate].sign for one in shown]
    words = ", ".join(
        f"{text or FATES[one.fate].sign} {FATES[one.fate].word}"
        for one, text in zip(shown, sent)
        if one.fate != "ok"
    )
    rest = len(found) - start - len(shown)
    aside = f"<p>{start} bytes before, {rest} after.</p>" if start or rest else ""
    rows = [(WORDS["sent"], sent), (WORDS["got"], got)]
    if any(signs):
        rows.append(("", signs))
    body = "".join(
        f'<tr><th scope="row" style="{CELL};text-align:left">{name}</th>'
        + "".join(f'<td style="{CELL}">{cell}</td>' for cell in cells)
        + "</tr>"
        for name, cells in rows
    )
    label = f"Bytes sent and bytes got: {words or FATES['ok'].word}"
    return (
        f'<div style="{SCROLLS}"><table aria-label="{escape(label)}" style="width:auto">'
        f"<tbody>{body}</tbody></table></div>{aside}"
    )


def _got(one: Column, buffer: Sequence[int | None], expected: bytes) -> str:
    if one.got is None:
        return f"<s>{expected[one.sent or 0]:02x}</s>" if one.fate == "missing" else ""
    byte = buffer[one.got]
    text = WORDS["unwritten"] if byte is None else f"{byte:02x}"
    return text if one.fate in ("ok", "moved") else f"<strong>{text}</strong>"


def lanes_html(frames: Sequence[Frame], told: Sequence[int], step: int) -> str:
    """The events about ``step``, a lane a row: a table, so that it is one without drawings."""
    now = max(number for number, at in enumerate(told) if at <= step) if step else 0
    first = max(0, min(now - BEFORE, len(told) - BEFORE - AFTER))
    shown = [at for at in told[first : first + BEFORE + AFTER + 1]]
    rows = []
    for lane in LANES:
        cells = "".join(_mark(frames[at], lane, at == step) for at in shown)
        rows.append(
            f'<tr><th scope="row" style="{CELL};text-align:left">{LANES[lane].name}</th>'
            f"{cells}</tr>"
        )
    body = "".join(rows)
    return f'<div style="{SCROLLS}"><table style="width:auto"><tbody>{body}</tbody></table></div>'


def _mark(frame: Frame, lane: Lane, now: bool) -> str:
    """A cell of the lanes: the step's mark and label on its own, the pending line below it."""
    edge = ";background:color-mix(in srgb,currentColor 12%,transparent)" if now else ""
    if lane is Lane.KERNEL and frame.seen.pending:
        edge += f";border-bottom:4px dashed {LANES[lane].colour}"
    if frame.lane is not lane:
        return f'<td style="{CELL}{edge}"></td>'
    look = STEPS[frame.what]
    label = escape(frame.label or look.label)
    return (
        f'<td style="{CELL}{edge}"><svg aria-hidden="true" width="18" height="18"'
        f' viewBox="-9 -9 18 18" style="display:block;margin:auto"><path fill-rule="evenodd"'
        f' fill="{LANES[lane].colour}" d="{look.shape}"/></svg>{label}</td>'
    )


def still(film: Reel) -> str:
    """The whole of the film's ``text/html``, in the order of the film: strip, bytes, lanes."""
    frames, verdict = film.filmed(film.landing)
    step, world = film.step, film.worlds[0]
    parts = [f"<p><strong>{escape(film.title)}</strong></p>"] if film.title else []
    if kinds := film.kinds():
        parts += [strip_svg(kinds, film.landing), f"<p>{escape(strip_words(kinds))}.</p>"]
    if not film.source:
        parts += _bytes(frames, world.expected, verdict)
    elif kinds or film.landing:
        parts.append(f"<p>{escape(outcome_words(verdict))}</p>")
    if film.face == "small":
        parts += [f"<p>{escape(line)}</p>" for line in _losses(film) if film.veiled]
    else:
        story = events(frames, stops(frames, verdict, world.expected))
        parts.append(lanes_html(frames, story, step))
        parts.append(f"<p>Step {step + 1} of {len(frames)}: {escape(frames[step].sentence)}</p>")
        parts += _cards(frames, step)
    classes = "kvmexit-film" + " small" * (film.face == "small") + " veiled" * film.veiled
    data = json.dumps(film.traits(), separators=(",", ":")).replace("</", "<\\/")
    return (
        f'<div class="{classes}"><script type="application/json">'
        + data
        + "</script>"
        + "".join(parts)
        + "</div>"
    )


def _losses(film: Reel) -> list[str]:
    """What the landings come to under each policy."""
    names = film.names["policy"]
    said = [loss_words([run[3] for run in runs]) for runs in film.runs.values() if runs]
    policies = [names[choice[1]] for choice, runs in film.runs.items() if runs]
    return [f"{name}: {words}" for name, words in zip(policies, said)]


def _bytes(frames: Sequence[Frame], expected: bytes, verdict: Verdict) -> list[str]:
    buffer = scene(frames).bytes()
    found = columns(buffer, expected, verdict)
    harm = told(found, buffer, expected, verdict.kind)
    said = escape(f"{harm} {WORDS['driver']} {verdict_words(verdict)}.")
    return [rows_html(found, buffer, expected), f"<p>{said}</p>"]


def _cards(frames: Sequence[Frame], step: int) -> list[str]:
    """What is folded in the film: pending, kvm_run and the registers."""
    seen, page = frames[step].seen, scene(frames[: step + 1]).page
    access = (
        f", mmio: phys_addr {page.gpa:#x}, len {page.size}, is_write {page.is_write}, data "
        + page.data.hex(" ")
        if page.reason == Reason.MMIO
        else ""
    )
    cards = {
        WORDS["pending"]: escape(seen.pending or WORDS["nothing"]),
        "kvm_run": f"immediate_exit {seen.immediate_exit}, exit_reason {page.reason_words}{access}",
        WORDS["registers"]: ", ".join(f"{n} {v:#x}" for n, v in zip(REGISTERS, seen.registers)),
    }
    return [f'<div style="{NEAR}"><strong>{k}:</strong> {v}</div>' for k, v in cards.items()]
