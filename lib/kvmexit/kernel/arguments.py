"""What the kernels can be given, and the sentence for what they cannot: the same for all."""

from __future__ import annotations

from typing import Any

from kvmexit.errors import KvmExitError, said
from kvmexit.kernel.ram import NO_BYTES, PAGE, RAM_LIMIT


def whole(value: Any) -> bool:
    """Is it an integer, and not a truth value?"""
    return isinstance(value, int) and not isinstance(value, bool)


def memory_size(value: Any) -> int:
    """The size of a new VM's RAM in bytes, as ``create_vm`` takes it."""
    if type(value) is int and 0 < value <= RAM_LIMIT and not value % PAGE:
        return value
    raise KvmExitError(
        f"memory of {said(value)} bytes: take a multiple of {PAGE} up to {RAM_LIMIT:#x}"
    )


def immediate_exit(value: Any) -> int:
    """A value for ``kvm_run.immediate_exit``, which is one byte."""
    if isinstance(value, int) and 0 <= value <= 0xFF:
        return value
    raise KvmExitError(f"immediate_exit is a byte: take 0 or 1, not {said(value)}")


def exit_reason(value: Any) -> int:
    """A value for ``kvm_run.exit_reason``, which is four bytes."""
    if isinstance(value, int) and 0 <= value <= 0xFFFFFFFF:
        return value
    raise KvmExitError(f"exit_reason is a number of 32 bits, not {said(value)}")


def answer(data: Any) -> bytes:
    """An answer to an exit, as bytes."""
    try:
        return bytes(memoryview(data))
    except NO_BYTES:
        raise KvmExitError(
            f"an answer is bytes, not {said(data)}: take b'...' or bytes(...)"
        ) from None


def nothing_to_answer(last: object) -> KvmExitError:
    """The error of an answer that no exit has asked for."""
    return KvmExitError(f"nothing to answer: the last exit was {last!r}")


def nothing_to_refuse(last: object) -> KvmExitError:
    """The error of a refusal where no MSR is asked for: no other access can fail."""
    return KvmExitError(f"nothing to refuse: the last exit was {last!r}, and none of an MSR")


def limit(value: Any, unit: str, fractions: bool = False) -> Any:
    """How long one KVM_RUN may take, in ``unit``: above 0."""
    if not (whole(value) or fractions and isinstance(value, float)) or not value > 0:
        raise KvmExitError(f"limit is a number of {unit} above 0, not {said(value)}")
    return value


def seed(value: Any) -> Any:
    """What ``random.Random`` begins with."""
    if value is None or isinstance(value, int | float | str | bytes):
        return value
    raise KvmExitError(f"a seed is an integer, not {said(value)}")
