"""The sentence of a step: plain words, the same in the film, in text and to a screen reader."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvmexit.exits import (
    READS,
    Hlt,
    MmioRead,
    MmioWrite,
    PioIn,
    PioOut,
    Rdmsr,
    Reason,
    Shutdown,
    Step,
    What,
    Wrmsr,
)
from kvmexit.guest.tis_registers import COMMAND_READY, INDEX, STS, TIS_BASE
from kvmexit.packet.outcome import Kind
from kvmexit.show.frame import RIP, UNANSWERED, Seen
from kvmexit.show.stage import Stage, Verdict
from kvmexit.show.vocabulary import ASKING, WORDS
from kvmexit.vmm.machine import Machine


def count(number: int, noun: str) -> str:
    """``1 byte``, ``2 bytes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def wants(exit: Any) -> str:
    """What the guest wants of userspace."""
    match exit:
        case MmioRead(gpa, size):
            return f"the guest wants {count(size, 'byte')} from {gpa:#x}"
        case MmioWrite(gpa, data):
            return f"the guest writes {data.hex(' ')} to {gpa:#x}"
        case PioIn(port, size, items):
            return f"the guest wants {count(size * items, 'byte')} from port {port:#x}"
        case PioOut(port, _, _, data):
            return f"the guest writes {data.hex(' ')} to port {port:#x}"
        case Rdmsr(index):
            return f"the guest wants MSR {index:#x}"
        case Wrmsr(index, value):
            return f"the guest writes {value:#x} to MSR {index:#x}"
        case Hlt():
            return "the guest has executed hlt"
        case Shutdown():
            return "the guest found no handler for an exception"
    return f"{exit!r}"


def say(step: Step, stage: Stage, machine: Machine, before: Seen, after: Seen) -> str:
    """What happens in ``step``, in one or two sentences."""
    about = step.about
    match step.what:
        case What.EXECUTE:
            return f"The guest executes {about[1]} at {about[0]:#x}."
        case What.EXIT:
            name = Reason(int(about.reason)).c_name if hasattr(about, "reason") else "KVM_EXIT"
            return f"KVM_RUN returns 0, {name}: {wants(about)}."
        case What.EINTR:
            return "KVM_RUN returns -1, EINTR. Nothing is pending."
        case What.SERVE:
            return _serve(about, machine, before, after)
        case What.ENTRY:
            if after.immediate_exit:
                return "The VMM calls KVM_RUN with immediate_exit = 1."
            return "The VMM calls KVM_RUN."
        case What.COMPLETE:
            return _complete(about, before, after)
        case What.REQUEST:
            return (
                "The host wants this machine suspended. It sets the VMM's flag and"
                " immediate_exit = 1, and signals the vCPU."
            )
        case What.LOOK:
            if before.stop:
                return "The VMM looks at its flag: it has been asked to stop."
            return "The VMM looks at its flag: nobody has asked it to stop."
        case What.STOP:
            return f"The VMM stops, by its policy: {machine.policy.name}."
        case What.SAVE:
            return "The VMM saves registers, memory and device." + _at_save(before)
        case What.RESTORE:
            return _restore(machine, before, after)
        case What.HALT:
            return _halt(stage, machine)
    return str(step)


def _serve(exit: Any, machine: Machine, before: Seen, after: Seen) -> str:
    if not isinstance(exit, READS):
        register = register_name(exit)
        if register == "STS" and exit.data[0] & COMMAND_READY:
            return f"The device takes {exit.data.hex(' ')} into STS: the driver is done."
        return f"The device takes {exit.data.hex(' ')} into {register}."
    data = machine.bus.log[-1][1].hex(" ")
    if not machine.bus.is_data_read(exit):
        name = register_name(exit)
        return f"The device answers with {data} from {name}. The VMM puts it in kvm_run."
    moved = after.device[0] - before.device[0]
    if moved > 0:
        which = f"byte {before.device[0]}"
        if moved > 1:
            which = f"bytes {before.device[0]} to {after.device[0] - 1}"
        return f"The device pops {which}: {data}. The VMM puts it in kvm_run."
    response = machine.bus.device.save().response  # type: ignore[attr-defined]  # a Tis's state
    if after.device[2] < len(response) and after.device[1] & 0x10:
        return f"The device shows byte {after.device[2]}: {data}. Nothing is popped."
    return f"The device has no byte left and answers with a filler, {data}."


def register_name(exit: Any) -> str:
    """The name of the TIS register that an exit is about, or its address."""
    offset = getattr(exit, "gpa", 0) - TIS_BASE
    if STS <= offset < STS + 4:
        return "STS" if offset == STS else f"STS+{offset - STS}"
    if offset == INDEX:
        return "INDEX"
    return wants(exit).rpartition(" ")[2]


def _complete(exit: Any, before: Seen, after: Seen) -> str:
    if not isinstance(exit, READS):
        return "The kernel completes the write: nothing of it is pending any more."
    if before.registers[RIP] == after.registers[RIP]:
        return "The kernel takes what the page holds. RIP stays: the instruction is not over."
    if before.pending == UNANSWERED and before.registers[:RIP] == after.registers[:RIP]:
        return "The kernel completes the read, RIP moves on. eax to edi keep what was written back."
    return "The kernel completes the read: the answer goes to the guest, RIP moves on."


def _at_save(seen: Seen) -> str:
    if not seen.pending:
        return " Nothing is pending: this is all there is."
    what = "read" if "read" in seen.pending else "write"
    return f" A {what} is pending, and none of it is in what was saved."


def _restore(machine: Machine, before: Seen, after: Seen) -> str:
    if machine.restore_into == "new-vm":
        text = "A new VM gets what was saved."
        if before.pending:
            text += " It knows nothing of the pending access."
    else:
        text = "The same vCPU gets its registers written back."
        if before.pending.startswith("a read"):
            text += " The pending read loses its answer."
    if before.device[0] != after.device[0]:
        text += f" On load the device steps back: its next byte is {after.device[0]}."
    return text


def _halt(stage: Stage, machine: Machine) -> str:
    if stage.source is not None:
        return "The guest has halted."
    ending = stage.ending(machine)
    said = f' and prints "{ending.message}"' if ending.message else ""
    return f"The guest has halted: the driver returns {ending.returned}{said}."


def outcome_words(verdict: Verdict) -> str:
    """``Outcome: missing at 3, bytes were popped …``"""
    where = "" if verdict.index is None else f" at {verdict.index}"
    return f"Outcome: {verdict.kind}{where}, {Kind(verdict.kind).meaning}."


def loss_words(verdicts: Sequence[Verdict]) -> str:
    """At how many landings a byte goes missing, and at how many of these the driver, which got as
    many bytes as it asked for, says nothing."""
    missing = [one for one in verdicts if one.kind == Kind.MISSING.value]
    silent = [one for one in missing if one.returned >= 0 and not one.message]
    words = ASKING["losses" if missing else "noLoss"]
    return words.format(all=len(verdicts), missing=len(missing), silent=len(silent))


def verdict_words(verdict: Verdict) -> str:
    """What the driver returned and printed."""
    said = f'prints "{verdict.message}"' if verdict.message else WORDS["silent"]
    return f"returns {verdict.returned}, {said}"
