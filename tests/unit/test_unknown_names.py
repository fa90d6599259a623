"""What is named in a call, and is not there, is one sentence that says what is."""

import pytest
from kvmexit.elsewhere import recording_of, simulation_of
from kvmexit.errors import KvmExitError
from kvmexit.guest import tis_driver
from kvmexit.kernel import SimulatedKernel, shipped
from kvmexit.packet import Landing, Scenario, kick_races
from kvmexit.probe import case, probe
from kvmexit.show import explore, film, listing, strip, tap, trial, two_machines
from kvmexit.tracelint import lint_bytes
from kvmexit.vmm import POLICIES, Bus, Machine, Tis

KERNEL = SimulatedKernel()
READ = case("a read", "in al, dx")


def machine(**settings: str) -> Machine:
    vm = KERNEL.create_vm(0x1000)
    return Machine(KERNEL, Bus(Tis(b"abc")), vm, POLICIES["drain"], **settings)


@pytest.mark.parametrize(
    ("call", "known"),
    [
        (lambda: probe(KERNEL, READ, "none"), "new-vm, same-vcpu"),
        (lambda: probe(KERNEL, READ, saved="none"), "whole, registers"),
        (lambda: machine(restore="none"), "new-vm, same-vcpu"),
        (lambda: machine(saved="none"), "whole, registers"),
        (lambda: Scenario(device="none"), "tis-2011"),
        (lambda: tis_driver("none"), "driver, indexed"),
        (lambda: listing("none"), "driver, indexed"),
        (lambda: film(policy="none"), "serve-once, drain"),
        (lambda: film(read=2, phase="none"), "unserved, served, entered"),
        (lambda: film(face="none"), "whole, small"),
        (lambda: strip(policy="none"), "serve-once, drain"),
        (lambda: explore(policy="none"), "serve-once, drain"),
        (lambda: trial("none"), "serve-once, drain"),
        (lambda: tap("Where?", "There.", phase="none"), "unserved, served, entered"),
        (lambda: two_machines("none"), "powerpc"),
        (lambda: two_machines(phase="none"), "unserved, served, entered"),
        (lambda: list(kick_races("none")), "flag alone"),
        (lambda: simulation_of("none"), "svm, vmx"),
        (lambda: recording_of("none"), "svm, vmx"),
        (lambda: shipped("none"), "driver"),
        (lambda: lint_bytes(b"x\n", format="none"), "strace, tracefs"),
        (lambda: Landing(1, "served"), "a phase is one of Phase.UNSERVED"),
        (lambda: Landing(0), "count from 1, not 0"),
    ],
)
def test_it_says_what_there_is(call, known):
    with pytest.raises(KvmExitError, match=known) as said:
        call()
    assert "none" in str(said.value) or "not " in str(said.value)
