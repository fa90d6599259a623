"""Making a recording: a kernel around a kernel, that remembers what was asked and answered."""

from __future__ import annotations

import datetime
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvmexit import __version__
from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR, Interrupted, VcpuExit, VcpuState
from kvmexit.kernel import arguments
from kvmexit.kernel.host import host
from kvmexit.kernel.lifetime import Unique
from kvmexit.kernel.protocol import Kernel, KvmRun, Vm
from kvmexit.kernel.recording import (
    REFUSED,
    Answer,
    Changes,
    Input,
    Node,
    digest,
    name_rest,
    name_state,
    save,
)
from kvmexit.kernel.vm import OneVcpuVm, OpenKernel, shown


class Recorder(OpenKernel):
    """A kernel that passes everything on to another, and remembers what it said.

    A guest that is kicked while it runs can be recorded but not asked the same again: the
    kernel's answer then depends on the clock. :meth:`save` writes what was remembered.
    """

    def __init__(self, kernel: Kernel) -> None:
        self.name = kernel.name
        self._kernel = kernel
        self._roots: dict[int, Node] = {}
        self._starts: dict[int, VcpuState] = {}

    def create_vm(self, memory_size: int) -> RecorderVm:
        """A new VM of the kernel behind, whose life is remembered."""
        vm = self._kernel.create_vm(memory_size)
        root = self._roots.setdefault(memory_size, Node())
        self._starts.setdefault(memory_size, vm.vcpu.get_state())
        return RecorderVm(vm, root)

    def __repr__(self) -> str:
        return f"<Recorder, {self._kernel!r}>"

    def save(self, path: str | Path, what: str) -> None:
        """Write the recording to ``path``; ``what`` says in a few words what was recorded."""
        facts = host()._asdict() | {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "kvmexit": __version__,
            "kernel": self.name,
            "what": what,
        }
        save(Path(path), self._roots, self._starts, facts)


class RecorderVm(OneVcpuVm):
    """A VM whose RAM is that of the VM behind."""

    vcpu: RecorderVcpu

    def __init__(self, vm: Vm, root: Node) -> None:
        super().__init__(vm.memory)
        self._vm = vm
        self.vcpu = RecorderVcpu(vm, root)

    def close(self) -> None:
        """Close the VM behind, too."""
        self._vm.close()
        super().close()


class RecorderRun(Unique):
    """The page of the vCPU behind; notes the answer that is put into it."""

    def __init__(self, page: KvmRun) -> None:
        self._page = page
        self.given = ""
        self.exit = page.exit

    @property
    def immediate_exit(self) -> int:
        return self._page.immediate_exit

    @immediate_exit.setter
    def immediate_exit(self, value: int) -> None:
        self._page.immediate_exit = value

    @property
    def exit_reason(self) -> int:
        return self._page.exit_reason

    def __repr__(self) -> str:
        return shown(self, self)

    def answer(self, data: bytes) -> None:
        data = arguments.answer(data)
        self._page.answer(data)
        if self.given != REFUSED:
            self.given = data.hex()

    def refuse(self) -> None:
        self._page.refuse()
        self.given = REFUSED


class RecorderVcpu(Unique):
    """Asks the vCPU behind, and adds the question and its answer to the tree."""

    def __init__(self, vm: Vm, root: Node) -> None:
        self.kvm_run = RecorderRun(vm.vcpu.kvm_run)
        self._vm, self._vcpu, self._node = vm, vm.vcpu, root
        self._memory: bytes | None = None

    def run(self) -> VcpuExit | Interrupted:
        page, before = self.kvm_run, bytes(self._vm.memory)
        written = "" if before == self._memory else digest(before)
        question = ("run", page.immediate_exit, page.given, written)
        result = self._vcpu.run()
        page.given = ""
        self._memory = bytes(self._vm.memory)
        changes = () if before == self._memory else _differences(before, self._memory)
        self._remember(question, Answer(result, self._named_state(), changes))
        return result

    def walk(self) -> Generator[Any, None, VcpuExit | Interrupted]:
        return self.run()
        yield

    def get_state(self) -> VcpuState:
        return self._vcpu.get_state()

    def set_state(self, state: VcpuState) -> None:
        self._vcpu.set_state(state)
        self._remember(("set", name_state(state)), Answer(EINTR, self._named_state()))

    def kick(self) -> None:
        self._vcpu.kick()

    def __repr__(self) -> str:
        return shown(self, self.kvm_run)

    def _named_state(self) -> VcpuState:
        """The state, with a name in place of the kernel's own part: that part is 4 KiB."""
        state = self._vcpu.get_state()
        return replace(state, rest=name_rest(state.rest))

    def _remember(self, question: Input, answer: Answer) -> None:
        known = self._node.edges.setdefault(question, (answer, Node()))
        if known[0] != answer:
            raise KvmExitError(
                f"the kernel answered one question in two ways: {known[0].result!r} and"
                f" {answer.result!r}; a guest that is kicked while it runs cannot be recorded"
            )
        self._node = known[1]


def _differences(old: bytes, new: bytes) -> Changes:
    """The bytes that changed, in runs; a gap of a few equal bytes does not end a run."""
    changes: list[tuple[int, bytes]] = []
    start = end = -1
    for page in range(0, len(new), 256):
        if old[page : page + 256] == new[page : page + 256]:
            continue
        for i in range(page, min(page + 256, len(new))):
            if old[i] == new[i]:
                continue
            if start >= 0 and i - end > 8:
                changes.append((start, new[start : end + 1]))
                start = -1
            start, end = (i if start < 0 else start), i
    if start >= 0:
        changes.append((start, new[start : end + 1]))
    return tuple(changes)
