"""Two real kernels, booted, where they lie in the cache: `make elsewhere` puts them there."""

from pathlib import Path

import pytest
from kvmexit.commands.elsewhere import CACHE, judge
from kvmexit.elsewhere.bring import bring
from kvmexit.elsewhere.machines import MACHINES
from kvmexit.errors import KvmExitError
from patience import some

ROOT = Path(__file__).parents[2]
LIMIT = 600
"""Seconds of a stage; that a machine is too slow for it is no fault of ours."""
NOT_HAD = "no kernel of another machine"


@pytest.mark.parametrize("machine", some(["powerpc", "arm64"], usual=1))
def test_a_real_kernel_says_what_the_recording_and_the_simulator_say(machine):
    cache = ROOT / CACHE
    if not (cache / "kernel" / machine).exists():
        pytest.skip(f"{NOT_HAD}: none in {CACHE}, `make elsewhere` fetches it")
    try:
        document = bring(MACHINES[machine], cache, LIMIT, print)
    except KvmExitError as problem:
        if str(problem).startswith(("the machine inside", "the emulator ended", "what came over")):
            raise
        pytest.skip(f"{NOT_HAD}: {problem}")
    judged = judge(machine, document)
    assert judged["differences"] == []
    assert judged["against the recording"] == judged["observations"] > 100
