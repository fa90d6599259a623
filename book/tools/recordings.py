"""Record real KVM anew, for readers who have none: python book/tools/recordings.py [FOLDER]

Writes every recording that the library ships, after a change of the guests, of what is asked of a
vCPU or of the form of a recording. A few minutes on a machine with /dev/kvm. The races are not
among them: `kvmexit race --record` counts for as long as one likes.
"""

import sys
from pathlib import Path

from kvmexit.commands import main
from kvmexit.kernel.real import RealKernel
from kvmexit.kernel.recorded import shipped
from kvmexit.lab import real
from kvmexit.probe import firsts, repeats


def record(folder: Path) -> None:
    """Write each recording into ``folder``."""
    firsts.record(RealKernel(), folder / "first-runs.json.gz")
    repeats.record(RealKernel(), folder / "repeats.json.gz")
    real.record(folder / "lab.json.gz")
    main(["record", str(folder / "driver.json.gz")])
    main(["atlas", "--record", str(folder / "atlas.json.gz")])


if __name__ == "__main__":
    record(Path(sys.argv[1]) if sys.argv[1:] else shipped("atlas").parent)
