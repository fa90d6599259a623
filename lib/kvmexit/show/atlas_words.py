"""What the map of the atlas says of a cell: the access, the save, the fate and why.

A reason holds for every exit of the atlas on every machine of the library that has the fate there;
``tests/unit/test_show_atlas.py`` holds those that speak of what came back against the exits.
"""

from __future__ import annotations

from kvmexit.errors import KvmExitError
from kvmexit.exits import DataExit, MmioRead, MmioWrite, PioIn, PioOut
from kvmexit.guest.assembler import Program
from kvmexit.probe.cases import ORIGIN, Case
from kvmexit.probe.report import Row
from kvmexit.probe.verdict import Verdict, access
from kvmexit.show.words import count

KINDS = {
    "mmio-read": "MMIO reads",
    "mmio-write": "MMIO writes",
    "pio": "ports",
    "msr": "MSRs",
}
"""The classes of exits by which the map can be looked at, besides those of several pieces."""

WHEN = {
    "served": "served, then saved",
    "unserved": "saved unserved",
    "kick-once": "one entry, what came back unserved",
    "serve-once": "one entry, what came back served",
    "drain": "drained, then saved",
}
INTO = {"new-vm": "a new VM", "same-vcpu": "the same vCPU"}
SAVED = {"whole": "registers and events", "registers": "the registers alone"}

TORN = "What was saved has a part of the instruction in it and lacks the rest."
ONE_ENTRY = "One entry was all that it took: it came back with EINTR."
DRAINED = "Entries until EINTR: nothing was left to be done."
WITHOUT = "The completion raised an exception. It is in the events, which were not saved"

NEW_VM = {
    ("served", Verdict.FINE): "What was to be done is done, and the registers say so.",
    ("served", Verdict.REPEATED): "The registers stand before the access, and the new VM makes"
    " it again.",
    ("served", Verdict.LOST): "The registers stand behind the whole instruction, and there was"
    " more of it to come.",
    ("served", Verdict.STALE): "The registers stand behind the instruction, and the answer is"
    " nowhere in what was saved.",
    ("served", Verdict.TORN): TORN,
    ("unserved", Verdict.FINE): "Nobody had asked the device; the new VM does.",
    ("unserved", Verdict.REPEATED): "This piece had not been asked for, but an earlier one had,"
    " and the new VM begins with the first.",
    ("unserved", Verdict.LOST): "The registers stand behind the access, and the device never"
    " heard of it.",
    ("unserved", Verdict.STALE): TORN,
    ("unserved", Verdict.TORN): TORN,
    ("kick-once", Verdict.FINE): "The entry came back with an access that the new VM makes again;"
    " nobody had served it.",
    ("kick-once", Verdict.REPEATED): "The entry came back with the next piece. What was served"
    " before is in no register, and the new VM begins with the first piece.",
    ("kick-once", Verdict.LOST): "The entry came back with the next access, the registers stand"
    " behind it, and nobody served it.",
    ("kick-once", Verdict.TORN): f"The entry came back in the middle of the instruction. {TORN}",
    ("serve-once", Verdict.FINE): "The entry came back with the last piece, a write, and that was"
    " served.",
    ("serve-once", Verdict.REPEATED): "The entry came back with one more access. It was served,"
    " and then that was pending; the new VM makes it again.",
    ("serve-once", Verdict.LOST): "The entry came back with a piece, which was served, and there"
    " was one more.",
    ("serve-once", Verdict.STALE): "The entry came back with a read. It was served, and its answer"
    " is nowhere in what was saved.",
    ("serve-once", Verdict.TORN): "The entry came back in the middle of the instruction, and that"
    f" was served. {TORN}",
}
STILL_THERE = "This vCPU still has the access. The entry completes it with what lies in kvm_run"
NEXT_THERE = "The entry came back with the next access, and nobody served it. The one after that"
FORGOTTEN = "KVM_SET_REGS made the emulator forget the registers that it held, and the answer"

SAME_VCPU = {
    ("served", Verdict.FINE): "This vCPU still has the access, and the entry completes it.",
    ("served", Verdict.STALE): f"{FORGOTTEN} with them.",
    ("unserved", Verdict.LOST): f"{STILL_THERE}, and the device never heard of it.",
    ("unserved", Verdict.REPEATED): f"{STILL_THERE}, an older answer, and the guest tells the"
    " device again what it had told it.",
    ("unserved", Verdict.STALE): f"{STILL_THERE}, and the guest goes on with that.",
    ("unserved", Verdict.TORN): f"{STILL_THERE}, and the guest goes another way.",
    ("kick-once", Verdict.LOST): f"{NEXT_THERE} completes it with what lies in kvm_run.",
    ("kick-once", Verdict.TORN): f"{NEXT_THERE} completes it with what lies in kvm_run, and the"
    " guest goes another way.",
    ("serve-once", Verdict.FINE): "The entry came back with the next access, which was served."
    " This vCPU still has it, and the one after that completes it.",
    ("serve-once", Verdict.STALE): "The entry came back with a read, which was served."
    f" {FORGOTTEN} with them.",
}
REASONS = {"new-vm": NEW_VM, "same-vcpu": SAME_VCPU}
ALONE = {
    Verdict.REPEATED: f"{WITHOUT}, and the guest makes the access again.",
    Verdict.TORN: f"{WITHOUT}, and the guest goes on as if there had been none.",
}


def verdict_of(name: str, row: Row, save: str, saved: str = "whole") -> Verdict:
    """What becomes of ``save`` at an exit of the case ``name``. KvmExitError if nobody can say."""
    verdict = row.save[save]
    if verdict is None:
        raise KvmExitError(f"{name}: the drain does not end, so {save} has no verdict")
    return row.alone.get(save, verdict) if saved == "registers" else verdict


def reason(restore: str, save: str, row: Row, saved: str = "whole") -> str:
    """Why, in a sentence."""
    verdict = verdict_of("this access", row, save, saved)
    if saved == "registers" and save in row.alone:
        return ALONE[verdict]
    if save == "drain":
        return DRAINED if verdict is Verdict.FINE else f"{verdict.meaning}."
    if save in ("kick-once", "serve-once") and row.drain_runs == 1:
        return ONE_ENTRY
    known = REASONS[restore].get((save, verdict))
    return known or f"{verdict.meaning[:1].upper()}{verdict.meaning[1:]}."


def kind_of(exit: DataExit) -> str:
    """The key of :data:`KINDS` of an exit."""
    kind = access(exit)[0]
    return kind if kind.startswith("mmio") else "pio" if kind.startswith("pio") else "msr"


def code(case: Case) -> str:
    """The instructions of a case in one line, without the closing ``hlt``."""
    try:
        rows = Program(ORIGIN, case.code).rows()
    except KvmExitError:  # outside the subset
        return case.code.hex(" ")
    return "; ".join(text for _, _, text in (rows[:-1] or rows))


def exit_words(exit: DataExit) -> str:
    """What an exit asks for."""
    _, where, size, items = access(exit)
    many = count(size * items, "byte")
    match exit:
        case MmioRead():
            return f"MMIO read of {many} at {where:#x}"
        case MmioWrite():
            return f"MMIO write of {many} at {where:#x}"
        case PioIn():
            return f"port {where:#x} read, {many}"
        case PioOut():
            return f"port {where:#x} written, {many}"
    return f"{type(exit).__name__.lower()} of MSR {where:#x}"


def facts(row: Row) -> str:
    """An exit and what was measured at it."""
    after = "" if row.rip_after is None else f", {row.rip_after:#x} after the drain"
    told = f"{exit_words(row.exit)}; rip {row.rip:#x} at the exit{after};"
    told += f" {count(row.drain_runs or 0, 'KVM_RUN')} to EINTR"
    if row.ram_written:
        told += f"; the drain changes {count(row.ram_written, 'byte')} of RAM"
    if row.changed:
        moved = " ".join(f"{name}={value:x}" for name, value in row.changed.items())
        told += f"; already changed: {moved}"
    return told
