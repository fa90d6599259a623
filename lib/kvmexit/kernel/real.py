"""The real kernel: /dev/kvm through ``fcntl``, ``mmap`` and ``ctypes`` alone.

A VM is a file descriptor, RAM is an anonymous mapping lent to it, and a vCPU is a file
descriptor with a page that both sides read and write. Everything else here is putting the
guest into 32-bit protected mode, and turning what lies in the page into typed exits.

Source: Documentation/virt/kvm/api.rst.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Generator
from fcntl import ioctl
from functools import lru_cache
from struct import Struct
from threading import get_native_id
from typing import Any, NamedTuple

from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    EINTR,
    Hlt,
    InternalError,
    Interrupted,
    MmioRead,
    MmioWrite,
    OtherExit,
    PioIn,
    PioOut,
    Rdmsr,
    Reason,
    Shutdown,
    VcpuExit,
    VcpuState,
    Wrmsr,
)
from kvmexit.kernel import abi, kick

PAGE = 4096
RAM_LIMIT = 0xFEC00000
"""RAM ends below the APICs, the TPM and the task state that some processors need."""
_TSS_ADDR = 0xFFFBD000
_LOW = 0xFFFFFFFF

# An exit is made once and then found again: a FIFO's loop makes the same exit thousands of times.
_mmio_read = lru_cache(maxsize=4096)(MmioRead)
_mmio_write = lru_cache(maxsize=4096)(MmioWrite)
_pio_in = lru_cache(maxsize=4096)(PioIn)
_pio_out = lru_cache(maxsize=4096)(PioOut)
_HLT, _SHUTDOWN = Hlt(), Shutdown()

_MMIO, _IO, _HALT = int(Reason.MMIO), int(Reason.IO), int(Reason.HLT)
_RDMSR, _WRMSR = int(Reason.X86_RDMSR), int(Reason.X86_WRMSR)
_read_mmio = Struct("<I20xQ8sIB").unpack_from
"""``exit_reason`` and ``kvm_run.mmio`` in one look, from abi.EXIT_REASON on."""
_read_io = Struct("<BBHIQ").unpack_from
_read_msr = Struct("<8xIIQ").unpack_from
_read_u32 = Struct("<I").unpack_from


def failed(act: str, error: OSError) -> KvmExitError:
    """The error that names what was tried and the errno it ended with."""
    name = errno.errorcode.get(error.errno or 0, "?")
    return KvmExitError(f"{act} failed: {name} ({os.strerror(error.errno or 0)})")


class RealRun:
    """``struct kvm_run``, mapped. Nothing is copied until it is asked for."""

    __slots__ = ("_page",)

    def __init__(self, page: mmap.mmap) -> None:
        self._page = page

    @property
    def immediate_exit(self) -> int:
        """1: the next KVM_RUN completes what is pending and returns EINTR. Not self-clearing."""
        return self._page[abi.IMMEDIATE_EXIT]

    @immediate_exit.setter
    def immediate_exit(self, value: int) -> None:
        self._page[abi.IMMEDIATE_EXIT] = value

    @property
    def exit_reason(self) -> int:
        """The number of the last exit. Stale after EINTR."""
        reason: int = _read_u32(self._page, abi.EXIT_REASON)[0]
        return reason

    def exit(self) -> VcpuExit:
        """The exit that the page describes now. Stale after EINTR."""
        reason, gpa, data, size, is_write = _read_mmio(self._page, abi.EXIT_REASON)
        if reason == _MMIO:
            return _mmio_write(gpa, data[:size]) if is_write else _mmio_read(gpa, size)
        return self._other_exit(reason)

    def _other_exit(self, reason: int) -> VcpuExit:
        page = self._page
        if reason == _IO:
            direction, size, port, count, start = _read_io(page, abi.EXIT)
            if direction == abi.KVM_EXIT_IO_IN:
                return _pio_in(port, size, count)
            return _pio_out(port, size, count, page[start : start + size * count])
        if reason == _HALT:
            return _HLT
        if reason in (_RDMSR, _WRMSR):
            _, index, value = _read_msr(page, abi.EXIT)
            return Rdmsr(index) if reason == _RDMSR else Wrmsr(index, value)
        if reason == Reason.SHUTDOWN:
            return _SHUTDOWN
        if reason == Reason.INTERNAL_ERROR:
            return InternalError(_read_u32(page, abi.EXIT)[0])
        return OtherExit(reason)

    def answer(self, data: bytes) -> None:
        """Put ``data`` where the kernel looks on the next entry; too many bytes are cut off.

        Raises KvmExitError if the page describes no read: there is no place for an answer.
        """
        page = self._page
        reason, _, _, size, is_write = _read_mmio(page, abi.EXIT_REASON)
        if reason == _MMIO and not is_write:
            start = abi.MMIO_DATA
        elif reason == _IO and (io := _read_io(page, abi.EXIT))[0] == abi.KVM_EXIT_IO_IN:
            size, start = io[1] * io[3], io[4]
        elif reason == _RDMSR:
            size, start = 8, abi.MSR_DATA
        else:
            raise KvmExitError(f"nothing to answer: the last exit was {self.exit()!r}")
        if len(data) > size:
            data = data[:size]
        page[start : start + len(data)] = data


class Rest(NamedTuple):
    """The kernel's own part of a saved state: both structs as they came, byte for byte."""

    sregs: bytes
    xsave: bytes


class RealVcpu:
    """A vCPU: its file descriptor and its page. See :class:`kvmexit.exits.Vcpu`."""

    def __init__(self, fd: int, page: mmap.mmap, limit: float) -> None:
        self.kvm_run = RealRun(page)
        self.limit, self.entries, self.thread, self.expired = limit, 0, 0, False
        self._fd, self._page = fd, page
        self._exit = self.kvm_run.exit
        self._at_reset = Rest(bytes(_protected_mode(fd)), bytes(_clean_xsave()))
        self.set_state(VcpuState())
        kick.watchdog.watch(self)

    def run(self) -> VcpuExit | Interrupted:
        """KVM_RUN. Raises KvmExitError if it fails, or if the guest stays in for ``limit`` s."""
        self.entries += 1
        self.thread = get_native_id()
        try:
            ioctl(self._fd, abi.KVM_RUN, 0)
        except InterruptedError:
            if self.expired:
                raise self._overdue() from None
            return EINTR
        except OSError as error:
            raise failed("KVM_RUN", error) from error
        finally:
            self.thread = 0
        return self._exit()

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
        gpr = (regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp, regs.rbp, regs.rsi, regs.rdi)
        # After XRSTOR of an area whose bit in XSTATE_BV is clear, the registers are zero.
        vectors = bytes(xsave.xmm) if xsave.xstate_bv & 2 else bytes(256)
        return VcpuState(
            gpr=tuple(value & _LOW for value in gpr),
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
        xsave.xstate_bv |= 3  # x87 and SSE are in this area: take them from it
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
        if thread := self.thread:
            kick.interrupt(thread)

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
            fd = ioctl(self._fd, abi.KVM_CREATE_VCPU, 0)
            self.vcpu = RealVcpu(fd, mmap.mmap(fd, page_size), limit)
        except BaseException:
            self._closed = True
            os.close(self._fd)
            raise

    def _lend_memory(self) -> None:
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        region = abi.UserspaceMemoryRegion(0, 0, 0, len(self.memory), address)
        ioctl(self._fd, abi.KVM_SET_USER_MEMORY_REGION, region)
        # Intel processors that cannot run real mode natively need three pages of their own.
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
        try:
            self.memory.close()
        except BufferError:
            pass  # someone still holds a view of it: it goes when the view goes

    def __enter__(self) -> RealVm:
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
            os.close(self._fd)
            raise failed(f"asking {device} for its version", error) from error
        if version != abi.API_VERSION or not stoppable:
            os.close(self._fd)
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

    def __enter__(self) -> RealKernel:
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
        raise KvmExitError(f"{failed(f'opening {device}', error)}; {hint} (or try "
                           "--kernel simulated; `kvmexit doctor` says more)") from None
