"""Every deliberate fault is caught by the check it names, and by what that check is about."""

from contextlib import nullcontext
from dataclasses import replace

import pytest
from kvmexit.commands import main
from kvmexit.commands.faults import FAULTS
from kvmexit.faults import vmm_checks  # noqa: F401  # adds its checks
from kvmexit.faults.checks import CHECKS
from kvmexit.faults.faults import is_caught
from kvmexit.kernel.simulated import SimulatedKernel


@pytest.mark.parametrize("name", CHECKS)
def test_the_simulated_kernel_passes(name: str) -> None:
    CHECKS[name](SimulatedKernel())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_caught(fault) -> None:
    assert is_caught(fault)
    fault.caught_by(SimulatedKernel())  # and it is gone afterwards


def test_a_fault_that_breaks_nothing_is_not_caught() -> None:
    """So that "caught" means something."""
    assert is_caught(replace(FAULTS[0], make=nullcontext)) is None


def test_there_are_at_least_twenty_in_kernel_and_vmm() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 20
    assert {fault.where for fault in FAULTS} == {"kernel", "VMM"}


def test_the_table_names_every_fault_and_its_check(capsys) -> None:
    assert main(["faults"]) == 0
    table = capsys.readouterr().out
    for fault in FAULTS:
        assert fault.name in table
        assert fault.caught_by.__name__ in table
    assert "NOTHING" not in table
