"""The report's long-term test: a machine that is suspended at random moments.

The author of the report of 2011 saw three things of each suspend: the dump of the device's
state, the packet that the guest printed afterwards, and what its driver complained of. So does
the reader of :class:`LongTest`; where in the run a suspend landed, nobody is told.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from random import Random

from kvmexit.errors import KvmExitError, said
from kvmexit.kernel import arguments
from kvmexit.kernel.arguments import whole
from kvmexit.kernel.protocol import Kernel
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.packet.experiment import (
    Arrival,
    Landing,
    Phase,
    Scenario,
    ending_of,
    make_machine,
    reference,
    run,
)
from kvmexit.packet.outcome import Kind, classify

HEADINGS = ("times", "packet", "the driver says")


@dataclass(frozen=True, slots=True)
class Suspend:
    """What is seen of one suspend.

    ``offset`` is from the dump taken while the machine was suspended: the next byte of the
    response that the device would give. ``packet``, ``returned`` and ``message`` are what the
    guest's driver ended with, ``reads`` how often the device was read in all.
    """

    offset: int
    packet: bytes
    returned: int
    message: str | None
    reads: int
    kind: Kind

    @property
    def packet_words(self) -> str:
        """The packet in words, without a guess at the cause."""
        match self.kind:
            case Kind.OK | Kind.LOST:
                return "right"
            case Kind.MISSING:
                return "a byte missing"
            case Kind.DUPLICATE:
                return "a byte twice"
        return "wrong in another way"

    @property
    def driver_words(self) -> str:
        """What the driver says of it."""
        if self.message:
            return self.message
        return "nothing" if self.returned >= 0 else f"nothing, but returns {self.returned}"


@dataclass(frozen=True, slots=True)
class LongTest:
    """Suspends in the order in which they came; ``sent`` is the response they interrupted."""

    sent: bytes
    suspends: tuple[Suspend, ...]

    def inside(self) -> LongTest:
        """Only the suspends whose dump shows the device in the middle of the packet."""
        kept = tuple(one for one in self.suspends if 0 < one.offset < len(self.sent))
        return LongTest(self.sent, kept)

    def first(self, packet: str, said: str = "nothing", offset: int | None = None) -> Suspend:
        """The first suspend with this packet, about which the driver said this; with ``offset``,
        the first whose dump shows it."""
        for one in self.suspends:
            if (one.packet_words, one.driver_words) != (packet, said):
                continue
            if offset in (None, one.offset):
                return one
        where = "" if offset is None else f" and offset {offset}"
        raise KvmExitError(
            f"no suspend with packet {packet!r}, driver {said!r}{where}; there are: "
            + "; ".join(sorted({f"{s.packet_words} / {s.driver_words}" for s in self.suspends}))
        )

    @property
    def tally(self) -> list[tuple[int, str, str]]:
        """How often each (packet, driver) was seen, the most frequent first."""
        seen = Counter((one.packet_words, one.driver_words) for one in self.suspends)
        ranked = sorted(seen.items(), key=lambda item: (-item[1], item[0]))
        return [(count, packet, driver) for (packet, driver), count in ranked]

    def _repr_html_(self) -> str:
        """The table, for a page."""
        head = "".join(f'<th scope="col">{name}</th>' for name in HEADINGS)
        rows = "".join(
            f"<tr><td>{count}</td><td>{packet}</td><td>{escape(driver)}</td></tr>"
            for count, packet, driver in self.tally
        )
        return f'<table class="table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'

    def __repr__(self) -> str:
        rows = [HEADINGS]
        rows += [(str(count), packet, driver) for count, packet, driver in self.tally]
        width = max(len(row[1]) for row in rows)
        return "\n".join(f"{a:>5}  {b:<{width}}  {c}" for a, b, c in rows)


def compare(sent: bytes, packet: bytes) -> str:
    """Both in hexadecimal, one above the other, and a mark under the first difference."""
    lines = [sent.hex(" "), packet.hex(" ")]
    for at, pair in enumerate(zip(sent, packet)):
        if pair[0] != pair[1]:
            return "\n".join([*lines, "   " * at + "^^"])
    return "\n".join(lines)


def long_test(
    scenario: Scenario, suspends: int = 1000, seed: int = 2011, kernel: Kernel | None = None
) -> LongTest:
    """Suspend ``scenario`` again and again, each time at a moment drawn by ``seed``.

    Every moment at which a request can arrive is as likely as every other: how the odds are
    in real time is another question (:mod:`kvmexit.packet.timing`).
    """
    if not whole(suspends) or suspends < 1:
        raise KvmExitError(f"a test needs at least one suspend, not {said(suspends)}")
    exits = run(SimulatedKernel(), scenario).exits
    random = Random(arguments.seed(seed))
    moments = [
        Landing(random.randrange(exits) + 1, random.choice(tuple(Phase))) for _ in range(suspends)
    ]
    see = lru_cache(maxsize=None)(lambda moment: _suspend(kernel, scenario, moment))
    return LongTest(scenario.response, tuple(see(moment) for moment in moments))


def _suspend(kernel: Kernel | None, scenario: Scenario, landing: Landing) -> Suspend:
    machine = make_machine(kernel or SimulatedKernel(), scenario)
    try:
        arrival = Arrival(landing, machine.bus)
        for step in machine.steps():
            if arrival.due(step):
                machine.request_stop()
        device = machine.bus.device
        ending = ending_of(machine.vm, device)
    finally:
        machine.vm.close()
    return Suspend(
        offset=machine.saves[0].device.offset,
        packet=ending.guest,
        returned=ending.returned,
        message=ending.message,
        reads=ending.reads,
        kind=classify(reference(scenario), ending).kind,
    )
