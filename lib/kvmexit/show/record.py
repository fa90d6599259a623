"""A run as frames: each step with what is to be seen after it.

The machine yields its steps before they happen, a frame is taken after. Inside a stop policy
the machine *tells* its steps; there the entry, what the kernel completes and how KVM_RUN comes
back are taken apart, because that is where the film looks closest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kvmexit.exits import DATA_EXITS, READS, Lane, MmioRead, MmioWrite, Reason, Step, What
from kvmexit.kernel.emulator import MemoryAccess
from kvmexit.kernel.protocol import KvmRun
from kvmexit.packet.experiment import Scenario
from kvmexit.show.frame import UNANSWERED, Frame, PageOp, Seen
from kvmexit.show.own_lines import label_of, line_now, sentence_of
from kvmexit.show.stage import BUFFER, Stage
from kvmexit.show.words import say
from kvmexit.vmm.bus import Bus
from kvmexit.vmm.machine import Machine

REQUEST = Step(Lane.HOST, What.REQUEST)


class HeardBus(Bus):
    """A bus that tells the film what a stop policy has served."""

    def __init__(self, bus: Bus, camera: Camera) -> None:
        super().__init__(bus.device, bus.base, bus.size)
        self._camera = camera

    def serve(self, kvm_run: KvmRun) -> None:
        step = Step(Lane.DEVICE, What.SERVE, kvm_run.exit())
        super().serve(kvm_run)
        if self._camera.inside_stop:
            self._camera.take(step, line=line_now())


class Camera:
    """Takes frames of one machine."""

    def __init__(self, stage: Stage, machine: Machine) -> None:
        self.stage, self.machine = stage, machine
        self.frames: list[Frame] = []
        self.pending: Any = None
        self.answer: bytes | None = None
        self.inside_stop = False
        machine.bus = HeardBus(machine.bus, self)
        machine.tell = self.hear
        self._trace: list[MemoryAccess] = []
        self._watch()
        self._seen = self.look()

    # -- seeing -----------------------------------------------------------------------------

    def _watch(self) -> None:
        """Hear of every store of the guest's; a new VM has a new vCPU."""
        vcpu: Any = self.machine.vm.vcpu
        if getattr(vcpu, "trace", None) is not self._trace and hasattr(vcpu, "watched"):
            vcpu.watched, vcpu.trace = True, self._trace

    def _written(self) -> tuple[int, bytes] | None:
        """What the last step stored in the guest's buffer: where, and the bytes."""
        size, found = self.stage.watches_buffer, None
        for access in self._trace:
            at = access.address - BUFFER
            if access.is_write and 0 <= at < size:
                start, data = found or (at, b"")
                found = (start, data + access.data)
        self._trace.clear()
        return found

    def look(self) -> Seen:
        """What is to be seen now."""
        vcpu, device = self.machine.vm.vcpu, self.machine.bus.device.save()
        state = vcpu.get_state()
        return Seen(
            (*state.gpr, state.rip, state.rflags),
            vcpu.kvm_run.immediate_exit,
            self._pending_words(),
            (device.offset, device.status, device.index),  # type: ignore[attr-defined]  # a Tis
            self.machine.stop_requested,
        )

    def _pending_words(self) -> str:
        if self.pending is None:
            return ""
        if not isinstance(self.pending, READS):
            return "a write, for the next KVM_RUN to finish"
        if self.answer is None:
            return UNANSWERED
        return f"a read, answered with {self.answer.hex(' ')}, not yet in a register"

    # -- taking -----------------------------------------------------------------------------

    def take(self, step: Step, landing: int = 0, line: tuple[int, str] | None = None) -> None:
        """One frame: ``step`` has just happened, by a ``line`` of the reader's own stop path."""
        before = self._seen
        page = self._note(step)
        self._seen = seen = self.look()
        write = self._written()
        self._watch()
        sentence, label = say(step, self.stage, self.machine, before, seen), ""
        if line:
            sentence, label = sentence + sentence_of(line), label_of(line)
        self.frames.append(
            Frame(step.lane, step.what, sentence, seen, page, write, landing, step.about, label)
        )

    def pass_over(self, step: Step) -> None:
        """``step`` has just happened, and somebody has its frame already."""
        self._note(step)

    def go_on(self) -> None:
        """The next frame is taken again."""
        self._seen = self.look()
        self._trace.clear()

    def _note(self, step: Step) -> PageOp:
        """Keep track of what is pending; what the step did to the shared page."""
        match step.what:
            case What.EXIT:
                exit = step.about
                self.answer = None
                self.pending = exit if isinstance(exit, DATA_EXITS) else None
                return exit_op(exit)
            case What.SERVE:
                if isinstance(step.about, READS):
                    self.answer = self.machine.bus.log[-1][1]
                    return ("answer", self.answer[:8])
            case What.COMPLETE:
                self.pending = None
            case What.EINTR:
                if self.machine.vm.vcpu.kvm_run.exit_reason == Reason.INTR:
                    return ("reason", int(Reason.INTR))
            case What.RESTORE:
                self.answer = None
                if self.machine.restore_into == "new-vm":
                    self.pending = None
                    return ("new",)
        return ()

    def hear(self, step: Step) -> None:
        """A step inside a stop policy. KVM_RUN has returned when it tells of its return."""
        if step.what is What.ENTRY:
            self.take(step, line=line_now())
            return
        if self.pending is not None:
            self.take(Step(Lane.KERNEL, What.COMPLETE, self.pending))
        self.take(step)


def exit_op(exit: Any) -> PageOp:
    """What an exit writes into kvm_run. A read leaves old bytes in ``mmio.data``."""
    reason = int(getattr(exit, "reason", getattr(exit, "exit_reason", 0)))
    if isinstance(exit, MmioRead):
        return ("exit", reason, exit.gpa, exit.size, 0, b"")
    if isinstance(exit, MmioWrite):
        return ("exit", reason, exit.gpa, len(exit.data), 1, exit.data)
    return ("reason", reason)


def shown_steps(machine: Machine) -> Iterator[Step]:
    """The machine's steps without the idle look of a VMM that looks before it serves.

    Some policies look at the request right after KVM_RUN, all look after serving. Without the
    idle one, the undisturbed run has the same steps, and so the same landings, under each.
    """
    last = None
    for step in machine.steps():
        idle = step.what is What.LOOK and last is What.EXIT and not machine.stop_requested
        if not idle:
            yield step
        last = step.what


Meet = Callable[[int], bool]
"""Called before an instruction executes, with the number of frames taken so far; True ends it."""


def drive(
    camera: Camera,
    steps: Iterator[Step],
    landing: int | None = None,
    first: int = 1,
    meet: Meet | None = None,
    begin: int = 0,
) -> bool:
    """Take a frame after each step, the suspend arriving before step ``landing``.

    The steps are counted from ``first``; those before step ``begin`` get no frame. False if
    ``meet`` has ended it.
    """
    count, held, where = first - 1, None, 0
    for step in steps:
        if held is not None and count < begin:
            camera.pass_over(held)
        elif held is not None:
            camera.take(held, where)
        if count + 1 == begin:
            camera.go_on()
        camera.inside_stop = step.what is What.STOP
        count += 1
        if step.what is What.EXECUTE and meet is not None and meet(len(camera.frames)):
            return False
        where = count if landing is None or count <= landing else 0
        held = step
        if count == landing:
            camera.machine.request_stop()
            camera.take(REQUEST)
            if step.what is What.EXECUTE:  # the kick comes before it: it does not execute
                held = None
        if step.what is What.STOP:
            camera.take(step)
            held = None
    if held is not None:
        camera.take(held, where)
    return True


def record(stage: Stage, scenario: Scenario | None = None, landing: int | None = None) -> Camera:
    """Film one whole run: undisturbed, or with the suspend before step ``landing`` (from 1)."""
    camera = Camera(stage, stage.machine(scenario))
    drive(camera, shown_steps(camera.machine), landing)
    return camera


__all__ = ["Camera", "drive", "record", "shown_steps"]
