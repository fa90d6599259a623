"""Grade a class of forty, ten of them hostile, on two cores: python tests/bench/bench_grade.py

Within a minute, and what the stated limit allows each that hangs, divided by the jobs.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.append(str(Path(__file__).resolve().parents[1] / "lab"))
from batch import HOSTILE, make_batch
from kvmexit.lab.grade import most_seconds

CLASS, JOBS, MINUTE = 40, 2, 60.0


def main() -> int:
    with TemporaryDirectory() as name:
        folder = Path(name) / "in"
        make_batch(folder, CLASS - len(HOSTILE), list(HOSTILE))
        command = [sys.executable, "-m", "kvmexit", "grade", str(folder), "--jobs", str(JOBS)]
        began = time.monotonic()
        out = subprocess.run([*command, "--json"], stdout=subprocess.PIPE, check=True).stdout
        seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    points = [one["points"] for one in json.loads(out)["submissions"]]
    most = MINUTE + len(HOSTILE) * most_seconds(2) / JOBS
    print(f"{len(points)} graded, {points.count(10)} with full marks, {points.count(0)} with none")
    print(f"{seconds:.0f} s on the clock, {used.ru_utime + used.ru_stime:.0f} s computed,", end=" ")
    print(f"load {os.getloadavg()[0]:.1f}; at most {most:.0f} s are stated for {JOBS} jobs")
    return 0 if seconds < most else 1


if __name__ == "__main__":
    sys.exit(main())
