"""The vocabulary: why KVM_RUN returned, the steps of a run, what can be saved of a vCPU.

Every kernel speaks it, the simulated one, the real ``/dev/kvm`` and a recording of the real one;
what can be asked of them is in :mod:`kvmexit.kernel.protocol`.

The rules every kernel keeps:

1.  ``run()`` is KVM_RUN. It returns why it came back: a :data:`VcpuExit`, or :data:`EINTR`.
2.  On entry the kernel first completes what the last exit left *pending*; this can end in
    another exit. Only then does it look at ``immediate_exit`` and at signals. Only then does
    the guest execute.
3.  ``exit_reason`` is meaningful only if KVM_RUN returned 0. After EINTR it is stale.
4.  ``immediate_exit`` is set and cleared by userspace alone.
5.  ``get_state()`` shows nothing of what is pending.

Source: Documentation/virt/kvm/api.rst, section 5, "The kvm_run structure"; the order of
rule 2 is that of ``kvm_arch_vcpu_ioctl_run`` in arch/x86/kvm/x86.c.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any, ClassVar, Protocol, TypeAlias

from kvmexit.errors import KvmExitError, said


class Reason(IntEnum):
    """``kvm_run.exit_reason``, for the exits a guest of this book can cause (linux/kvm.h)."""

    UNKNOWN = 0
    IO = 2
    DEBUG = 4
    HLT = 5
    MMIO = 6
    SHUTDOWN = 8
    FAIL_ENTRY = 9
    INTR = 10
    INTERNAL_ERROR = 17
    PAPR_HCALL = 19
    ARM_NISV = 28
    X86_RDMSR = 29
    X86_WRMSR = 30
    RISCV_SBI = 35
    RISCV_CSR = 36

    @property
    def c_name(self) -> str:
        """The name in linux/kvm.h: ``KVM_EXIT_MMIO``."""
        return f"KVM_EXIT_{self.name}"


@dataclass(frozen=True, slots=True)
class MmioRead:
    """The guest wants ``size`` bytes (1..8) from guest physical address ``gpa``."""

    reason: ClassVar[Reason] = Reason.MMIO
    gpa: int
    size: int

    def __repr__(self) -> str:
        return f"MmioRead(gpa={self.gpa:#x}, size={self.size})"


@dataclass(frozen=True, slots=True)
class MmioWrite:
    """The guest stored ``data`` (1..8 bytes) at guest physical address ``gpa``."""

    reason: ClassVar[Reason] = Reason.MMIO
    gpa: int
    data: bytes

    def __repr__(self) -> str:
        return f"MmioWrite(gpa={self.gpa:#x}, data={self.data!r})"


@dataclass(frozen=True, slots=True)
class PioIn:
    """The guest wants ``count`` items of ``size`` bytes (1, 2, 4) from ``port``."""

    reason: ClassVar[Reason] = Reason.IO
    port: int
    size: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class PioOut:
    """The guest sent ``data``, ``count`` items of ``size`` bytes, to ``port``."""

    reason: ClassVar[Reason] = Reason.IO
    port: int
    size: int
    count: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Rdmsr:
    """The guest wants the 64-bit MSR ``index``, which the kernel leaves to userspace."""

    reason: ClassVar[Reason] = Reason.X86_RDMSR
    index: int


@dataclass(frozen=True, slots=True)
class Wrmsr:
    """The guest wrote the 64-bit ``value`` to MSR ``index``, left to userspace."""

    reason: ClassVar[Reason] = Reason.X86_WRMSR
    index: int
    value: int


@dataclass(frozen=True, slots=True)
class Hypercall:
    """The guest asks userspace for a 64-bit word, on a machine that is no x86. ``reason`` says how
    (an hcall of powerpc, an SBI call or a CSR of riscv), ``number`` which."""

    reason: Reason
    number: int


@dataclass(frozen=True, slots=True)
class Hlt:
    """The guest executed ``hlt``. Nothing is pending: the instruction has retired."""

    reason: ClassVar[Reason] = Reason.HLT


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Triple fault: an exception found no handler."""

    reason: ClassVar[Reason] = Reason.SHUTDOWN


@dataclass(frozen=True, slots=True)
class InternalError:
    """The kernel gave up; ``suberror`` 1 means that it could not emulate an instruction."""

    reason: ClassVar[Reason] = Reason.INTERNAL_ERROR
    suberror: int


@dataclass(frozen=True, slots=True)
class Debug:
    """Userspace debugs this vCPU (KVM_SET_GUEST_DEBUG), and it stands at ``pc``: a single step
    (``exception`` 1, bit 14 of ``dr6``), a breakpoint. An entry with immediate_exit set can
    return it too: when the instruction that it completes was to be stepped."""

    reason: ClassVar[Reason] = Reason.DEBUG
    exception: int
    pc: int
    dr6: int


@dataclass(frozen=True, slots=True)
class OtherExit:
    """An exit that no guest of this book should cause, kept by its number."""

    exit_reason: int


@dataclass(frozen=True, slots=True)
class Interrupted:
    """KVM_RUN returned -1 with errno EINTR: nothing is pending and nothing is reported."""

    def __repr__(self) -> str:
        return "EINTR"


EINTR = Interrupted()

ReadExit: TypeAlias = MmioRead | PioIn | Rdmsr | Hypercall
WriteExit: TypeAlias = MmioWrite | PioOut | Wrmsr
DataExit: TypeAlias = ReadExit | WriteExit
"""The exits that are half an instruction: the other half is done by the next KVM_RUN."""
VcpuExit: TypeAlias = DataExit | Hlt | Shutdown | InternalError | Debug | OtherExit

READS = (MmioRead, PioIn, Rdmsr, Hypercall)
WRITES = (MmioWrite, PioOut, Wrmsr)
DATA_EXITS = READS + WRITES


def answer_size(exit: ReadExit) -> int:
    """How many bytes userspace owes the kernel for ``exit``."""
    if isinstance(exit, Rdmsr | Hypercall):
        return 8
    return exit.size * exit.count if isinstance(exit, PioIn) else exit.size


GPR_NAMES = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
"""General registers in the order of their numbers in machine code."""
XMM_NAMES = tuple(f"xmm{number}" for number in range(8))


class Lane(Enum):
    """Who acts in a step, from outside to inside."""

    HOST = "host"
    GUEST = "guest"
    KERNEL = "kernel"
    VMM = "vmm"
    DEVICE = "device"


class What(Enum):
    """What happens in a step."""

    EXECUTE = "execute"  # guest: an instruction begins
    EXIT = "exit"  # kernel: KVM_RUN returns 0
    EINTR = "eintr"  # kernel: KVM_RUN returns -1, EINTR
    LOOK = "look"  # vmm: has a stop been requested?
    SERVE = "serve"  # device: does what the exit asks
    ENTRY = "entry"  # vmm: KVM_RUN
    COMPLETE = "complete"  # kernel: finishes what was pending
    REQUEST = "request"  # host: wants the machine suspended
    STOP = "stop"  # vmm: applies its stop policy
    SAVE = "save"  # vmm: reads registers, memory, devices
    RESTORE = "restore"  # vmm: writes them into the next machine
    HALT = "halt"  # guest: it is done


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens, as data: who, what, and the object of it.

    ``about`` is the exit, the instruction or the answer that the step is about.
    """

    lane: Lane
    what: What
    about: Any = None


@dataclass(frozen=True, slots=True)
class Events:
    """What KVM_GET_VCPU_EVENTS tells of a completion: the exception that it raised, and its shadow.

    ``exception`` is the vector that waits to be delivered (0 is #DE, 13 is #GP), None if none
    does; ``error_code`` goes with it where the vector has one. ``injected`` is true of one whose
    delivery had begun. ``shadow`` is 1 behind a ``mov ss`` and 2 behind an ``sti``: no interrupt
    before the next instruction.
    """

    exception: int | None = None
    error_code: int | None = None
    injected: bool = False
    shadow: int = 0


@dataclass(frozen=True, slots=True)
class VcpuState:
    """What can be saved of a vCPU: registers, vectors, events, and the kernel's own.

    ``gpr`` are eight 32-bit values in the order of :data:`GPR_NAMES`; ``xmm`` eight
    128-bit values. ``events`` of None are events that nobody has saved: a vCPU that is set to
    such a state has none, or keeps what KVM_SET_REGS leaves of its own. ``rest`` is the kernel's
    (segment registers and the like): it travels with the state and takes no part in comparisons.

    They are read in the order MP state, events, registers, segments, XSAVE, because reading the
    MP state can move CS and RIP (an INIT or a SIPI that waits is taken there). They are written
    in the order segments, XSAVE, registers, events, MP state, because KVM_SET_REGS drops an
    exception that is pending. Sources: ``kvm_arch_vcpu_ioctl_get_mpstate`` and ``__set_regs`` in
    arch/x86/kvm/x86.c.
    """

    gpr: tuple[int, ...] = (0,) * 8
    rip: int = 0
    rflags: int = 2
    xmm: tuple[int, ...] = (0,) * 8
    events: Events | None = Events()
    rest: Any = field(default=None, compare=False, repr=False)

    counter: ClassVar[str] = "rip"
    """What this machine calls its program counter."""
    names: ClassVar[tuple[str, ...]] = GPR_NAMES
    """What it calls its general registers, in the order of ``gpr``."""

    def __getitem__(self, name: str) -> int:
        """One register by name: ``state["eax"]``, ``state["xmm0"]``, ``state["rip"]``."""
        if not isinstance(name, str):
            raise unknown_register(name)
        if name in GPR_NAMES:
            return self.gpr[GPR_NAMES.index(name)]
        if name in XMM_NAMES:
            return self.xmm[XMM_NAMES.index(name)]
        if name in ("rip", "rflags"):
            return self.rip if name == "rip" else self.rflags
        raise unknown_register(name)

    def replace(self, **registers: int) -> VcpuState:
        """The same state but for some registers: ``state.replace(edx=0x3F8, rip=0x1000)``."""
        if unknown := sorted(registers.keys() - {*GPR_NAMES, *XMM_NAMES, "rip", "rflags"}):
            raise unknown_register(unknown[0])
        gpr, xmm = (
            tuple(registers.get(name, value) for name, value in zip(names, values, strict=True))
            for names, values in ((GPR_NAMES, self.gpr), (XMM_NAMES, self.xmm))
        )
        rip, rflags = registers.get("rip", self.rip), registers.get("rflags", self.rflags)
        return VcpuState(gpr, rip, rflags, xmm, self.events, self.rest)

    def __repr__(self) -> str:
        """The registers by name, in hex; of vectors and events those that are not 0."""
        named: list[tuple[str, object]] = [("rip", self.rip), ("rflags", self.rflags)]
        named += zip(GPR_NAMES, self.gpr)
        named += [(name, value) for name, value in zip(XMM_NAMES, self.xmm) if value]
        named += [("events", self.events)] if self.events != Events() else []
        return f"VcpuState({', '.join(f'{name}={_hex(value)}' for name, value in named)})"


def _hex(value: Any) -> str:
    return f"{value:#x}" if isinstance(value, int) else repr(value)


def unknown_register(name: object) -> KvmExitError:
    """The error that names the registers of :class:`VcpuState`."""
    return KvmExitError(
        f"no register {said(name)}; known: {', '.join(GPR_NAMES)}, rip, rflags, xmm0..xmm7"
    )


class Memory(Protocol):
    """Guest RAM: a writable buffer of fixed size that is sliced like bytes. The guest and
    userspace see each other's bytes at once.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, where: Any, /) -> Any: ...

    def __setitem__(self, where: Any, data: Any, /) -> None: ...

    def __buffer__(self, flags: int, /) -> memoryview: ...


class Assembled(Protocol):
    """Machine code and the address it is made for, as ``assemble`` returns it."""

    @property
    def origin(self) -> int:
        """The address of its first byte."""

    @property
    def code(self) -> bytes:
        """The bytes."""
