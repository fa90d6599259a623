"""The real kernel: /dev/kvm through ``fcntl``, ``mmap`` and ``ctypes`` alone.

A VM is a file descriptor, RAM is an anonymous mapping lent to it, and a vCPU is a file
descriptor with a page that both sides read and write (:mod:`kvmexit.kernel.kvm_run`).

Source: Documentation/virt/kvm/api.rst.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
from collections.abc import Generator
from fcntl import ioctl
from operator import itemgetter
from struct import Struct
from typing import Any, NamedTuple, Self

from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR, Events, Interrupted, VcpuExit, VcpuState
from kvmexit.kernel import abi, kick
from kvmexit.kernel.abi import KVM_RUN
from kvmexit.kernel.kvm_run import KEY, TABLE, RealRun
from kvmexit.kernel.registers import fitted

PAGE = 4096
RAM_LIMIT = 0x7FFFD000
"""Where RAM must end, in bytes."""
_TSS_ADDR = RAM_LIMIT
"""Three pages for KVM itself, as high as ``fcntl.ioctl`` can say: its argument is a C int."""
_LOW = 0xFFFFFFFF
_REGS = Struct("<18Q").unpack
_ORDER = itemgetter(0, 2, 3, 1, 6, 7, 4, 5)
"""From the order of ``struct kvm_regs`` (rax, rbx, rcx, rdx, rsi, ...) to that of GPR_NAMES."""
_LONG_MODE = 1 << 10
"""EFER.LMA."""


def failed(act: str, error: OSError) -> KvmExitError:
    """The error that names what was tried and the errno it ended with."""
    name = errno.errorcode.get(error.errno or 0, "?")
    return KvmExitError(f"{act} failed: {name} ({os.strerror(error.errno or 0)})")


_CLOSED = KvmExitError("this VM is closed: make a new one")


class Rest(NamedTuple):
    """The kernel's own part of a saved state: the structs as they came, byte for byte."""

    sregs: bytes
    xsave: bytes
    mp_state: bytes
    events: bytes


class RealVcpu:
    """A vCPU: its file descriptor and its page. See :class:`kvmexit.exits.Vcpu`."""

    def __init__(self, vm: int, page_size: int, limit: float) -> None:
        self.limit, self.expired = limit, False
        self._fd = ioctl(vm, abi.KVM_CREATE_VCPU, 0)
        try:
            self._page = mmap.mmap(self._fd, page_size)
            self._at_reset = Rest(
                bytes(_protected_mode(self._fd)),
                bytes(_clean_xsave()),
                bytes(abi.MpState()),
                bytes(self._events()),
            )
            self.set_state(VcpuState())
        except BaseException:
            os.close(self._fd)
            raise
        self.kvm_run = RealRun(self._page)
        kick.watchdog.watch(self)

    @kick.enters
    def run(self) -> VcpuExit | Interrupted:
        """KVM_RUN. Raises KvmExitError if it fails, or if the guest stays in for ``limit`` s."""
        try:
            ioctl(self._fd, KVM_RUN)
        except InterruptedError:
            if self.expired:
                raise self._overdue() from None
            self.kvm_run.exit()  # a signal changes exit_reason: then there is nothing to answer
            return EINTR
        except OSError as error:
            raise failed("KVM_RUN", error) from error
        except ValueError:
            raise _CLOSED from None
        try:  # kvm_run.exit(), without the cost of the call
            exit, self.kvm_run.place = TABLE[self._page[KEY]]
        except KeyError:
            return self.kvm_run.exit()
        return exit

    def walk(self) -> Generator[Any, None, VcpuExit | Interrupted]:
        """``run``: the inside of the real kernel cannot be watched, so nothing is yielded."""
        return self.run()
        yield

    def get_state(self) -> VcpuState:
        """All of it, in the order of :class:`VcpuState`.

        Raises KvmExitError if there is more in them than a VcpuState holds: the guest is in
        long mode, or was.
        """
        regs, sregs, xsave, mp_state = abi.Regs(), abi.Sregs(), abi.Xsave(), abi.MpState()
        self._ask("KVM_GET_MP_STATE", abi.KVM_GET_MP_STATE, mp_state)
        events = self._events()
        self._ask("KVM_GET_REGS", abi.KVM_GET_REGS, regs)
        self._ask("KVM_GET_SREGS", abi.KVM_GET_SREGS, sregs)
        self._ask("KVM_GET_XSAVE", abi.KVM_GET_XSAVE, xsave)
        one_form(xsave)
        *values, rip, rflags = _REGS(regs)
        if max(values) > _LOW or rip > _LOW or any(values[8:]) or sregs.efer & _LONG_MODE:
            raise KvmExitError(
                "the guest has 64-bit registers in use, and a state here holds 32-bit ones: read"
                " it with KVM_GET_REGS"
            )
        vectors = bytes(xsave.xmm)
        return VcpuState(
            gpr=_ORDER(values),
            rip=rip,
            rflags=rflags,
            xmm=tuple(int.from_bytes(vectors[i : i + 16], "little") for i in range(0, 128, 16)),
            events=events_of(events),
            rest=Rest(bytes(sregs), bytes(xsave), bytes(mp_state), bytes(events)),
        )

    def set_state(self, state: VcpuState) -> None:
        """All of it, in the order of :class:`VcpuState`. Nothing is completed first. Registers
        take 32 bits of what they are given.

        A state of another kernel's, or one written by hand, has no ``rest`` of ours: it gets
        the segments and control registers of a new vCPU.
        """
        state = fitted(state)
        rest = state.rest if isinstance(state.rest, Rest) else self._at_reset
        xsave = abi.Xsave.from_buffer_copy(rest.xsave)
        vectors = b"".join(value.to_bytes(16, "little") for value in state.xmm)
        ctypes.memmove(xsave.xmm, vectors, len(vectors))
        xsave.xstate_bv |= 3  # take x87 and SSE from this area
        eax, ecx, edx, ebx, esp, ebp, esi, edi = state.gpr
        regs = abi.Regs(eax, ebx, ecx, edx, esi, edi, esp, ebp)
        regs.rip, regs.rflags = state.rip, state.rflags
        sregs = abi.Sregs.from_buffer_copy(rest.sregs)
        self._ask("KVM_SET_SREGS", abi.KVM_SET_SREGS, sregs)
        self._ask("KVM_SET_XSAVE", abi.KVM_SET_XSAVE, xsave)
        self._ask("KVM_SET_REGS", abi.KVM_SET_REGS, regs)
        if state.events is not None:
            events = with_events(abi.VcpuEvents.from_buffer_copy(rest.events), state.events)
            self._ask("KVM_SET_VCPU_EVENTS", abi.KVM_SET_VCPU_EVENTS, events)
        mp_state = abi.MpState.from_buffer_copy(rest.mp_state)
        self._ask("KVM_SET_MP_STATE", abi.KVM_SET_MP_STATE, mp_state)

    def _events(self) -> abi.VcpuEvents:
        events = abi.VcpuEvents()
        self._ask("KVM_GET_VCPU_EVENTS", abi.KVM_GET_VCPU_EVENTS, events)
        return events

    def kick(self) -> None:
        """Make the current or the next KVM_RUN return EINTR; from any thread, never lost."""
        self.kvm_run.immediate_exit = 1
        for entry in kick.entries():
            if entry.vcpu is self:
                kick.interrupt(entry.thread)

    def close(self) -> None:
        """Unmap the page and close the descriptor."""
        kick.watchdog.release(self)
        if self._fd >= 0:
            self._page.close()
            os.close(self._fd)
            self._fd = -1

    def _ask(self, act: str, request: int, argument: ctypes.Structure) -> None:
        try:
            ioctl(self._fd, request, argument, True)
        except OSError as error:
            raise failed(act, error) from error
        except ValueError:
            raise _CLOSED from None

    def _overdue(self) -> KvmExitError:
        self.expired, self.kvm_run.immediate_exit = False, 0
        regs = abi.Regs()
        self._ask("KVM_GET_REGS", abi.KVM_GET_REGS, regs)
        return KvmExitError(
            f"the guest did not leave for {self.limit:g} s and is at {regs.rip:#x}: it loops"
            " without an exit; give RealKernel(limit=...) more seconds if that is meant"
        )


def events_of(events: abi.VcpuEvents) -> Events:
    """What the struct says, in words of our own."""
    if not (events.exception_pending or events.exception_injected):
        return Events(shadow=events.interrupt_shadow)
    return Events(
        events.exception_nr,
        events.error_code if events.exception_has_error_code else None,
        bool(events.exception_injected),
        events.interrupt_shadow,
    )


def with_events(struct: abi.VcpuEvents, events: Events) -> abi.VcpuEvents:
    """``struct`` with the exception and the shadow of ``events`` in it."""
    there = events.exception is not None
    struct.exception_nr = events.exception or 0
    struct.exception_injected = there and events.injected
    struct.exception_pending = there and not events.injected
    struct.exception_has_error_code = events.error_code is not None
    struct.error_code = events.error_code or 0
    struct.interrupt_shadow = events.shadow
    struct.flags |= abi.KVM_VCPUEVENT_VALID_SHADOW
    return struct


def _protected_mode(vcpu: int) -> abi.Sregs:
    """Segments and control registers of a flat 32-bit guest, from those of a reset vCPU."""
    sregs = abi.Sregs()
    ioctl(vcpu, abi.KVM_GET_SREGS, sregs, True)
    flat = {"base": 0, "limit": _LOW, "present": 1, "db": 1, "s": 1, "g": 1}
    sregs.cs = abi.Segment(selector=8, type=11, **flat)  # code, readable, accessed
    for name in ("ds", "es", "fs", "gs", "ss"):
        setattr(sregs, name, abi.Segment(selector=16, type=3, **flat))  # data, writable
    sregs.cr0 = 0x31  # PE, ET, NE; PG stays off: virtual = physical
    sregs.cr4 = 0x200  # OSFXSR: without it every SSE instruction is undefined
    # No table, no handler: any exception is a triple fault, whatever lies in RAM.
    sregs.gdt = sregs.idt = abi.Dtable(base=0, limit=0)
    return sregs


def _clean_xsave() -> abi.Xsave:
    """The x87 and SSE state after FNINIT, with MXCSR's reset value and zero registers."""
    return abi.Xsave(fcw=0x37F, mxcsr=0x1F80, xstate_bv=3)


def one_form(xsave: abi.Xsave) -> None:
    """Give the area one form: as it comes, equal x87 and SSE registers have several.

    A clear bit in XSTATE_BV says that a component is in its initial state; the kernel shows
    that state in its area all the same, and the processor may say "in use" of it too. Whether
    MXCSR_MASK is there depends on whether a context switch has saved the registers since they
    were loaded; it tells of the processor, and XRSTOR does not look at it. Source: Intel SDM
    volume 1, 10.5.1.2, 13.6 (XINUSE) and 13.8.1; ``__copy_xstate_to_uabi_buf``,
    arch/x86/kernel/fpu/xstate.c.
    """
    xsave.xstate_bv |= 3
    xsave.mxcsr_mask = 0


class RealVm:
    """A VM with RAM from gpa 0, and one vCPU. A context manager: ``close`` gives all back."""

    def __init__(self, kvm: int, memory_size: int, page_size: int, limit: float) -> None:
        self._fd = ioctl(kvm, abi.KVM_CREATE_VM, 0)
        self._closed = False
        try:
            self.memory = mmap.mmap(-1, memory_size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._lend_memory()
            self._tell_pending_from_injected(kvm)
            self._leave_msrs_to_userspace(kvm)
            self.vcpu = RealVcpu(self._fd, page_size, limit)
        except BaseException:
            self._closed = True
            os.close(self._fd)
            raise

    def _lend_memory(self) -> None:
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        region = abi.UserspaceMemoryRegion(0, 0, 0, len(self.memory), address)
        ioctl(self._fd, abi.KVM_SET_USER_MEMORY_REGION, region)
        # Documented as required on Intel: real mode, where not native, is made of a task there.
        ioctl(self._fd, abi.KVM_SET_TSS_ADDR, _TSS_ADDR)

    def _tell_pending_from_injected(self, kvm: int) -> None:
        if ioctl(kvm, abi.KVM_CHECK_EXTENSION, abi.KVM_CAP_EXCEPTION_PAYLOAD):
            enable = abi.EnableCap(cap=abi.KVM_CAP_EXCEPTION_PAYLOAD)
            enable.args[0] = 1
            ioctl(self._fd, abi.KVM_ENABLE_CAP, enable)

    def _leave_msrs_to_userspace(self, kvm: int) -> None:
        if ioctl(kvm, abi.KVM_CHECK_EXTENSION, abi.KVM_CAP_X86_USER_SPACE_MSR):
            enable = abi.EnableCap(cap=abi.KVM_CAP_X86_USER_SPACE_MSR)
            enable.args[0] = abi.KVM_MSR_EXIT_REASON_UNKNOWN | abi.KVM_MSR_EXIT_REASON_INVAL
            ioctl(self._fd, abi.KVM_ENABLE_CAP, enable)

    def close(self) -> None:
        """Close the vCPU, the VM and its RAM. Closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        self.vcpu.close()
        os.close(self._fd)
        with contextlib.suppress(BufferError):  # a view of it that is still held keeps it
            self.memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_closed"):
            self.close()


class RealKernel:
    """/dev/kvm, opened. ``limit`` is how many seconds one KVM_RUN may take.

    Raises KvmExitError, naming what to do, if KVM is not there or not permitted.
    """

    name = "real"

    def __init__(self, limit: float = 5.0, device: str = "/dev/kvm") -> None:
        self.limit = limit
        self._fd = _open(device)
        try:
            version = ioctl(self._fd, abi.KVM_GET_API_VERSION, 0)
            self._page_size = ioctl(self._fd, abi.KVM_GET_VCPU_MMAP_SIZE, 0)
            stoppable = ioctl(self._fd, abi.KVM_CHECK_EXTENSION, abi.KVM_CAP_IMMEDIATE_EXIT)
        except OSError as error:
            self.close()
            raise failed(f"asking {device} for its version", error) from error
        if version != abi.API_VERSION or not stoppable:
            self.close()
            raise KvmExitError(f"{device} is too old: Linux 4.11 or newer has immediate_exit")

    def create_vm(self, memory_size: int) -> RealVm:
        """A new VM; ``memory_size`` in bytes, a multiple of the page size."""
        if memory_size % PAGE or not 0 < memory_size <= RAM_LIMIT:
            raise KvmExitError(
                f"memory of {memory_size} bytes: take a multiple of {PAGE} up to {RAM_LIMIT:#x}"
            )
        try:
            return RealVm(self._fd, memory_size, self._page_size, self.limit)
        except OSError as error:
            raise failed("creating a VM", error) from error

    def close(self) -> None:
        """Close /dev/kvm. VMs that were made live on. Closing twice is allowed."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            self.close()


def _open(device: str) -> int:
    hints = {
        errno.ENOENT: "load kvm_intel or kvm_amd, or turn on nested virtualization",
        errno.EACCES: "join the group that owns it, usually kvm, or be root",
        errno.ENODEV: "no KVM module is loaded: load kvm_intel or kvm_amd",
    }
    try:
        return os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        hint = hints.get(error.errno or 0, "see the kernel's log")
        raise KvmExitError(
            f"{failed(f'opening {device}', error)}; {hint} (or try "
            "--kernel simulated; `kvmexit doctor` says more)"
        ) from None
