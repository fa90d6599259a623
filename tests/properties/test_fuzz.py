"""Differential fuzzing: the simulated kernel against the real one, and the fuzz itself."""

import pytest
from kvmexit.faults.faults import FAULTS
from kvmexit.guest.forms import FORMS
from kvmexit.guest.x86 import decode
from kvmexit.kernel.simulated import SimulatedKernel
from kvmexit.probe.fuzz.anomalies import ANOMALIES
from kvmexit.probe.fuzz.programs import Program, program
from kvmexit.probe.fuzz.run import Pair, describe, fuzz
from kvmexit.probe.fuzz.shrink import shrink
from kvmexit.probe.report import retirement_of

FIXED = 1_000_000
"""Seeds of the share that every test run does."""


@pytest.fixture(scope="module")
def real():
    from kvmexit.kernel.doctor import kvm_status
    from kvmexit.kernel.real import RealKernel

    status = kvm_status()
    if not status.works:
        pytest.skip(f"no /dev/kvm: {status.reason}")
    with RealKernel(limit=3.0) as kernel:
        yield kernel


def simulated_like(real) -> SimulatedKernel:
    return SimulatedKernel(retirement_of(real), limit=100_000)


def test_two_thousand_programs_or_a_minute(real) -> None:
    tally = fuzz(real, range(FIXED, FIXED + 2000), one=simulated_like(real), seconds=60)
    assert tally.divergence is None, describe(tally.divergence, ("simulated", "real"))
    assert tally.programs > 100
    assert tally.left.total() < tally.programs / 50


@pytest.mark.parametrize("anomaly", ANOMALIES, ids=lambda anomaly: anomaly.name)
def test_an_anomaly_of_the_real_emulator_is_mirrored(real, anomaly) -> None:
    pair = Pair(simulated_like(real), real)
    found = pair.divergence(anomaly.program)
    pair.close()
    assert found is None, describe(found, ("simulated", "real"))


def test_every_encoding_comes_up() -> None:
    seen = set()
    for seed in range(3000):
        for code in program(seed).instructions:
            at = 0
            while at < len(code):
                insn = decode(code[at:], 0)
                seen.add(id(insn.form))
                at += insn.length
    missing = [form for form in FORMS if id(form) not in seen]
    assert not missing


def test_a_number_is_always_the_same_program() -> None:
    assert program(7) == program(7) != program(8)


BROKEN = [
    "immediate_exit is looked at before completion",
    "only the first fragment of a write is delivered",
    "every fragment of a read lands in the first place",
    "an answer survives the loading of registers",
    "port input is not read ahead",
]


@pytest.mark.parametrize("name", BROKEN)
def test_the_fuzz_finds_a_fault_and_makes_it_small(name: str) -> None:
    """Recorded first with a sound kernel: a fault is a patch, and would break both."""
    (fault,) = [fault for fault in FAULTS if fault.name == name]

    def diverges(one: Program) -> bool:
        sound = _events(one)
        with fault.make():
            return _events(one) != sound

    failing = next(one for one in map(program, range(3000)) if diverges(one))
    small = shrink(failing, diverges)
    assert diverges(small)
    assert len(small.instructions) <= 2
    assert len(small.instructions) <= len(failing.instructions)


def _events(one: Program) -> list:
    from kvmexit.probe.fuzz.compare import Runner

    return Runner(SimulatedKernel(limit=100_000)).run(one).events


def test_a_divergence_is_printed_ready_for_probe() -> None:
    from kvmexit.kernel.retirement import ARM64

    tally = fuzz(SimulatedKernel(ARM64, limit=100_000), range(200))
    assert tally.divergence is not None
    text = describe(tally.divergence, ("simulated", "other"))
    assert "kvmexit probe --code " in text
    assert "simulated: result " in text
    assert len(tally.divergence.program.instructions) == 1
