"""When an instruction retires, seen from the exit it causes: one row a machine.

``PAST`` at an exit means that the program counter which userspace can save already points
behind the instruction; ``AT`` that it still points to it and moves at completion.

What a save between exit and entry does follows from two things: where the program counter
is, and what only the completion would have done. A read at ``AT`` is repeated by the restored
machine; a read at ``PAST`` is never finished (the register keeps its old value); a write at
``AT`` is repeated; a write at ``PAST`` has nothing left to do, unless it has more pieces.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from kvmexit.exits import PioOut, VcpuExit


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
    out_past: tuple[int, ...] = ()
    """Ports at which ``out`` is behind its instruction all the same."""
    fast_in: bool = False
    """``in`` is completed without the emulator: it writes its register whatever userspace has
    written there meanwhile, and does nothing if userspace has moved the program counter."""
    keeps_answer: bool = False
    """What userspace writes to registers while an exit is pending takes nothing from it: the
    completion puts the answer into its register, over what was written there, and moves the
    program counter on from where it is now. Where this is False the answer is dropped."""
    asks_page: bool = False
    """Entry completes only if ``exit_reason`` in the shared page still names the exit."""
    shutdown_resets: bool = False
    """Where the processor shuts down, the vCPU at KVM_EXIT_SHUTDOWN is one after INIT; else it is
    as it was."""
    queues_ud: bool = False
    """At KVM_EXIT_INTERNAL_ERROR, because an instruction cannot be emulated, a #UD waits in the
    events: whoever enters again gives it to the guest (``handle_emulation_failure``, x86.c)."""

    def late(self, write: VcpuExit, string: bool) -> bool:
        """Does the instruction that wrote retire only at completion? ``string`` output goes
        through the emulator everywhere, and does not."""
        if isinstance(write, PioOut):
            return self.pio_out is Pc.AT and not string and write.port not in self.out_past
        return self.mmio_write is Pc.AT


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
    evidence="ran: Linux 6.1 with kvm_amd in QEMU's TCG, and with kvm_intel in Bochs; the function"
    " is kvm_fast_pio_out, arch/x86/kvm/x86.c, since 45def77ebf79 (v5.1), port 0x7e excepted since"
    " 8764ed55c970; string output goes through the emulator",
    out_past=(0x7E,),
    fast_in=True,
    queues_ud=True,
)
SVM = replace(
    FAST_PIO,
    name="x86-svm",
    evidence="ran: Linux 6.1 with kvm_amd in QEMU's TCG; as x86-fast-out, and"
    " shutdown_interception, arch/x86/kvm/svm/svm.c, does an INIT",
    shutdown_resets=True,
)
ARM64 = Retirement(
    "arm64",
    mmio_read=Pc.AT,
    mmio_write=Pc.AT,
    pio_out=Pc.AT,
    evidence="ran: Linux 6.1 in QEMU's TCG; the function is kvm_handle_mmio_return,"
    " arch/arm64/kvm/mmio.c at 022c8328dc80",
    keeps_answer=True,
    asks_page=True,
)
RISCV = Retirement(
    "riscv",
    mmio_read=Pc.AT,
    mmio_write=Pc.AT,
    pio_out=Pc.AT,
    evidence="ran: Linux 6.12 in QEMU's TCG; the function is kvm_riscv_vcpu_mmio_return,"
    " arch/riscv/kvm/vcpu_insn.c at 0eaed89c18ae",
    keeps_answer=True,
    asks_page=True,
)
POWERPC = Retirement(
    "powerpc",
    mmio_read=Pc.PAST,
    mmio_write=Pc.PAST,
    pio_out=Pc.PAST,
    evidence="ran: Linux 6.1 with kvm_hv, itself a guest, in QEMU's TCG; the functions are"
    " kvmppc_emulate_loadstore,"
    " arch/powerpc/kvm/emulate_loadstore.c at 0e84ec96b561, and kvmppc_complete_mmio_load,"
    " arch/powerpc/kvm/powerpc.c",
    keeps_answer=True,
)
MACHINES = {row.name: row for row in (EMULATOR, FAST_PIO, SVM, ARM64, RISCV, POWERPC)}
