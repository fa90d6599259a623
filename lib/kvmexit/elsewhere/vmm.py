"""/dev/kvm of arm64, riscv and powerpc: one small VMM for the three.

It runs inside the machines that :mod:`kvmexit.elsewhere.boot` starts, on the standard library
alone. arm64 and riscv have a number for each register (KVM_GET_ONE_REG); powerpc has
``struct kvm_regs``, and numbers for its vectors. The guest's memory begins at 0, everything
above it is MMIO; no interrupt controller, no firmware.

Sources: include/uapi/linux/kvm.h, arch/*/include/uapi/asm/kvm.h; on powerpc an ioctl has three
bits of direction (arch/powerpc/include/uapi/asm/ioctl.h).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import platform
import signal
import struct
from collections.abc import Generator
from typing import Any

from kvmexit.elsewhere.guests.isa import END, Failed, Isa
from kvmexit.errors import KvmExitError
from kvmexit.exits import (
    EINTR,
    Events,
    Hlt,
    Hypercall,
    Interrupted,
    MmioRead,
    MmioWrite,
    OtherExit,
    Reason,
    Step,
    VcpuExit,
    VcpuState,
)
from kvmexit.kernel import arguments
from kvmexit.kernel.vm import OneVcpuVm, OpenKernel, shown

NONE, WRITE, READ, BOTH = 0, 1, 2, 3
_POWER = {NONE: 1, WRITE: 4, READ: 2, BOTH: 6}


def _ioctl(direction: int, number: int, size: int) -> int:
    """``_IOC`` of this machine, type 0xAE."""
    if platform.machine().startswith("ppc"):
        return _POWER[direction] << 29 | size << 16 | 0xAE << 8 | number
    return direction << 30 | size << 16 | 0xAE << 8 | number


KVM_CREATE_VM = _ioctl(NONE, 0x01, 0)
KVM_CHECK_EXTENSION = _ioctl(NONE, 0x03, 0)
KVM_GET_VCPU_MMAP_SIZE = _ioctl(NONE, 0x04, 0)
KVM_CREATE_VCPU = _ioctl(NONE, 0x41, 0)
KVM_SET_USER_MEMORY_REGION = _ioctl(WRITE, 0x46, 32)
KVM_RUN = _ioctl(NONE, 0x80, 0)
KVM_GET_REGS, KVM_SET_REGS = _ioctl(READ, 0x81, 392), _ioctl(WRITE, 0x82, 392)
KVM_ENABLE_CAP = _ioctl(WRITE, 0xA3, 104)
KVM_SET_VCPU_EVENTS = _ioctl(WRITE, 0xA0, 64)
KVM_GET_ONE_REG, KVM_SET_ONE_REG = _ioctl(WRITE, 0xAB, 16), _ioctl(WRITE, 0xAC, 16)
KVM_ARM_VCPU_INIT, KVM_ARM_PREFERRED_TARGET = _ioctl(WRITE, 0xAE, 32), _ioctl(READ, 0xAF, 32)
CAP_PPC_PAPR, CAP_ARM_NISV_TO_USER = 68, 177

EXIT_REASON, EXIT, DATA, LENGTH, IS_WRITE = 8, 32, 40, 48, 52
"""Places in ``struct kvm_run``: the reason, the union of exits, and the parts of ``mmio``."""
ANSWERS = {Reason.PAPR_HCALL: 40, Reason.RISCV_SBI: 104, Reason.RISCV_CSR: 56}
"""Where the answer to a hypercall lies: ``papr_hcall.ret``, the second of ``riscv_sbi.ret``, and
``riscv_csr.ret_value``."""
SBI_ERROR = 96
ARM_CORE, RISCV_CORE = 0x6030000000100000, 0x8030000002000000
"""KVM_REG_ARM_CORE and KVM_REG_RISCV_CORE, of 64 bits."""
ERRORS = {errno.EOPNOTSUPP: "EOPNOTSUPP"}
"""The kernel's name for a number that has two."""
LIMIT = 2.0
"""Seconds after which a KVM_RUN is given up: a guest without handlers may loop for ever."""


class OneRegRun:
    """``struct kvm_run``, mapped."""

    def __init__(self, page: mmap.mmap) -> None:
        self.page = page

    @property
    def immediate_exit(self) -> int:
        return self.page[1]

    @immediate_exit.setter
    def immediate_exit(self, value: int) -> None:
        self.page[1] = arguments.immediate_exit(value)

    @property
    def exit_reason(self) -> int:
        reason: int = struct.unpack_from("<I", self.page, EXIT_REASON)[0]
        return reason

    @exit_reason.setter
    def exit_reason(self, value: int) -> None:
        struct.pack_into("<I", self.page, EXIT_REASON, value)

    def exit(self) -> VcpuExit:
        """The exit that the page describes now. Stale after EINTR."""
        reason = self.exit_reason
        if reason == Reason.MMIO:
            gpa, data, size, is_write = struct.unpack_from("<Q8sIB", self.page, EXIT)
            if is_write:
                return Hlt() if gpa == END else MmioWrite(gpa, data[:size])
            return MmioRead(gpa, size)
        if reason in ANSWERS:
            return Hypercall(Reason(reason), struct.unpack_from("<Q", self.page, EXIT)[0])
        return OtherExit(reason)

    def answer(self, data: bytes) -> None:
        exit = self.exit()
        if isinstance(exit, MmioRead):
            self.page[DATA : DATA + exit.size] = data[: exit.size]
        elif isinstance(exit, Hypercall):
            at = ANSWERS[exit.reason]
            self.page[at : at + 8] = data[:8]
            if exit.reason is Reason.RISCV_SBI:
                self.page[SBI_ERROR : SBI_ERROR + 8] = bytes(8)
        else:
            raise arguments.nothing_to_answer(exit)

    def refuse(self) -> None:
        raise arguments.nothing_to_refuse(self.exit())


class Registers:
    """How the registers of a machine are read and written; ``prepare`` makes a new vCPU ready."""

    numbers: tuple[int, ...] = ()
    """Those of the general registers, then that of the counter."""

    def __init__(self, isa: Isa, vcpu: int) -> None:
        self.isa, self.vcpu = isa, vcpu
        # Made once: under an emulator, what Python does for each register is most of a save.
        self._values = (ctypes.c_uint64 * len(self.numbers))()
        where = ctypes.addressof(self._values)
        self._requests = [
            struct.pack("<QQ", number, where + 8 * place)
            for place, number in enumerate(self.numbers)
        ]

    def prepare(self, vm: int) -> None:
        """Nothing, unless a machine needs it."""

    def get_one(self, number: int, size: int = 8) -> int:
        """KVM_GET_ONE_REG."""
        value = ctypes.create_string_buffer(size)
        where = ctypes.addressof(value)
        fcntl.ioctl(self.vcpu, KVM_GET_ONE_REG, struct.pack("<QQ", number, where))
        return int.from_bytes(value.raw, "little")

    def set_one(self, number: int, value: int, size: int = 8) -> None:
        """KVM_SET_ONE_REG."""
        data = ctypes.create_string_buffer(value.to_bytes(size, "little"), size)
        where = ctypes.addressof(data)
        fcntl.ioctl(self.vcpu, KVM_SET_ONE_REG, struct.pack("<QQ", number, where))

    def get(self) -> VcpuState:
        """Everything a save takes."""
        for request in self._requests:
            fcntl.ioctl(self.vcpu, KVM_GET_ONE_REG, request)
        *gpr, pc = self._values
        return self.isa.state(tuple(gpr), pc, 0, (), Events())

    def set(self, state: VcpuState) -> None:
        """The counter last."""
        self._values[:] = [*state.gpr, state.rip]
        for request in self._requests:
            fcntl.ioctl(self.vcpu, KVM_SET_ONE_REG, request)


class Arm64Registers(Registers):
    """KVM_REG_ARM_CORE: in units of four bytes into ``struct kvm_regs``."""

    CPACR, FP = 0x6030000000130000 | 3 << 14 | 1 << 7 | 2, 3 << 20
    numbers = tuple(ARM_CORE + 2 * place for place in range(33))
    ELR = ARM_CORE + 70

    def prepare(self, vm: int) -> None:
        """The preferred target with PSCI 0.2, floating point not trapped by the guest itself."""
        init = bytearray(32)
        fcntl.ioctl(vm, KVM_ARM_PREFERRED_TARGET, init, True)
        init[4] |= 1 << 2
        fcntl.ioctl(self.vcpu, KVM_ARM_VCPU_INIT, bytes(init))
        self.set_one(self.CPACR, self.FP)


class RiscvRegisters(Registers):
    """KVM_REG_RISCV_CORE: the counter is the first, then x1 to x31."""

    SSTATUS, FS = 0x8030000003000000, 1 << 13
    numbers = (*(RISCV_CORE + place for place in range(1, 32)), RISCV_CORE)

    def prepare(self, vm: int) -> None:
        """Floating point on."""
        self.set_one(self.SSTATUS, self.FS)


class PowerpcRegisters(Registers):
    """``struct kvm_regs``: 17 special registers, then the general ones; and vs0."""

    ORDER = (
        *"pc cr ctr lr xer msr srr0 srr1 pid".split(),
        *(f"sprg{number}" for number in range(8)),
        *(f"r{number}" for number in range(32)),
    )
    VS0 = 0x1040000000000060

    def prepare(self, vm: int) -> None:
        """kvm_hv runs nothing but guests of PAPR."""
        fcntl.ioctl(self.vcpu, KVM_ENABLE_CAP, struct.pack("<II4Q64x", CAP_PPC_PAPR, *[0] * 5))

    def _all(self) -> dict[str, int]:
        raw = bytearray(392)
        fcntl.ioctl(self.vcpu, KVM_GET_REGS, raw, True)
        return dict(zip(self.ORDER, struct.unpack("<49Q", raw), strict=True))

    def get(self) -> VcpuState:
        now = self._all()
        gpr = tuple(now[name] for name in self.isa.state.names)
        return self.isa.state(gpr, now["pc"], 0, (self.get_one(self.VS0, 16),), Events())

    def set(self, state: VcpuState) -> None:
        new = self._all() | dict(zip(state.names, state.gpr)) | {"pc": state.rip}
        fcntl.ioctl(self.vcpu, KVM_SET_REGS, struct.pack("<49Q", *(new[n] for n in self.ORDER)))
        self.set_one(self.VS0, state.xmm[0], 16)


REGISTERS: dict[str, type[Registers]] = {
    "arm64": Arm64Registers,
    "riscv64": RiscvRegisters,
    "powerpc": PowerpcRegisters,
}


class OneRegVcpu:
    """One vCPU of this machine's KVM."""

    def __init__(self, isa: Isa, vm: int, vcpu: int, size: int) -> None:
        self.fd = vcpu
        self.kvm_run = OneRegRun(mmap.mmap(vcpu, size))
        self.registers = REGISTERS[isa.name](isa, vcpu)
        self.registers.prepare(vm)

    def run(self) -> VcpuExit | Interrupted:
        """KVM_RUN. Raises KvmExitError if it has not come back after :data:`LIMIT` seconds."""
        signal.setitimer(signal.ITIMER_REAL, LIMIT)
        try:
            fcntl.ioctl(self.fd, KVM_RUN, 0)
        except OSError as problem:
            if problem.errno == errno.EINTR:
                return EINTR
            name = ERRORS.get(problem.errno or 0) or errno.errorcode[problem.errno or 0]
            return Failed(self.kvm_run.exit_reason, name)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return self.kvm_run.exit()

    def walk(self) -> Generator[Step, None, VcpuExit | Interrupted]:
        return self.run()
        yield

    def get_state(self) -> VcpuState:
        return self.registers.get()

    def set_state(self, state: VcpuState) -> None:
        self.registers.set(state)

    def kick(self) -> None:
        self.kvm_run.immediate_exit = 1

    def __repr__(self) -> str:
        return shown(self, self.kvm_run)


class OneRegVm(OneVcpuVm):
    """A VM of this machine's KVM."""

    vcpu: OneRegVcpu

    def __init__(self, kernel: OneRegKernel, memory: mmap.mmap) -> None:
        super().__init__(memory)
        self.fd = fcntl.ioctl(kernel.fd, KVM_CREATE_VM, 0)
        if kernel.nisv and fcntl.ioctl(self.fd, KVM_CHECK_EXTENSION, CAP_ARM_NISV_TO_USER) > 0:
            enable = struct.pack("<II4Q64x", CAP_ARM_NISV_TO_USER, *[0] * 5)
            fcntl.ioctl(self.fd, KVM_ENABLE_CAP, enable)
        where = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        region = struct.pack("<IIQQQ", 0, 0, 0, len(memory), where)
        fcntl.ioctl(self.fd, KVM_SET_USER_MEMORY_REGION, region)
        vcpu = fcntl.ioctl(self.fd, KVM_CREATE_VCPU, 0)
        self.vcpu = OneRegVcpu(kernel.isa, self.fd, vcpu, kernel.page_size)

    def close(self) -> None:
        """Give everything back."""
        self.vcpu.kvm_run.page.close()
        os.close(self.vcpu.fd)
        os.close(self.fd)
        super().close()


class OneRegKernel(OpenKernel):
    """/dev/kvm of this machine. ``nisv`` asks arm64 for exits where it cannot emulate."""

    name = "real"

    def __init__(self, isa: Isa, nisv: bool = True) -> None:
        self.isa, self.nisv = isa, nisv and isa.name == "arm64"
        try:
            self.fd = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
        except OSError as problem:
            raise KvmExitError(f"/dev/kvm: {problem.strerror}") from None
        self.page_size = fcntl.ioctl(self.fd, KVM_GET_VCPU_MMAP_SIZE, 0)
        signal.signal(signal.SIGALRM, _stuck)

    def create_vm(self, memory_size: int) -> OneRegVm:
        """A new VM; ``memory_size`` in bytes, a multiple of this machine's pages."""
        return OneRegVm(self, mmap.mmap(-1, memory_size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def _stuck(*_: Any) -> None:
    raise KvmExitError(f"KVM_RUN has not come back for {LIMIT} seconds")
