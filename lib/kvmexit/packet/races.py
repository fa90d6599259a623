"""The race of the report: a guest reads packets, and a host suspends it at random times.

Nothing here chooses a landing. The VMM looks for the request once a round, after the device has
answered, as most VMMs do; whether a read is pending then is the guest's affair. The host is a timer
of the kernel that rings after a memoryless while: whatever the guest does meanwhile, each moment of
its run is as likely to be hit as any other. A suspend may hit the guest in its idleness too.

Time is the guest's: from a request to the end of the restore the race's clock stands still, and no
other request comes. In the rest a stopwatch sees how long the VMM has the CPU with a read to serve.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from math import inf, sqrt
from pathlib import Path
from typing import Any

from kvmexit.errors import KvmExitError, said
from kvmexit.exits import DATA_EXITS, EINTR, Step, VcpuState, What
from kvmexit.guest import driver as tis_driver
from kvmexit.kernel import arguments
from kvmexit.kernel.alarm import Alarm
from kvmexit.kernel.arguments import whole
from kvmexit.kernel.real import RealKernel
from kvmexit.packet.experiment import Scenario, make_machine
from kvmexit.vmm.machine import Machine

WAIT = 0.003
"""Mean seconds from a restore to the next suspend of a guest that is never idle."""
THINKS = (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
"""Seconds of idleness of the guests of a recorded race."""
SHIPPED = Path(__file__).parents[1] / "kernel" / "recordings" / "race.json"


@dataclass(slots=True)
class Tally:
    """What a race counted, and what a stopwatch saw meanwhile.

    ``pending`` suspends found a served read of the response that had not been completed. For
    ``outside`` of them the request came while the VMM had the CPU, after KVM_RUN's return; for the
    others KVM_RUN was still to return, and had looked for signals for the last time.
    ``bytes_lost`` were popped and reached no guest.

    ``think`` are the seconds that the guest was to be idle after each packet, ``idle_seconds``
    those that it was, all packets together. ``seconds`` is how long it ran in all, suspends left
    out, and in these it made ``reads`` of the response. For ``outside_seconds`` of all these reads
    the VMM had the CPU: from KVM_RUN's return to the look after serving.
    """

    policy: str
    length: int
    think: float
    suspends: int = 0
    pending: int = 0
    outside: int = 0
    bytes_lost: int = 0
    packets: int = 0
    bad_packets: int = 0
    reads: int = 0
    seconds: float = 0.0
    idle_seconds: float = 0.0
    outside_seconds: float = 0.0

    @property
    def cycle(self) -> float:
        """Mean seconds from one packet to the next: its reading, and the idleness after it."""
        return self.seconds / self.packets

    @property
    def window(self) -> float:
        """Mean seconds for which the VMM has the CPU, with a read of the response to serve."""
        return self.outside_seconds / self.reads

    @property
    def expected_share(self) -> float:
        """The formula: reads of a packet, times the window of each, over the whole cycle."""
        return self.reads / self.packets * self.window / self.cycle

    @property
    def deviation(self) -> float:
        """How many standard deviations ``outside`` lies above what that share leads to expect."""
        share = self.expected_share
        return (self.outside - share * self.suspends) / sqrt(self.suspends * share * (1 - share))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def race(
    kernel: RealKernel,
    scenario: Scenario,
    suspends: int,
    *,
    think: float = 0.0,
    seed: int | None = None,
) -> Tally:
    """Suspend ``scenario``'s guest ``suspends`` times while it reads one packet after another.

    Each suspend saves and restores the whole machine. ``think`` seconds (0 to 1) pass after
    each packet, in which the guest is halted. The last packet is read to its end.
    """
    if not isinstance(kernel, RealKernel):
        raise KvmExitError(f"a race is run on real KVM, not on {said(kernel)}")
    if not whole(suspends) or suspends < 1:
        raise KvmExitError(f"a race takes at least one suspend, not {said(suspends)}")
    if not isinstance(think, int | float) or not 0 <= think <= 1:
        raise KvmExitError(f"a guest thinks for 0 to 1 seconds, not {said(think)}")
    policy = replace(scenario.make_policy(), looks_before_serving=False)
    machine = make_machine(kernel, replace(scenario, policy=policy))
    tally = Tally(policy.name, len(scenario.response), think)
    try:
        with Alarm() as alarm:
            _Host(machine, scenario, alarm, tally, random.Random(arguments.seed(seed))).suspend(
                suspends
            )
    finally:
        machine.vm.close()
    return tally


class _Host:
    """Reads packets and is idle, and suspends the machine whenever the alarm rings."""

    def __init__(
        self,
        machine: Machine,
        scenario: Scenario,
        alarm: Alarm,
        tally: Tally,
        chance: random.Random,
    ) -> None:
        self.machine, self.scenario, self.alarm = machine, scenario, alarm
        self.tally, self.chance = tally, chance
        self.start = machine.vm.vcpu.get_state()
        self.remaining = 0
        self.due = inf  # when the next request comes
        self.stopped = 0.0  # seconds from requests to the ends of their restores

    def suspend(self, suspends: int) -> None:
        """Suspend the machine so often, and go on to the end of a cycle."""
        self.remaining = suspends
        begin = time.perf_counter()
        self._ask()
        while self.remaining:
            self._read_packet()
            self._idle()
        self.tally.seconds = time.perf_counter() - begin - self.stopped

    def _ask(self) -> None:
        """Suspend again, after a while that does not depend on anything."""
        self.alarm.wakes(self.machine.vm.vcpu)
        self.due = inf
        if self.remaining:
            wait = self.chance.expovariate(1 / (WAIT + 2 * self.tally.think))
            self.due = time.perf_counter() + wait
            self.alarm.ring_in(wait)

    def _steps(self) -> Iterator[Step]:
        """The machine's steps, suspended where the alarm rings."""
        returned, late, reading, suspended = 0.0, False, False, False
        for step in self.machine.steps():
            if step.what is What.EXIT and isinstance(step.about, DATA_EXITS):
                late = self.alarm.rung()  # too late for KVM_RUN to see it
                returned = time.perf_counter()
            elif step.what is What.SERVE:
                reading = self.machine.bus.is_data_read(step.about)
            elif step.what is What.LOOK:
                rung = self.alarm.rung()
                if reading:  # what is after the request is no longer part of the race
                    looked = min(time.perf_counter(), self.due)
                    self.tally.outside_seconds += max(0.0, looked - returned)
                    self.tally.reads += 1
                    self.tally.outside += rung
                if rung or late:
                    self.machine.request_stop()
                reading = late = False
            elif step.what is What.STOP:
                suspended = True
                self.remaining -= 1
                self.tally.suspends += 1
                self.tally.pending += _read_is_pending(self.machine)
            elif step.what is What.ENTRY and suspended:
                suspended = False
                self.stopped += time.perf_counter() - self.due
                self._ask()
            yield step

    def _read_packet(self) -> None:
        tally, response = self.tally, self.scenario.response
        device = _insert_packet(self.machine, self.start, self.scenario)
        for _ in self._steps():
            pass
        tally.packets += 1
        state = self.machine.vm.vcpu.get_state()
        guest = bytes(self.machine.vm.memory[tis_driver.BUFFER : tis_driver.BUFFER + state["ecx"]])
        tally.bad_packets += guest != response or state["eax"] != len(response)
        tally.bytes_lost += len(response) - device.left_over - genuine(guest, response)

    def _idle(self) -> None:
        """The guest is halted. Suspended meanwhile, it is idle for what was left."""
        left = self.tally.think
        while left > 0:
            begin = time.perf_counter()
            rung = self.alarm.rings_within(left)
            idle = time.perf_counter() - begin
            self.tally.idle_seconds += idle
            left -= idle
            if rung:
                self._suspend_halted()

    def _suspend_halted(self) -> None:
        """The kick makes KVM_RUN return before the guest executes anything."""
        self.machine.request_stop()
        restored = False
        for step in self._steps():
            if step.what is What.ENTRY and restored:
                break
            restored |= step.what is What.RESTORE


def recorded_race() -> Record:
    """The race that ships with the library, for machines that have no KVM."""
    document = json.loads(SHIPPED.read_text())
    return Record(document["host"], [Tally(**tally) for tally in document["tallies"]])


@dataclass(frozen=True, slots=True)
class Record:
    """Races against guests of different idleness, and the ``host`` on which they were run."""

    host: dict[str, str]
    tallies: list[Tally]

    @property
    def provenance(self) -> str:
        """One sentence: where and when."""
        host = self.host
        module = f" with {host['module']}" if host["module"] else ""
        return f"Run on {host['date']} on Linux {host['release']}{module}, {host['cpu']}."

    def as_json(self) -> str:
        """The file's text."""
        tallies = [tally.as_dict() for tally in self.tallies]
        return json.dumps({"host": self.host, "tallies": tallies}, indent=1) + "\n"


def _insert_packet(machine: Machine, start: VcpuState, scenario: Scenario) -> Any:
    """A new response in the device, and the guest at its driver's first instruction."""
    device = machine.bus.device = scenario.make_device()
    machine.bus.log.clear()
    machine.calls.clear()
    machine.saves.clear()
    machine.vm.vcpu.set_state(start)
    return device


def _read_is_pending(machine: Machine) -> bool:
    result = machine.calls[-1][1] if machine.calls else EINTR
    return isinstance(result, DATA_EXITS) and machine.bus.is_data_read(result)


def genuine(guest: bytes, response: bytes) -> int:
    """How many bytes of ``response`` are in ``guest``, in order."""
    at = found = 0
    for byte in guest:
        position = response.find(byte, at)
        if position >= 0:
            at, found = position + 1, found + 1
    return found
