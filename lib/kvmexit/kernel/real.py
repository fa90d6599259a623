"""The real kernel: /dev/kvm through ``fcntl``, ``mmap`` and ``ctypes`` alone.

A VM is a file descriptor, RAM is an anonymous mapping lent to it, and a vCPU is a file
descriptor with a page that both sides read and write (:mod:`kvmexit.kernel.kvm_run`).

Source: Documentation/virt/kvm/api.rst.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from collections.abc import Callable, Generator
from fcntl import ioctl
from operator import itemgetter
from struct import Struct
from typing import Any

from kvmexit.errors import KvmExitError, said
from kvmexit.exits import EINTR, Interrupted, VcpuExit, VcpuState
from kvmexit.kernel import abi, arguments, kick
from kvmexit.kernel.abi import KVM_RUN
from kvmexit.kernel.arguments import whole
from kvmexit.kernel.kick import asks
from kvmexit.kernel.kvm_run import KEY, TABLE, RealRun
from kvmexit.kernel.lifetime import Unique
from kvmexit.kernel.ram import RAM_LIMIT, MappedRam
from kvmexit.kernel.registers import fitted
from kvmexit.kernel.vcpu_state import (
    Rest,
    clean_xsave,
    events_of,
    one_form,
    protected_mode,
    structs_of,
    with_events,
)
from kvmexit.kernel.vm import OneVcpuVm, OpenKernel, shown

_C_INT = 0x7FFFFFFF
_TSS_ADDR = RAM_LIMIT
"""Three pages for KVM itself, as high as ``fcntl.ioctl`` can say: its argument is a C int."""
_LOW = 0xFFFFFFFF
_REGS = Struct("<18Q").unpack
_ORDER = itemgetter(0, 2, 3, 1, 6, 7, 4, 5)
"""From the order of ``struct kvm_regs`` (rax, rbx, rcx, rdx, rsi, ...) to that of GPR_NAMES."""
_LONG_MODE = 1 << 10
"""EFER.LMA."""

HINTS = {
    errno.EIO: "; the VM is of another process (this one was forked), or KVM has given it up: make"
    " a new one"
}
"""What else there is to say of an errno. Source: ``kvm_vcpu_ioctl``, virt/kvm/kvm_main.c."""


def failed(act: str, error: OSError) -> KvmExitError:
    """The error that names what was tried and the errno it ended with."""
    name = errno.errorcode.get(error.errno or 0, "?")
    hint = HINTS.get(error.errno or 0, "")
    return KvmExitError(f"{act} failed: {name} ({os.strerror(error.errno or 0)}){hint}")


class RealVcpu(Unique):
    """A vCPU: its file descriptor and its page. See :class:`kvmexit.kernel.protocol.Vcpu`."""

    def __init__(self, vm: int, page_size: int, limit: float, lent: object) -> None:
        self.limit, self.expired = limit, False
        self._lent: object = lent  # pins the RAM, for a thread that is still inside KVM_RUN too
        self._fd = ioctl(vm, abi.KVM_CREATE_VCPU, 0)
        try:
            self._page = mmap.mmap(self._fd, page_size)
            self._at_reset = Rest(
                bytes(protected_mode(self._fd)),
                bytes(clean_xsave()),
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
        sregs, xsave, events, mp_state = structs_of(rest)
        vectors = b"".join(value.to_bytes(16, "little") for value in state.xmm)
        ctypes.memmove(xsave.xmm, vectors, len(vectors))
        xsave.xstate_bv |= 3  # take x87 and SSE from this area
        eax, ecx, edx, ebx, esp, ebp, esi, edi = state.gpr
        regs = abi.Regs(eax, ebx, ecx, edx, esi, edi, esp, ebp)
        regs.rip, regs.rflags = state.rip, state.rflags
        self._ask("KVM_SET_SREGS", abi.KVM_SET_SREGS, sregs)
        self._ask("KVM_SET_XSAVE", abi.KVM_SET_XSAVE, xsave)
        self._ask("KVM_SET_REGS", abi.KVM_SET_REGS, regs)
        if state.events is not None:
            events = with_events(events, state.events)
            self._ask("KVM_SET_VCPU_EVENTS", abi.KVM_SET_VCPU_EVENTS, events)
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

    def unblock_signals(self) -> None:
        """KVM_SET_SIGNAL_MASK, with an empty mask: inside KVM_RUN no signal is blocked."""
        self._ask("KVM_SET_SIGNAL_MASK", abi.KVM_SET_SIGNAL_MASK, abi.SignalMaskOf64(8))

    @property
    def fd(self) -> int:
        """The vCPU's file descriptor, for ioctls of your own; closed with the VM."""
        return self._fd

    def enable_cap(self, cap: int, *args: int) -> None:
        """KVM_ENABLE_CAP for this vCPU, with up to four arguments. Raises KvmExitError."""
        _enable_cap(self._fd, cap, args)

    def let_go(self) -> Callable[[], None]:
        """Kick whoever is inside KVM_RUN; returns what unmaps the page and closes the descriptor.
        The RAM stays lent until nobody is inside."""
        if kick.watchdog.release(self):  # else it is the parent's, and so is who is inside
            self.kick()
        if not any(entry.vcpu is self for entry in kick.entries()):
            self._lent = None
        page, fd = self._page, self._fd

        def give_back() -> None:
            kick.wait_for_others(self)
            page.close()
            os.close(fd)

        return give_back

    def __repr__(self) -> str:
        return shown(self, self.kvm_run)

    @asks
    def _ask(self, act: str, request: int, argument: ctypes.Structure) -> None:
        try:
            ioctl(self._fd, request, argument, True)
        except OSError as error:
            raise failed(act, error) from error

    def _overdue(self) -> KvmExitError:
        self.expired, self.kvm_run.immediate_exit = False, 0
        regs = abi.Regs()
        self._ask("KVM_GET_REGS", abi.KVM_GET_REGS, regs)
        return KvmExitError(
            f"the guest did not leave for {self.limit:g} s and is at {regs.rip:#x}: it loops"
            " without an exit; give RealKernel(limit=...) more seconds if that is meant"
        )


class RealVm(OneVcpuVm):
    """A VM with RAM from gpa 0, and one vCPU. A context manager: ``close`` gives all back."""

    vcpu: RealVcpu

    def __init__(self, kernel: int, memory_size: int, page_size: int, limit: float) -> None:
        super().__init__(MappedRam(memory_size))
        self._fd = ioctl(kernel, abi.KVM_CREATE_VM, 0)
        try:
            lent = self._lend_memory()
            self._tell_pending_from_injected()
            self._leave_msrs_to_userspace()
            self.vcpu = RealVcpu(self._fd, page_size, limit, lent)
        except BaseException:
            os.close(self._fd)
            raise

    @property
    def fd(self) -> int:
        """The VM's file descriptor, for ioctls of your own; closed with the VM."""
        return self._fd

    def enable_cap(self, cap: int, *args: int) -> None:
        """KVM_ENABLE_CAP for this VM, with up to four arguments. Raises KvmExitError."""
        _enable_cap(self._fd, cap, args)

    def _lend_memory(self) -> object:
        """Give RAM to the kernel. What is returned pins it: while there is a view of the mapping
        nobody can unmap it, and the guest writes to nothing else."""
        lent = (ctypes.c_char * len(self._ram)).from_buffer(self._ram)
        address = ctypes.addressof(lent)
        region = abi.UserspaceMemoryRegion(0, 0, 0, len(self._ram), address)
        ioctl(self._fd, abi.KVM_SET_USER_MEMORY_REGION, region)
        # Documented as required on Intel: real mode, where not native, is made of a task there.
        ioctl(self._fd, abi.KVM_SET_TSS_ADDR, _TSS_ADDR)
        return lent

    def _tell_pending_from_injected(self) -> None:
        if ioctl(self._fd, abi.KVM_CHECK_EXTENSION, abi.KVM_CAP_EXCEPTION_PAYLOAD):
            self.enable_cap(abi.KVM_CAP_EXCEPTION_PAYLOAD, 1)

    def _leave_msrs_to_userspace(self) -> None:
        if ioctl(self._fd, abi.KVM_CHECK_EXTENSION, abi.KVM_CAP_X86_USER_SPACE_MSR):
            which = abi.KVM_MSR_EXIT_REASON_UNKNOWN | abi.KVM_MSR_EXIT_REASON_INVAL
            self.enable_cap(abi.KVM_CAP_X86_USER_SPACE_MSR, which)

    def close(self) -> None:
        """Close the vCPU, the VM and its RAM; a ``run`` in another thread ends with KvmExitError.
        Closing twice is allowed."""
        vcpu, fd = self.vcpu, self._fd
        give_back = vcpu.let_go()
        super().close()
        give_back()
        os.close(fd)

    def __del__(self) -> None:
        if "vcpu" not in vars(self):
            return  # it was never made
        try:
            self.close()
        except (KvmExitError, AttributeError):  # Ctrl-C has cut short a close, before its last line
            os.close(self._fd)


class RealKernel(OpenKernel):
    """/dev/kvm, opened. ``limit`` is how many seconds one KVM_RUN may take.

    Raises KvmExitError, naming what to do, if KVM is not there or not permitted.
    """

    name = "real"

    def __init__(self, limit: float = 5.0, device: str = "/dev/kvm") -> None:
        self._device = device
        self.limit: float = arguments.limit(limit, "seconds", fractions=True)
        fd = _open(device)
        try:
            version = ioctl(fd, abi.KVM_GET_API_VERSION, 0)
            self._page_size = ioctl(fd, abi.KVM_GET_VCPU_MMAP_SIZE, 0)
            stoppable = ioctl(fd, abi.KVM_CHECK_EXTENSION, abi.KVM_CAP_IMMEDIATE_EXIT)
        except OSError as error:
            os.close(fd)
            raise KvmExitError(
                f"{failed(f'asking {device} for its version', error)}: it is no KVM device, take"
                " /dev/kvm"
            ) from error
        self._fd = fd
        if version != abi.API_VERSION or not stoppable:
            self.close()
            raise KvmExitError(f"{device} is too old: Linux 4.11 or newer has immediate_exit")

    @property
    def fd(self) -> int:
        """The file descriptor of /dev/kvm, for ioctls of your own; closed with the kernel."""
        return self._fd

    def check_extension(self, cap: int) -> int:
        """KVM_CHECK_EXTENSION: 0 if the kernel does not have capability number ``cap``, else 1 or
        what the documentation of that capability says."""
        if not whole(cap) or not 0 <= cap <= _C_INT:
            raise KvmExitError(f"a capability is a number of linux/kvm.h, not {said(cap)}")
        try:
            return ioctl(self._fd, abi.KVM_CHECK_EXTENSION, cap)
        except OSError as error:
            raise failed("KVM_CHECK_EXTENSION", error) from error

    def create_vm(self, memory_size: int) -> RealVm:
        """A new VM; ``memory_size`` in bytes, a multiple of the page size."""
        size, fd = arguments.memory_size(memory_size), self._fd
        try:
            return RealVm(fd, size, self._page_size, self.limit)
        except OSError as error:
            raise failed("creating a VM", error) from error

    def close(self) -> None:
        """Close /dev/kvm. VMs that were made live on. Closing twice is allowed."""
        fd = self._fd
        super().close()
        os.close(fd)

    def __repr__(self) -> str:
        return f"<RealKernel, {self._device}>"

    def __del__(self) -> None:
        if "_fd" in vars(self):  # else it was never opened
            self.close()


def _enable_cap(fd: int, cap: int, args: tuple[int, ...]) -> None:
    numbers = [value for value in (cap, *args) if whole(value) and 0 <= value < 1 << 64]
    if len(numbers) != 1 + len(args) or cap > 0xFFFFFFFF or len(args) > 4:
        raise KvmExitError(
            f"enable_cap takes a number of linux/kvm.h and up to four 64-bit numbers, not"
            f" {said((cap, *args))}"
        )
    enable = abi.EnableCap(cap=cap)
    enable.args[: len(args)] = args
    try:
        ioctl(fd, abi.KVM_ENABLE_CAP, enable)
    except OSError as error:
        raise failed(f"KVM_ENABLE_CAP of capability {cap}", error) from error


def _open(device: str) -> int:
    hints = {
        errno.ENOENT: "load kvm_intel or kvm_amd, or turn on nested virtualization",
        errno.EACCES: "join the group that owns it, usually kvm, or be root",
        errno.ENODEV: "no KVM module is loaded: load kvm_intel or kvm_amd",
    }
    if not isinstance(device, str | os.PathLike):
        raise KvmExitError(f"device is a path, not {said(device)}: take /dev/kvm")
    try:
        return os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except (TypeError, ValueError):  # with a NUL in it, say
        raise KvmExitError(f"device is a path, not {said(device)}: take /dev/kvm") from None
    except OSError as error:
        hint = hints.get(error.errno or 0, "see the kernel's log")
        raise KvmExitError(
            f"{failed(f'opening {device}', error)}; {hint} (or try "
            "--kernel simulated; `kvmexit doctor` says more)"
        ) from None
