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
from operator import attrgetter
from typing import Any, NamedTuple, Self

from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR, Interrupted, VcpuExit, VcpuState
from kvmexit.kernel import abi, kick
from kvmexit.kernel.abi import KVM_RUN
from kvmexit.kernel.kvm_run import KEY, TABLE, RealRun

PAGE = 4096
RAM_LIMIT = 0x7FFFD000
"""Where RAM must end, in bytes."""
_TSS_ADDR = RAM_LIMIT
"""Three pages for KVM itself, as high as ``fcntl.ioctl`` can say: its argument is a C int."""
_LOW = 0xFFFFFFFF
_GPRS = attrgetter("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")
"""In the order of their numbers, as in GPR_NAMES; ``struct kvm_regs`` has another."""


def failed(act: str, error: OSError) -> KvmExitError:
    """The error that names what was tried and the errno it ended with."""
    name = errno.errorcode.get(error.errno or 0, "?")
    return KvmExitError(f"{act} failed: {name} ({os.strerror(error.errno or 0)})")


_CLOSED = KvmExitError("this VM is closed: make a new one")


class Rest(NamedTuple):
    """The kernel's own part of a saved state: both structs as they came, byte for byte."""

    sregs: bytes
    xsave: bytes


class RealVcpu:
    """A vCPU: its file descriptor and its page. See :class:`kvmexit.exits.Vcpu`."""

    def __init__(self, vm: int, page_size: int, limit: float) -> None:
        self.limit, self.expired = limit, False
        self._fd = ioctl(vm, abi.KVM_CREATE_VCPU, 0)
        try:
            self._page = mmap.mmap(self._fd, page_size)
            self._at_reset = Rest(bytes(_protected_mode(self._fd)), bytes(_clean_xsave()))
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
        """KVM_GET_REGS, KVM_GET_SREGS, KVM_GET_XSAVE. Upper halves of registers are left out."""
        regs, sregs, xsave = abi.Regs(), abi.Sregs(), abi.Xsave()
        self._ask("KVM_GET_REGS", abi.KVM_GET_REGS, regs)
        self._ask("KVM_GET_SREGS", abi.KVM_GET_SREGS, sregs)
        self._ask("KVM_GET_XSAVE", abi.KVM_GET_XSAVE, xsave)
        # A clear bit says that x87 or SSE is in its initial state, which the area shows all the
        # same. The processor clears it or not as a context switch fell: one name for one state.
        xsave.xstate_bv |= 3
        vectors = bytes(xsave.xmm)
        return VcpuState(
            gpr=tuple(value & _LOW for value in _GPRS(regs)),
            rip=regs.rip & _LOW,
            rflags=regs.rflags,
            xmm=tuple(int.from_bytes(vectors[i : i + 16], "little") for i in range(0, 128, 16)),
            rest=Rest(bytes(sregs), bytes(xsave)),
        )

    def set_state(self, state: VcpuState) -> None:
        """KVM_SET_SREGS, KVM_SET_XSAVE, KVM_SET_REGS. Nothing is completed first.

        A state of another kernel's, or one written by hand, has no ``rest`` of ours: it gets
        the segments and control registers of a new vCPU.
        """
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

    def kick(self) -> None:
        """Make the current or the next KVM_RUN return EINTR; from any thread, never lost."""
        self.kvm_run.immediate_exit = 1
        for entry in kick.entries():
            if entry.vcpu is self:
                kick.interrupt(entry.thread)

    def unblock_signals(self) -> None:
        """KVM_SET_SIGNAL_MASK, with an empty mask: inside KVM_RUN no signal is blocked."""
        self._ask("KVM_SET_SIGNAL_MASK", abi.KVM_SET_SIGNAL_MASK, abi.SignalMaskOf64(8))

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
        rip = self.get_state().rip
        return KvmExitError(
            f"the guest did not leave for {self.limit:g} s and is at {rip:#x}: it loops without "
            "an exit; give RealKernel(limit=...) more seconds if that is meant"
        )


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


class RealVm:
    """A VM with RAM from gpa 0, and one vCPU. A context manager: ``close`` gives all back."""

    def __init__(self, kvm: int, memory_size: int, page_size: int, limit: float) -> None:
        self._fd = ioctl(kvm, abi.KVM_CREATE_VM, 0)
        self._closed = False
        try:
            self.memory = mmap.mmap(-1, memory_size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._lend_memory()
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
