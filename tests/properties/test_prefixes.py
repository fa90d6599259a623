"""Prefixes that change nothing, and what compilers emit: decoded as the plain instruction, and
executed so by the real kernel."""

from dataclasses import replace
from random import Random

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.guest.x86 import CODE_SEGMENT, SEGMENTS, decode
from kvmexit.kernel.doctor import kvm_status
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.fuzz.compare import compare
from kvmexit.probe.fuzz.programs import Program, program
from kvmexit.probe.fuzz.run import Divergence, Pair, describe
from kvmexit.probe.report import retirement_of
from patience import PATIENCE

CHECKED = range(2_000_000, 2_000_600)
"""Seeds of the programs that are prefixed."""


CHANGES_NOTHING = tuple(segment for segment in SEGMENTS if segment != CODE_SEGMENT)


def prefixed(one: Program) -> Program:
    """The program with segment prefixes before most instructions, and ``rep`` before ``ret``."""
    rng = Random(one.seed)
    instructions = []
    for code in one.instructions:
        segments = bytes(rng.choices(CHANGES_NOTHING, k=rng.randrange(3)))
        if len(segments + code) > 14:
            segments = b""
        instructions.append(segments + (b"\xf3" if code == b"\xc3" else b"") + code)
    return replace(one, instructions=tuple(instructions))


def test_a_segment_prefix_changes_nothing_but_the_length() -> None:
    seen = set()
    for seed in CHECKED:
        for code in program(seed).instructions:
            plain = decode(code, 0)
            for segment in CHANGES_NOTHING:
                insn = decode(bytes([segment]) + code, 0)
                assert (insn.form, insn.rep, insn.lock) == (plain.form, plain.rep, plain.lock)
                assert insn.text(0) == plain.text(0 if "rel" not in str(plain.form.operands) else 1)
                assert insn.length == plain.length + 1
            seen.add(plain.form.name)
    assert len(seen) > 50


@pytest.mark.parametrize(
    "code, text",
    [
        ("f3 c3", "ret"),
        ("3e c3", "ret"),
        ("66 90", "xchg ax, ax"),
        ("90", "nop"),
        ("93", "xchg ebx, eax"),
        ("66 97", "xchg di, ax"),
        ("65 8b 03", "mov eax, [ebx]"),
        ("2e 8d b4 26 00 00 00 00", "lea esi, [esi]"),
    ],
)
def test_what_compilers_emit_is_read(code: str, text: str) -> None:
    insn = decode(bytes.fromhex(code), 0x1000)
    assert (insn.text(0x1000), insn.length, insn.rep) == (text, len(bytes.fromhex(code)), False)


@pytest.mark.parametrize("code", ["2e 88 03", "2e 8a 03", "2e a3 00 20 00 00", "2e a4", "2e ff 03"])
def test_an_access_through_cs_is_refused(code: str) -> None:
    """A write through it is #GP (Intel SDM volume 3, Type Checking: no
    instruction may write into an executable segment)."""
    assert decode(bytes.fromhex(code)[1:], 0)
    with pytest.raises(KvmExitError, match="no instruction of the subset"):
        decode(bytes.fromhex(code), 0)


def test_the_real_kernel_ignores_them_too() -> None:
    from kvmexit.kernel.real import RealKernel

    status = kvm_status()
    if not status.works:
        pytest.skip(f"no /dev/kvm: {status.reason}")
    with RealKernel(limit=PATIENCE) as real:
        pair = Pair(SimulatedKernel(retirement_of(real), limit=100_000), real)
        for seed in CHECKED:
            one = prefixed(program(seed))
            found = compare(*pair.run(one))
            assert not found, describe(Divergence(one, *found), ("simulated", "real"))
        pair.close()
