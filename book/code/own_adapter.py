"""How `kvmexit conform --adapter own_adapter.py` speaks with own_vmm.py."""

import os
import sys
from pathlib import Path

from kvmexit.conform import Adapter

VMM = str(Path(__file__).with_name("own_vmm.py"))
POLICY = os.environ.get("POLICY", "drain")  # skip-entry has the bug


class OwnVmm(Adapter):
    """Its API is a socket with one word a line."""

    binary = sys.executable

    def version(self):
        return f"own_vmm.py, policy {POLICY}"

    def start(self):
        words = [VMM, str(self.api), str(self.kernel), "--policy", POLICY]
        return [self.binary, *words]

    def load(self, saved):
        return [*self.start(), "--load", str(saved / "state")]

    def started(self):
        self.talk = self.connect().makefile("rw")

    def pause(self):
        self.ask("pause")

    def resume(self):
        self.ask("resume")

    def save(self, saved):
        self.ask(f"save {saved / 'state'}")

    def close(self):
        self.talk.close()

    def ask(self, line):
        print(line, file=self.talk, flush=True)
        if not self.talk.readline():
            raise OSError("it closed its socket")
