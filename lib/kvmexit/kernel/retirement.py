"""When an instruction retires, seen from the exit it causes: one row a machine.

``PAST`` at an exit means that the program counter which userspace can save already points
behind the instruction; ``AT`` that it still points to it and moves at completion.

What a save between exit and entry does follows from two things: where the program counter
is, and what only the completion would have done. A read at ``AT`` is repeated by the restored
machine; a read at ``PAST`` is never finished (the register keeps its old value); a write at
``AT`` is repeated; a write at ``PAST`` has nothing left to do, unless it has more pieces.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Pc(Enum):
    """Where the saved program counter is at an exit."""

    AT = "at"
    PAST = "past"


@dataclass(frozen=True, slots=True)
class Retirement:
    """The program counter at each kind of exit, and how that is known."""

    name: str
    mmio_read: Pc
    mmio_write: Pc
    pio_out: Pc
    evidence: str


EMULATOR = Retirement(
    "x86",
    mmio_read=Pc.AT,
    mmio_write=Pc.PAST,
    pio_out=Pc.PAST,
    evidence="ran: /dev/kvm of Linux 6.18 without VMX or SVM, where KVM's emulator does all exits",
)
FAST_PIO = Retirement(
    "x86-fast-out",
    mmio_read=Pc.AT,
    mmio_write=Pc.PAST,
    pio_out=Pc.AT,
    evidence="source: kvm_fast_pio_out, arch/x86/kvm/x86.c; since 45def77ebf79 (v5.1)",
)
ARM64 = Retirement(
    "arm64",
    mmio_read=Pc.AT,
    mmio_write=Pc.AT,
    pio_out=Pc.AT,
    evidence="source: kvm_handle_mmio_return, arch/arm64/kvm/mmio.c",
)
RISCV = Retirement(
    "riscv",
    mmio_read=Pc.AT,
    mmio_write=Pc.AT,
    pio_out=Pc.AT,
    evidence="source: kvm_riscv_vcpu_mmio_return, arch/riscv/kvm/vcpu_insn.c",
)
POWERPC = Retirement(
    "powerpc",
    mmio_read=Pc.PAST,
    mmio_write=Pc.PAST,
    pio_out=Pc.PAST,
    evidence="source: kvmppc_emulate_loadstore and kvmppc_complete_mmio_load, arch/powerpc/kvm",
)
MACHINES = {row.name: row for row in (EMULATOR, FAST_PIO, ARM64, RISCV, POWERPC)}
