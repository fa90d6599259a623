"""Where KVM's emulator does what one would not guess: met by the fuzz, and simulated.

Each has a program of its own (:data:`ANOMALIES`) that the tests run on both kernels. None is
left out of the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvmexit.guest.assembler import assemble
from kvmexit.probe.cases import ORIGIN
from kvmexit.probe.fuzz.programs import MSRS, Program, Save


@dataclass(frozen=True, slots=True)
class Anomaly:
    """``what`` in a sentence, and the smallest program that shows it."""

    name: str
    what: str
    program: Program


def _show(source: str, *saves: Save, **registers: int) -> Program:
    code = assemble(source.replace(";", "\n"), ORIGIN).code
    return Program(-1, (code,), {"esp": 0x8000, **registers}, (), saves)


def _reload(exit: int = 0, served: bool = True, **registers: int) -> Save:
    return Save(exit, served, "none", "changed", registers)


READ = "mov al, [0xd0024]"
ANOMALIES = (
    Anomaly(
        "pusha onto a device",
        "of its eight pushes only the last is an exit: there is room for one access",
        _show("pusha", esp=0xD0100),
    ),
    Anomaly(
        "a failed cmpxchg writes",
        "it writes back what it read",
        _show("cmpxchg [0xd0024], bl", eax=0x42),
    ),
    Anomaly(
        "what lies in the page: the offset of port data",
        "an MMIO read that nobody answers gets io.data_offset, which shares its place",
        _show(f"in al, 0x5a; {READ}", _reload(1, served=False)),
    ),
    Anomaly(
        "what lies in the page: the reason of an MSR exit",
        "an MMIO read that nobody answers gets msr.reason and msr.index",
        _show("wrmsr; and dword [0xd0042], -1", Save(1, False, "none", "same-vcpu"), ecx=MSRS[0]),
    ),
    Anomaly(
        "an MSR read that nobody answers",
        "gets 0, whatever the last one was answered",
        _show(
            "rdmsr; mov ecx, 0xdead0001; rdmsr", Save(1, False, "none", "same-vcpu"), ecx=MSRS[0]
        ),
    ),
    Anomaly(
        "rep ins counts again",
        "registers loaded at its exit change how much of what was read ahead is stored",
        _show("rep insb", _reload(ecx=2), ecx=8, edi=0x2000),
    ),
    Anomaly(
        "rep ins with a larger count",
        "stores what was left in the buffer from earlier",
        _show("rep insb", _reload(ecx=6), ecx=2, edi=0x2000),
    ),
    Anomaly(
        "rep ins stores where edi was",
        "the address is settled before the exit, the count after it",
        _show("rep insb", _reload(edi=0x3000), ecx=4, edi=0x2000),
    ),
    Anomaly(
        "rep ins downward onto a device",
        "reads ahead, stores one element, leaves, and drops the rest: port data is lost",
        _show("std; rep insb", ecx=3, edx=0x10, edi=0xD0100),
    ),
    Anomaly(
        "rep insd at the end of a page",
        "asks for as many elements as there are bytes left in the page",
        _show("rep insd", ecx=3, edx=0x10, edi=0x3FFD),
    ),
    Anomaly(
        "rep ins with ecx 0",
        "never completes: each entry gives the same exit again",
        _show("rep insb", Save(0, True, "none", "changed", {"ecx": 0}), ecx=4, edi=0x2000),
    ),
    Anomaly(
        "rep ins with ecx 0, and then with more",
        "goes on behind itself: the program counter had moved already",
        _show(
            "rep insb",
            Save(0, False, "none", "changed", {"ecx": 0}),
            Save(1, True, "none", "changed", {"ecx": 6}),
            ecx=4,
            edi=0xD0100,
        ),
    ),
    Anomaly(
        "rep movs with ecx 0",
        "ends before it looks at its answer; the next load gets it, without an exit",
        _show("rep movsb; mov al, [0x3000]", _reload(ecx=0), ecx=4, esi=0xD0024, edi=0x2000),
    ),
    Anomaly(
        "a locked instruction after rep movs with ecx 0",
        "gets that answer too, fails to exchange it in RAM, and loads once more",
        _show(
            "rep movsb; lock add byte [0x3000], 7",
            _reload(ecx=0),
            ecx=4,
            esi=0xD0024,
            edi=0x2000,
        ),
    ),
    Anomaly(
        "pop into esp",
        "keeps its answer although registers were loaded: the pop writes esp anyway",
        _show("pop esp", _reload(), esp=0xD0100),
    ),
    Anomaly(
        "leave is done again",
        "with the registers that were loaded at its exit",
        _show("leave", _reload(ebp=0x2000), ebp=0xD0100),
    ),
    Anomaly(
        "flags wait for the end",
        "flags loaded while a repeated instruction is pending stay until it retires",
        _show(
            "rep lodsb",
            Save(0, True, "kick-once", "changed", {"rflags": 0x4C5}),
            ecx=3,
            esi=0xD0024,
        ),
    ),
    Anomaly(
        "the registers of a fault",
        "are those of the last KVM_GET_REGS, which writes back what half of an instruction did",
        _show("retf", Save(1, True, "drain", "new-vm"), esp=0xD0100),
    ),
    Anomaly(
        "two of one shadow",
        "a second sti behind the first has no interrupt shadow",
        _show("sti; sti; mov al, [0xd0024]", Save(0, True, "drain", "new-vm")),
    ),
    Anomaly(
        "lgdt from a device",
        "never ends: the operand is read once for the device and once past it",
        _show("lgdt [0xd0024]", Save(1, True, "drain", "same-vcpu")),
    ),
    Anomaly(
        "scas keeps its accumulator",
        "a repeated one compares with what eax was when it began, whatever is loaded meanwhile",
        _show("repne scasb", _reload(eax=0x12), ecx=4, edi=0xD0024, eax=0x99),
    ),
    Anomaly(
        "flags of a comparison wait for the end",
        "an ecx of 0 under repne cmps gives the guest the flags of the elements compared so far",
        _show("repne cmpsb", _reload(2, ecx=0), ecx=4, esi=0xD0024, edi=0xD0040),
    ),
)
