"""The first runs of the book, on any kernel: one read, one write, one read across a page.

Each tells its story as lines: what userspace did, what KVM_RUN returned ("at once" is with
immediate_exit = 1), and before it two registers as they are afterwards. The recording
``first-runs`` holds what real KVM answered.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kvmexit.exits import Interrupted, VcpuExit
from kvmexit.kernel.protocol import Kernel, Vcpu, Vm
from kvmexit.kernel.recorder import Recorder
from kvmexit.probe.cases import RAM, Case, case

READ = case("one read", "mov al, [0xfed40024]")
WRITE = case("one write", "mov [0xfed40024], al", eax=0x77)
ACROSS = case("a read across a page", "mov eax, [0xfed40ffe]")


def stand(kernel: Kernel, what: Case) -> Vm:
    """A new VM with ``what`` in its memory, its vCPU at the first instruction."""
    vm = kernel.create_vm(RAM)
    what.load(vm.memory)
    vm.vcpu.set_state(what.state())
    return vm


def one_read(kernel: Kernel) -> list[str]:
    """Answered, completed alone, and entered until it halts."""
    vm = stand(kernel, READ)
    vcpu = vm.vcpu
    story = [_line("KVM_RUN", vcpu, vcpu.run())]
    vcpu.kvm_run.answer(b"\x5a")
    story.append(_line("answer 5a", vcpu))
    vcpu.kvm_run.immediate_exit = 1
    story.append(_line("KVM_RUN at once", vcpu, vcpu.run()))
    story.append(f"{'':<26} exit_reason is {int(vcpu.kvm_run.exit_reason)}")
    vcpu.kvm_run.immediate_exit = 0
    story.append(_line("KVM_RUN", vcpu, vcpu.run()))
    return story


def saved_too_early(kernel: Kernel) -> list[str]:
    """Answered, and copied into a new VM without another entry."""
    vm = stand(kernel, READ)
    story = [_line("KVM_RUN", vm.vcpu, vm.vcpu.run())]
    vm.vcpu.kvm_run.answer(b"\x5a")
    state = vm.vcpu.get_state()
    copy = kernel.create_vm(RAM)
    copy.memory[:] = vm.memory[:]
    copy.vcpu.set_state(state)
    story.append(_line("new VM: KVM_RUN", copy.vcpu, copy.vcpu.run()))
    return story


def one_write(kernel: Kernel) -> list[str]:
    """At its exit."""
    vm = stand(kernel, WRITE)
    vcpu = vm.vcpu
    return [_line("KVM_RUN", vcpu, vcpu.run())]


def across_a_page(kernel: Kernel) -> list[str]:
    """Two fragments, the second asked for by an entry with immediate_exit set."""
    vm = stand(kernel, ACROSS)
    vcpu = vm.vcpu
    story = [_line("KVM_RUN", vcpu, vcpu.run())]
    vcpu.kvm_run.immediate_exit = 1
    for data in (b"\x11\x22", b"\x33\x44"):
        vcpu.kvm_run.answer(data)
        story.append(_line("KVM_RUN at once", vcpu, vcpu.run()))
    return story


STORIES: tuple[Callable[[Kernel], list[str]], ...] = (
    one_read,
    saved_too_early,
    one_write,
    across_a_page,
)


def record(kernel: Kernel, path: Path) -> None:
    """Tell every story on ``kernel`` and write to ``path`` what it answered."""
    recorder = Recorder(kernel)
    for story in STORIES:
        story(recorder)
    recorder.save(path, "the first reads and writes of the book")


def _line(act: str, vcpu: Vcpu, result: VcpuExit | Interrupted | None = None) -> str:
    state = vcpu.get_state()
    seen = f"eax={state['eax']:#x} rip={state['rip']:#x}"
    return f"{seen:<26} {act}" + ("" if result is None else f" = {result!r}")
