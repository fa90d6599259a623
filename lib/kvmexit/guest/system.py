"""Instructions of an operating system: segments, descriptor tables, far returns, interrupts.

This guest has no descriptor table (its limit is 0), so a selector that is not null finds no
descriptor: #GP, with the selector as error code. A null selector can be loaded into ds, es, fs
and gs. Left out, and refused like any instruction outside the subset: an access to memory after
that, which would be #GP through that segment; a descriptor table loaded from RAM; ``push`` and
``pop`` of a segment register.
"""

from __future__ import annotations

from kvmexit.errors import KvmExitError
from kvmexit.guest.cpu import (
    BEHIND_MOV_SS,
    BEHIND_STI,
    EBP,
    ESP,
    GENERAL_PROTECTION,
    IF,
    MASK,
    Cpu,
    Execution,
    Fault,
    Load,
    LoadTable,
    NotEmulated,
    Place,
    Segment,
    fetch,
    write,
)
from kvmexit.guest.forms import OUTSIDE, Insn, instruction
from kvmexit.guest.moves import pop_value, push_value


def _find(segment: str, selector: int) -> None:
    """Look for the descriptor of a selector where there is no table: the fault, or nothing for a
    null selector where that may be loaded.

    Source: ``__load_segment_descriptor``, arch/x86/kvm/emulate.c.
    """
    if selector & ~3:
        raise Fault(GENERAL_PROTECTION, selector & 0xFFFC)
    if segment in ("cs", "ss"):
        raise Fault(GENERAL_PROTECTION, 0)


@instruction("mov", "8e /r sreg rm2")
def mov_to_segment(cpu: Cpu, insn: Insn) -> Execution:
    """Behind ``mov ss`` there is an interrupt shadow, even if it has raised an exception."""
    dst, src = insn.locate(cpu)
    assert isinstance(dst, Segment)
    selector = yield from fetch(cpu, src)
    if str(dst) == "ss":
        cpu.casts = BEHIND_MOV_SS
    _find(str(dst), selector)
    cpu.null[dst.number] = selector
    return None


@instruction("mov", "8c /r rm2v sreg")
def mov_from_segment(cpu: Cpu, insn: Insn) -> Execution:
    """Two bytes in memory, whatever the size of the instruction; a register is filled up."""
    dst, src = insn.locate(cpu)
    selector = yield from fetch(cpu, src)
    yield from write(cpu, dst, selector)
    return None


@instruction("retf", "cb")
def retf(cpu: Cpu, insn: Insn) -> Execution:
    target = yield from pop_value(cpu, 4)
    selector = yield from pop_value(cpu, 4, behind=4)
    _find("cs", selector & MASK[2])
    return target


@instruction("iret", "cf")
def iret(cpu: Cpu, insn: Insn) -> None:
    """KVM's emulator knows it in real mode only (``em_iret``, arch/x86/kvm/emulate.c)."""
    raise NotEmulated


@instruction("enter", "c8 imm2 imm8")
def enter(cpu: Cpu, insn: Insn) -> Execution:
    """With a nesting level, of which five bits count, KVM's emulator gives up (``em_enter``)."""
    size, level = insn.locate(cpu)
    assert not isinstance(size, Place) and not isinstance(level, Place)
    if level.get(cpu) & 31:
        raise NotEmulated
    yield from push_value(cpu, cpu.gpr[EBP], 4)
    cpu.gpr[EBP] = cpu.gpr[ESP]
    cpu.advance(ESP, -size.get(cpu))
    return None


@instruction("lgdt", "0f 01 /2 m6")
@instruction("lidt", "0f 01 /3 m6")
def load_table(cpu: Cpu, insn: Insn) -> Execution:
    """KVM's emulator reads the operand twice: four bytes as any operand, then all six in a way
    that reaches no device. There the instruction begins again, and never ends
    (``read_descriptor``, arch/x86/kvm/emulate.c)."""
    start = cpu.rip
    (src,) = insn.locate(cpu)
    assert isinstance(src, Place)
    yield Load(src.address, 4)
    if (yield LoadTable(src.address)):
        raise KvmExitError(
            f"{OUTSIDE} at {start:#x}: {insn.text(start)} finds a table in RAM"
            " (`kvmexit probe --kernel real` loads it)"
        )
    return start


@instruction("sti", "fb")
def sti(cpu: Cpu, insn: Insn) -> None:
    cpu.flags |= IF
    cpu.casts = BEHIND_STI


@instruction("cli", "fa")
def cli(cpu: Cpu, insn: Insn) -> None:
    cpu.flags &= ~IF
