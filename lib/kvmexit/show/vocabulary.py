"""How things look: the colours, shapes, signs and words of films and figures, stated once.

Python draws with these values, the player in the browser gets the same ones from
:func:`for_player`. Who and what there is to draw is not repeated here: lanes, steps, outcomes,
exits and registers are those of :mod:`kvmexit.exits` and :mod:`kvmexit.packet.outcome`.

Colours are mid-tones that stand out on white and on black. Nothing is told by colour alone: a
step has a shape and a label, an outcome bars and a letter, a byte's fate a sign and a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvmexit.exits import GPR_NAMES, Lane, Reason, What
from kvmexit.packet.kicks import Act
from kvmexit.packet.outcome import Kind
from kvmexit.probe.verdict import Verdict


@dataclass(frozen=True, slots=True)
class LaneLook:
    """Who acts: a line of the film."""

    name: str
    colour: str


LANES = {
    Lane.HOST: LaneLook("host", "#767676"),
    Lane.GUEST: LaneLook("guest", "#c4650f"),
    Lane.KERNEL: LaneLook("kernel", "#2b7bba"),
    Lane.VMM: LaneLook("VMM", "#138a63"),
    Lane.DEVICE: LaneLook("device", "#b8569b"),
}
"""From outside to inside, as they stand from top to bottom."""


@dataclass(frozen=True, slots=True)
class StepLook:
    """What happens: a mark on a lane. ``shape`` is an SVG path around (0, 0), filled by the
    even-odd rule; ``carries`` from which lane to which the step carries something."""

    shape: str
    label: str = ""
    carries: tuple[Lane, Lane] | None = None


STEPS = {
    What.EXECUTE: StepLook("M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"),
    What.EXIT: StepLook("M-6-6H6V6H-6z", "exit", (Lane.KERNEL, Lane.VMM)),
    What.EINTR: StepLook("M-6-6H6V6H-6zM-3-3V3H3V-3z", "EINTR", (Lane.KERNEL, Lane.VMM)),
    What.LOOK: StepLook(
        "M-7 0a7 7 0 1 0 14 0a7 7 0 1 0-14 0zM-4 0a4 4 0 1 1 8 0a4 4 0 1 1-8 0z", "look"
    ),
    What.SERVE: StepLook("M0-8L8 0L0 8L-8 0z", "serve", (Lane.VMM, Lane.DEVICE)),
    What.ENTRY: StepLook("M-6-7L8 0L-6 7z", "entry", (Lane.VMM, Lane.KERNEL)),
    What.COMPLETE: StepLook(
        "M-2-7H2V-2H7V2H2V7H-2V2H-7V-2H-2z", "complete", (Lane.KERNEL, Lane.GUEST)
    ),
    What.REQUEST: StepLook("M-8-6H8L0 8z", "suspend!", (Lane.HOST, Lane.VMM)),
    What.STOP: StepLook("M-3-7H3L7-3V3L3 7H-3L-7 3V-3z", "stop"),
    What.SAVE: StepLook("M-7-2H-2.500V-8H2.500V-2H7L0 7z", "save", (Lane.DEVICE, Lane.VMM)),
    What.RESTORE: StepLook("M-7 2H-2.500V8H2.500V2H7L0-7z", "restore", (Lane.VMM, Lane.DEVICE)),
    What.HALT: StepLook("M-7-7H-3V7H-7zM3-7H7V7H3z", "halt"),
}

ACTS = {
    Act.FLAG: "M-6-8H-4V8H-6zM-4-8L8-4L-4 0z",
    Act.SIGNAL: "M3-9L-6 1H-1L-3 9L6-2H1z",
}
"""Half a kick each: a flag, and a flash for the signal. Shapes as those of steps."""


@dataclass(frozen=True, slots=True)
class OutcomeLook:
    """How it ended: a column of a strip. ``bars`` are spans of a box of height 20, from its
    top; the letter is the outcome's own."""

    colour: str
    bars: tuple[tuple[int, int], ...]
    opacity: float = 1

    @property
    def dot(self) -> str:
        """The bars in a square of 8 around a point, as the rest of an SVG path that has moved
        there; a low bar alone, which would be a dash, is a small disc."""
        if len(self.bars) == 1 and self.bars[0][0] > 10:
            return "m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0z"
        edges = [(0.4 * top - 4, 0.4 * (bottom - top)) for top, bottom in self.bars]
        starts = [0, *(top for top, _ in edges)]
        path = ""
        for before, (top, tall) in zip(starts, edges):
            path += f"m{0 if path else -4:g} {top - before:g}h8v{tall:g}h-8z"
        return path


OUTCOMES = {
    Kind.OK: OutcomeLook("currentColor", ((17, 20),), 0.45),
    Kind.MISSING: OutcomeLook("#d1422f", ((0, 7), (13, 20))),
    Kind.STALE: OutcomeLook("#a97f00", ((10, 20),)),
    Kind.DUPLICATE: OutcomeLook("#7d62c9", ((0, 20),)),
    Kind.TORN: OutcomeLook("#8d6748", ((0, 3), (6, 9), (12, 15), (18, 20))),
    Kind.LOST: OutcomeLook("#0f8a99", ((0, 5),)),
}

VERDICTS = {
    Verdict.FINE: OUTCOMES[Kind.OK],
    Verdict.REPEATED: OUTCOMES[Kind.MISSING],
    Verdict.LOST: OUTCOMES[Kind.LOST],
    Verdict.STALE: OUTCOMES[Kind.STALE],
    Verdict.TORN: OUTCOMES[Kind.TORN],
}
"""What becomes of an access, as what becomes of a packet: a read repeated is a byte missing. The
letter is the first of the word."""


@dataclass(frozen=True, slots=True)
class FateLook:
    """What became of a byte: a short sign under it, and the word for it."""

    sign: str
    word: str


FATES = {
    "ok": FateLook("", "in its place"),
    "missing": FateLook("gone", "missing"),
    "moved": FateLook("→", "moved"),
    "twice": FateLook("×2", "duplicate"),
    "stale": FateLook("old", "stale"),
    "wrong": FateLook("✗", "wrong"),
    "unread": FateLook("left", "never read"),
}
"""By the names that :func:`kvmexit.show.fates.columns` gives."""
MOVED_UP = "←"
"""The sign of a moved byte where the rest of the packet moved up."""
TOLD = {
    Kind.OK: "Every byte arrived.",
    Kind.MISSING: "{count} missing: {bytes}.",
    Kind.STALE: "{count} stale: {bytes}.",
    Kind.DUPLICATE: "{count} twice: {bytes}.",
    Kind.TORN: "{count} wrong.",
    Kind.LOST: "Every byte arrived, a write is lost.",
}
"""What is said of the bytes of a run that ended so."""
HARM = {
    Kind.MISSING: "missing",
    Kind.STALE: "stale",
    Kind.DUPLICATE: "twice",
    Kind.TORN: "wrong",
}
"""The fate of the bytes that are counted there."""

GUESSES = {"right": FateLook("✓", "Right"), "wrong": FateLook("✗", "Not so")}
"""What is said of a reader's guess, before anything else is."""

REGISTERS = (*GPR_NAMES, "rip", "rflags")
PAGE = "struct kvm_run"
PAGE_FIELDS = (
    "immediate_exit",
    "exit_reason",
    "mmio.phys_addr",
    "mmio.len",
    "mmio.is_write",
    "mmio.data",
)
DEVICE_FIELDS = ("next byte's place", "next byte", "status")
END_FIELDS = ("driver returns", "driver prints", "reads of the response", "bytes left over")

WORDS = {
    "film": "Film of a run",
    "plain": "Nobody suspends it: the undisturbed run.",
    "suspend": "suspend:",
    "nobody": "no suspend",
    "play": "Play from the request to the first wrong byte",
    "link": "Link",
    "copied": "copied",
    "inAddress": "it is in the address",
    "more": "Registers, kvm_run, device, comparison, marks",
    "marks": "Marks",
    "executes": "guest",
    "pending": "Pending",
    "nothing": "none.",
    "registers": "Registers",
    "device": "Device",
    "compared": "Compared",
    "undisturbed": "undisturbed",
    "thisRun": "this run",
    "sent": "device sent",
    "got": "guest got",
    "driver": "Driver",
    "silent": "prints nothing",
    "wrongByte": "wrong byte",
    "unwritten": "··",
    "unreturned": "(nothing yet)",
    "stale": "(stale)",
    "unnamed": "KVM_EXIT_?",
}
"""Heads of cards, and what stands in a card that has nothing to show."""
PLAY, STOP, AGAIN = "Play", "Stop", "Play from the start"
"""On the button that sets something moving, that has, and that would from the beginning."""
ASKING = {
    "guess": "The line is time. Where would a suspend lose a byte? Choose a place.",
    "commit": "Would a suspend lose a byte here? Let go, or press Enter, and see.",
    "found": "You found one: suspended here, the machine loses a byte. Drag the arrow.",
    "lossAfter": "Nothing is lost at your place. A byte is, {steps} later: watch.",
    "lossBefore": "Nothing is lost at your place. A byte is, {steps} earlier: watch.",
    "kept": "Nothing is lost here. Drag the arrow.",
    "safe": "Nothing is lost here, nor at any other place. Try {other}.",
    "silentLoss": "A byte is lost here, and the driver does not notice.",
    "loudLoss": "A byte is lost here. The driver returns an error.",
    "drag": "Drag the arrow: there the machine is suspended, and goes on.",
    "losses": "A byte goes missing at {missing} of {all} places. At {silent} of them the driver"
    " returns as many bytes as it asked for, and does not notice.",
    "noLoss": "A byte goes missing at none of {all} places.",
    "by": "run by",
    "time": "time →",
}
"""What a film says that asks before it tells."""
MARKS = {
    Kind.OK: "nothing is lost",
    Kind.MISSING: "a byte is missing",
    Kind.STALE: "a byte is stale",
    Kind.DUPLICATE: "a byte came twice",
    Kind.TORN: "bytes are wrong",
    Kind.LOST: "a write is lost",
}
"""What the marks of outcomes mean, to who has not heard their words."""


def reason_words(number: int, stale: bool) -> str:
    """An exit reason by number and name: ``6 KVM_EXIT_MMIO (stale)``."""
    if number == Reason.UNKNOWN and stale:
        return f"{number} {WORDS['unreturned']}"
    name = next((one.c_name for one in Reason if one == number), WORDS["unnamed"])
    return f"{number} {name}" + (f" {WORDS['stale']}" if stale else "")


ELSEWHERE = ("ARM_", "RISCV_", "PAPR_", "DEBUG", "FAIL_")
FILMED = [one for one in Reason if not one.name.startswith(ELSEWHERE)]
"""Exits that a film can have: its machine is an x86 that nobody debugs and that is entered."""


def for_player() -> dict[str, Any]:
    """The same as JSON values, by the names that they have here. Lanes are known by their number
    in ``LANES``, and a shape of ``DOTS`` stands apart from the look that it belongs to."""
    order = list(LANES)
    return {
        "LANES": [
            {"key": lane.value, "name": look.name, "colour": look.colour}
            for lane, look in LANES.items()
        ],
        "STEPS": {
            what.value: {
                "shape": look.shape,
                "label": look.label,
                "carries": [order.index(lane) for lane in look.carries or ()],
            }
            for what, look in STEPS.items()
        },
        "OUTCOMES": {
            kind.value: {
                "colour": look.colour,
                "bars": look.bars,
                "opacity": look.opacity,
                "letter": "" if kind is Kind.OK else kind.letter,
            }
            for kind, look in OUTCOMES.items()
        },
        "DOTS": {kind.value: look.dot for kind, look in OUTCOMES.items()},
        "FATES": {name: {"sign": look.sign, "word": look.word} for name, look in FATES.items()},
        "MOVED_UP": MOVED_UP,
        "TOLD": {kind.value: words for kind, words in TOLD.items()},
        "HARM": {kind.value: fate for kind, fate in HARM.items()},
        "GUESSES": {name: {"sign": look.sign, "word": look.word} for name, look in GUESSES.items()},
        "REASONS": {int(reason): reason.name for reason in FILMED},
        "MMIO": int(Reason.MMIO),
        "INTR": int(Reason.INTR),
        "REGISTERS": REGISTERS,
        "DEVICE_FIELDS": DEVICE_FIELDS,
        "END_FIELDS": END_FIELDS,
        "PAGE": PAGE,
        "PAGE_FIELDS": PAGE_FIELDS,
        "WORDS": WORDS,
        "PLAY": PLAY,
        "STOP": STOP,
        "AGAIN": AGAIN,
        "ASKING": ASKING,
        "MARKS": {kind.value: words for kind, words in MARKS.items()},
    }
