"""A student's notebook without a browser: IPython, and whatever cells it is sent.

As a script it is the kernel; :class:`Kernel` is who sends it cells, and starts it anew where one of
them has ended it, as a student does.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

SECONDS = 2
"""How long a student waits for a cell before pressing the button that interrupts it."""


class Kernel:
    """Runs notebooks one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def check(self, cells: list[str], numbers: list[str], seed: int) -> dict[str, str]:
        """What the checks say of the answers in ``cells``, by the question's number. A cell that
        ends the kernel is left out."""
        left = list(range(len(cells)))
        while True:
            said: dict[str, str] = {}
            for kind, value in self._told([cells[n] for n in left], numbers, seed):
                if kind == "said":
                    said = value
                running = value
            if said:
                return said
            if not isinstance(running, int):
                raise AssertionError("the check has ended the kernel")
            del left[running]

    def _told(self, cells: list[str], numbers: list[str], seed: int) -> Any:
        if self.process is None or self.process.poll() is not None:
            self.close()
            self._start()
        self._out.write(json.dumps([cells, numbers, seed]).encode() + b"\n")
        self._out.flush()
        while line := self._in.readline():
            kind, value = json.loads(line)
            yield kind, value
            if kind == "said":
                return
        assert self.process is not None
        self.process.wait()

    def _start(self) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(theirs_in), str(theirs_out)],
            cwd=self.folder,
            env=os.environ | {"IPYTHONDIR": str(self.folder), "MPLBACKEND": "agg"},
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in = open(ours_out, "wb"), open(ours_in, "rb")

    def close(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._out.close()
            self._in.close()
            self.process = None


def main() -> None:
    import signal

    from IPython.core.interactiveshell import InteractiveShell
    from kvmexit.lab import catalogue
    from kvmexit.lab.notebook import judged
    from traitlets.config import Config

    requests, answers = open(int(sys.argv[1]), "rb"), open(int(sys.argv[2]), "wb", buffering=0)
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    for line in requests:
        cells, numbers, seed = json.loads(line)
        shell.reset(new_session=False)
        shell.history_manager.input_hist_raw[:] = [""]
        for number, source in enumerate(cells):
            answers.write(json.dumps(["cell", number]).encode() + b"\n")
            if re.match(r"(?:check|mark|problem)\(", source):  # the same check, at the end
                shell.history_manager.input_hist_raw.append(source)
                continue
            signal.alarm(SECONDS)
            try:
                shell.run_cell(source, store_history=True)
            except KeyboardInterrupt:
                pass
            finally:
                signal.alarm(0)
        answers.write(b'["checks", null]\n')
        said = {n: repr(judged(n, shell.user_ns, seed)) for n in numbers if catalogue.question(n)}
        answers.write(json.dumps(["said", said]).encode() + b"\n")


if __name__ == "__main__":
    main()
