"""Replaying a recording of the real kernel, where there is none.

:class:`RecordedKernel` answers as the recorded kernel did. It knows nothing of guests or of
KVM: a question that nobody asked while recording has no answer here, and says so.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

from kvmexit.errors import KvmExitError, said
from kvmexit.exits import READS, Interrupted, OtherExit, Rdmsr, VcpuExit, VcpuState, Wrmsr
from kvmexit.kernel import arguments
from kvmexit.kernel.lifetime import Unique
from kvmexit.kernel.ram import HeapRam
from kvmexit.kernel.recording import REFUSED, Answer, Input, Node, digest, load, name_state
from kvmexit.kernel.registers import fitted
from kvmexit.kernel.vm import OneVcpuVm, OpenKernel, shown

_SHIPPED = Path(__file__).parent / "recordings"


def shipped(name: str) -> Path:
    """The path of a recording that comes with this library."""
    if f"{name}.json.gz" not in os.listdir(_SHIPPED):
        names = ", ".join(sorted(p.name.removesuffix(".json.gz") for p in _SHIPPED.glob("*.gz")))
        raise KvmExitError(
            f"no recording {said(name)} comes with kvmexit; known: {names or 'none'}"
        )
    return _SHIPPED / f"{name}.json.gz"


class RecordedKernel(OpenKernel):
    """A kernel made of a recording. ``provenance`` says which kernel spoke, where and when."""

    name = "recorded"

    def __init__(self, path: str | Path) -> None:
        if not isinstance(path, str | os.PathLike):
            raise KvmExitError(f"a recording is the path of a file, not {said(path)}")
        self._recording = load(Path(path))

    @property
    def provenance(self) -> str:
        """One sentence: the kernel, the module, the processor, the day, and what was run."""
        facts = self._recording.host
        module = f" with {facts['module']}" if facts["module"] else ""
        return (
            f"Recorded on {facts['date']} from the {facts['kernel']} kernel, Linux"
            f" {facts['release']}{module} on {facts['cpu']}, by kvmexit {facts['kvmexit']}:"
            f" {facts['what']}."
        )

    def create_vm(self, memory_size: int) -> RecordedVm:
        """A VM at the beginning of its recorded life."""
        roots = self._recording.roots
        if arguments.memory_size(memory_size) not in roots:
            sizes = ", ".join(str(size) for size in sorted(roots)) or "none"
            raise _unrecorded(f"a VM with {memory_size} bytes of memory", f"sizes: {sizes}")
        return RecordedVm(memory_size, *roots[memory_size])

    def __repr__(self) -> str:
        return f"<RecordedKernel, {self._recording.host['what']}>"


class RecordedVm(OneVcpuVm):
    """RAM, and a vCPU that changes it as the recorded one did."""

    vcpu: RecordedVcpu

    def __init__(self, memory_size: int, root: Node, start: VcpuState) -> None:
        ram = HeapRam(memory_size)
        super().__init__(ram)
        self.vcpu = RecordedVcpu(memoryview(ram), root, start)


class RecordedRun(Unique):
    """The shared page: the last exit, and the answer to it."""

    def __init__(self) -> None:
        self._stop = 0
        self.given = ""
        self.last: VcpuExit = OtherExit(0)

    @property
    def immediate_exit(self) -> int:
        return self._stop

    @immediate_exit.setter
    def immediate_exit(self, value: int) -> None:
        self._stop = arguments.immediate_exit(value)

    @property
    def exit_reason(self) -> int:
        last = self.last
        return int(last.exit_reason if isinstance(last, OtherExit) else last.reason)

    def __repr__(self) -> str:
        return shown(self, self)

    def exit(self) -> VcpuExit:
        return self.last

    def answer(self, data: bytes) -> None:
        data = arguments.answer(data)
        if not isinstance(self.last, READS):
            raise arguments.nothing_to_answer(self.last)
        if self.given != REFUSED:
            self.given = data.hex()

    def refuse(self) -> None:
        if not isinstance(self.last, Rdmsr | Wrmsr):
            raise arguments.nothing_to_refuse(self.last)
        self.given = REFUSED


class RecordedVcpu(Unique):
    """Walks down the tree, one question a step."""

    def __init__(self, memory: memoryview, root: Node, start: VcpuState) -> None:
        self.kvm_run = RecordedRun()
        self._memory, self._node, self._state = memory, root, start
        self._left = bytearray()  # memory as the guest left it

    def run(self) -> VcpuExit | Interrupted:
        """KVM_RUN as recorded. Raises KvmExitError if this was never asked here."""
        page, now = self.kvm_run, bytes(self._memory)
        written = "" if bytes(self._left) == now else digest(now)
        question = ("run", page.immediate_exit, page.given, written)
        answer = self._follow(question, f"KVM_RUN with immediate_exit={page.immediate_exit}")
        page.given = ""
        if written:
            self._left = bytearray(now)
        for address, data in answer.changes:
            for ram in (self._memory, self._left):
                ram[address : address + len(data)] = data
        if not isinstance(answer.result, Interrupted):
            page.last = answer.result
        return answer.result

    def walk(self) -> Generator[Any, None, VcpuExit | Interrupted]:
        """``run``: a recording holds nothing of the guest's inside."""
        return self.run()
        yield

    def get_state(self) -> VcpuState:
        """The registers as they were read while recording."""
        return self._state

    def set_state(self, state: VcpuState) -> None:
        """As recorded. Raises KvmExitError if this state was never loaded here."""
        fitted(state)
        self._follow(("set", name_state(state)), f"loading the state with rip={state.rip:#x}")

    def kick(self) -> None:
        """Set ``immediate_exit``: a recorded guest is never found running."""
        self.kvm_run.immediate_exit = 1

    def __repr__(self) -> str:
        return shown(self, self.kvm_run)

    def _follow(self, question: Input, said: str) -> Answer:
        if question not in self._node.edges:
            given = self.kvm_run.given
            answered = f", answer {given}" if given else ""
            raise _unrecorded(f"{said}{answered}, after {self.kvm_run.last!r}")
        answer, self._node = self._node.edges[question]
        self._state = answer.state
        return answer


def _unrecorded(asked: str, known: str = "") -> KvmExitError:
    return KvmExitError(
        f"this recording has no such run: {asked}{f' ({known})' if known else ''};"
        " take --kernel simulated or --kernel real"
    )
