"""The code on the reference's page of the library runs as it is printed there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from kvmexit.kernel.real import RealKernel
from patience import PATIENCE

PAGE = (Path(__file__).parents[2] / "book" / "reference" / "api.md").read_text()
VMM, EXTENSION = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FACES = ("guest", "kernel", "vmm", "packet", "probe", "show", "tracelint", "conform")


def printed_by(code: str) -> str:
    """What ``code`` prints in a process of its own, which ends well and without a complaint."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_the_small_vmm_runs_as_printed(kernel: RealKernel) -> None:
    assert printed_by(VMM) == "moved, and whole\n"


def test_the_small_vmm_runs_on_the_simulated_kernel_too() -> None:
    there = VMM.replace("  # or SimulatedKernel: the same from here on", "")
    assert printed_by(there.replace("RealKernel", "SimulatedKernel")) == "moved, and whole\n"


def test_the_extension_runs_as_printed(kernel: RealKernel) -> None:
    if not kernel.check_extension(81):
        pytest.skip("this KVM has no KVM_CAP_READONLY_MEM")
    assert "eax=0x216d6f72" in printed_by(EXTENSION)


def test_every_room_of_the_page_begins_with_its_face() -> None:
    """The order is that of the house, and a face's words come first in its room."""
    rooms = re.findall(
        r"^## `kvmexit\.(\w+)`.*?\n.*?automodule:: kvmexit\.(\S+)$", PAGE, re.MULTILINE | re.DOTALL
    )
    assert rooms == [(name, name) for name in FACES]


@pytest.mark.parametrize("module", re.findall(r"automodule:: (\S+)", PAGE))
def test_every_name_of_the_page_is_there(module: str) -> None:
    block = PAGE.split(f"automodule:: {module}\n")[1].split("automodule::")[0]
    members = re.search(r":members: (.*)", block)
    there = __import__(module, fromlist=["x"])
    assert there.__doc__
    for name in members[1].split(", ") if members else ():
        assert getattr(there, name).__doc__, name
