"""The race of the report: a guest reads packets, and another thread suspends it at random times.

Nothing here chooses a landing. The VMM looks for the request once a round, after the device has
answered, as most VMMs do; whether a read is pending then is the guest's affair.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR, Kernel, VcpuState, What
from kvmexit.guest import driver as tis_driver
from kvmexit.packet.experiment import Scenario, make_machine
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.machine import Machine

WAIT = 0.002
"""Seconds between two suspends of a guest that is never idle: once to twice this."""
THINKS = (0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
"""Seconds of idleness of the guests of a recorded race."""
SHIPPED = Path(__file__).parents[1] / "kernel" / "recordings" / "race.json"
CALIBRATION = 25
"""Packets that are read undisturbed, to know how long one takes."""
SWITCH = 20e-6
"""Seconds for which a thread may keep Python to itself during a race."""


@dataclass(slots=True)
class Tally:
    """What a race counted. ``pending`` suspends found a served read of the response that had
    not been completed; ``bytes_lost`` were popped and reached no guest. ``think`` are the seconds
    that the guest was idle after each packet, ``packet_seconds`` what an undisturbed one takes."""

    policy: str
    length: int
    think: float
    packet_seconds: float
    suspends: int = 0
    pending: int = 0
    bytes_lost: int = 0
    packets: int = 0
    bad_packets: int = 0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def race(
    kernel: Kernel,
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
    if suspends < 1:
        raise KvmExitError(f"a race takes at least one suspend, not {suspends}")
    if not 0 <= think <= 1:
        raise KvmExitError(f"a guest thinks for 0 to 1 seconds, not {think:g}")
    policy = replace(scenario.make_policy(), looks_before_serving=False)
    machine = make_machine(kernel, replace(scenario, policy=policy))
    start = machine.vm.vcpu.get_state()
    tally = Tally(
        policy.name, len(scenario.response), think, _packet_seconds(machine, start, scenario)
    )
    host = Host(machine, suspends, WAIT + think, random.Random(seed))
    # Python hands over between threads every 5 ms: too coarse for a request at any time.
    switch_interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    # On one processor the host could only run while the guest does not.
    processors = os.sched_getaffinity(0)
    guests = min(processors)
    os.sched_setaffinity(0, {guests})
    host.processors = processors - {guests} or processors
    host.start()
    try:
        while host.is_alive() or machine.stop_requested:
            _read_packet(machine, start, scenario, tally, host)
            time.sleep(think)
    finally:
        sys.setswitchinterval(switch_interval)
        os.sched_setaffinity(0, processors)
        host.give_up()
        machine.vm.close()
    return tally


class Host(threading.Thread):
    """Asks for a suspend after a random while, then waits until the machine runs again."""

    def __init__(self, machine: Machine, suspends: int, wait: float, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self.machine, self.remaining, self.chance = machine, suspends, chance
        self.wait = wait
        self.processors: set[int] = set()
        self.asked = threading.Event()  # the request is out, the kick included
        self.ready = threading.Event()  # the machine runs again

    def run(self) -> None:
        os.sched_setaffinity(0, self.processors)
        due = 0.0
        while self.remaining > 0:
            time.sleep(max(0.0, due - time.perf_counter()))
            # Counted from the request, not from the restore: what the guest was doing when it
            # was suspended must not decide when it is suspended again.
            due = time.perf_counter() + self.chance.uniform(1, 2) * self.wait
            self.remaining -= 1
            self.machine.request_stop()
            self.asked.set()
            self.ready.wait()
            self.ready.clear()

    def give_up(self) -> None:
        """Ask for no more, whatever state the machine is in."""
        self.remaining = 0
        self.ready.set()
        self.join()


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


def _packet_seconds(machine: Machine, start: VcpuState, scenario: Scenario) -> float:
    """What one packet takes undisturbed: the median of some."""
    durations = []
    for _ in range(CALIBRATION):
        _insert_packet(machine, start, scenario)
        begin = time.perf_counter()
        for _ in machine.steps():
            pass
        durations.append(time.perf_counter() - begin)
    return median(durations)


def _read_packet(
    machine: Machine, start: VcpuState, scenario: Scenario, tally: Tally, host: Host
) -> None:
    device = _insert_packet(machine, start, scenario)
    for step in machine.steps():
        if step.what is What.STOP:
            host.asked.wait()
            tally.suspends += 1
            tally.pending += _read_is_pending(machine.bus, machine)
        elif step.what is What.ENTRY and host.asked.is_set() and not machine.stop_requested:
            host.asked.clear()
            host.ready.set()
    tally.packets += 1
    state = machine.vm.vcpu.get_state()
    guest = bytes(machine.vm.memory[tis_driver.BUFFER : tis_driver.BUFFER + state["ecx"]])
    tally.bad_packets += guest != scenario.response or state["eax"] != len(scenario.response)
    popped = len(scenario.response) - device.left_over
    tally.bytes_lost += popped - genuine(guest, scenario.response)


def _read_is_pending(bus: Bus, machine: Machine) -> bool:
    result = machine.calls[-1][1] if machine.calls else EINTR
    if result is None or result is EINTR:
        return False
    return bus.is_data_read(result)  # type: ignore[arg-type]  # EINTR is out, mypy cannot tell


def genuine(guest: bytes, response: bytes) -> int:
    """How many bytes of ``response`` are in ``guest``, in order."""
    at = found = 0
    for byte in guest:
        position = response.find(byte, at)
        if position >= 0:
            at, found = position + 1, found + 1
    return found
