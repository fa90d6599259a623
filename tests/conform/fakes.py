"""The adapter of the fake VMM, and a run of it."""

import sys
from pathlib import Path
from random import Random

from kvmexit.conform import GUESTS, Adapter
from kvmexit.conform.harness import Harness
from kvmexit.errors import KvmExitError

FAKE = Path(__file__).with_name("fake_vmm.py")


class Fake(Adapter):
    """``fault`` happens at stop number ``at``. From the act on that is never answered because of
    it, patience is short: earlier a busy machine could be taken for the fault."""

    binary = sys.executable
    fault, at = "none", 0

    def start(self):
        return [self.binary, "-I", "-S", str(FAKE), str(self.api), self.fault, str(self.at)]

    def load(self, saved):
        return [*self.start(), str(saved / "state")]

    def started(self):
        self.lose_patience("half")
        self.talk = self.connect()
        self.lose_patience("mute")
        self.lose_patience("linux-panic")

    def lose_patience(self, fault):
        if self.fault == fault:
            self.process.limit = 0.2

    def pause(self):
        self.lose_patience("hang")
        self.ask("pause")

    def resume(self):
        self.ask("resume")
        self.lose_patience("stand")

    def save(self, saved):
        self.ask(f"save {saved / 'state'}")

    def close(self):
        if hasattr(self, "talk"):
            self.talk.close()

    def ask(self, text):
        self.talk.settimeout(self.process.limit)
        self.talk.send(text.encode())
        answer = self.talk.recv(100).decode().strip()
        if answer != "ok":
            raise KvmExitError(f"the fake says {answer!r}")


def fake(fault, at):
    return type("Fake", (Fake,), {"fault": fault, "at": at})


def seen(folder, fault, at, stops, seed, same, guest=GUESTS["reader"]):
    """What a run of the fake has seen."""
    adapter = fake(fault, at)(sys.executable, folder / "guest")
    with Harness(adapter, guest, folder, same, Random(seed)) as harness:
        for _ in range(stops):
            harness.stop()
        return harness.finish()
