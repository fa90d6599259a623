"""The jail of a student's process: what it may use, and the few system calls left to it.

:func:`lock` is called in that process after everything it needs is loaded. From then on it can
compute, and speak through the pipe it was given. It can open no file, make no socket, start no
process, and signal nobody: these system calls end with EPERM. The list says what is allowed,
so that a call nobody thought of is refused.

Sources: Documentation/userspace-api/seccomp_filter.rst; include/uapi/linux/{seccomp,filter,
audit}.h; the numbers are those of arch/x86/entry/syscalls/syscall_64.tbl and
include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import sys

MEMORY = 256 << 20
CPU_SECONDS = 60
"""The last resort: the referee looks at the clock long before that."""

_X86_64 = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "lseek": 8, "mmap": 9, "mprotect": 10,
    "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
    "sched_yield": 24, "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39, "exit": 60,
    "uname": 63, "gettimeofday": 96, "getrusage": 98, "times": 100, "getuid": 102,
    "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202, "restart_syscall": 219,
    "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231,
    "getrandom": 318,
}  # fmt: skip
_ARM64 = {
    "close": 57, "lseek": 62, "read": 63, "write": 64, "fstat": 80, "exit": 93,
    "exit_group": 94, "futex": 98, "nanosleep": 101, "clock_gettime": 113, "clock_getres": 114,
    "clock_nanosleep": 115, "sched_yield": 124, "restart_syscall": 128, "sigaltstack": 132,
    "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "times": 153, "uname": 160,
    "getrusage": 165, "gettimeofday": 169, "getpid": 172, "getuid": 174, "gettid": 178,
    "brk": 214, "munmap": 215, "mremap": 216, "mmap": 222, "mprotect": 226, "madvise": 233,
    "getrandom": 278,
}  # fmt: skip
_MACHINES = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _ARM64)}
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_RET|K
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050001, 0x80000000  # refuse: errno EPERM
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 1, 38, 22, 2


def _instruction(code: int, k: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """``struct sock_filter { __u16 code; __u8 jt, jf; __u32 k; }``."""
    return struct.pack("=HBBI", code, if_true, if_false, k)


def program(machine: str) -> bytes:
    """The filter: wrong architecture kills, a number on the list passes, the rest is refused.

    ``struct seccomp_data`` begins with ``int nr; __u32 arch``. A 32-bit call has another
    ``arch``; an x32 call has bit 30 set in ``nr`` and so is on no list.
    """
    arch, numbers = _MACHINES[machine]
    filter = _instruction(_LOAD, 4) + _instruction(_EQUAL, arch, 1, 0)
    filter += _instruction(_RETURN, _KILL) + _instruction(_LOAD, 0)
    for number in sorted(numbers.values()):
        filter += _instruction(_EQUAL, number, 0, 1) + _instruction(_RETURN, _ALLOW)
    return filter + _instruction(_RETURN, _REFUSE)


class _Filter(ctypes.Structure):
    """``struct sock_fprog { unsigned short len; struct sock_filter *filter; }``."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def available() -> bool:
    """Does this machine know the filter's architecture?"""
    return sys.platform == "linux" and platform.machine() in _MACHINES


def limit(memory: int | None = MEMORY, cpu: int = CPU_SECONDS) -> None:
    """Set the limits of this process: address space in bytes, CPU time in seconds from now on.

    No file may get a byte, no core is dumped.
    """
    import resource  # neither a browser nor Windows has it, and both import this module

    if sys.platform == "linux":  # whoever started this process takes it along when it dies
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + cpu + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def lock() -> bool:
    """Give up everything but computing. Returns whether the kernel took the filter."""
    if not available():
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    code = program(platform.machine())
    buffer = ctypes.create_string_buffer(code, len(code))
    filter = _Filter(len(code) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    return not libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(filter), 0, 0)


def close_all_but(*kept: int) -> None:
    """Close every inherited file descriptor except 0, 1, 2 and ``kept``."""
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, 4096)
