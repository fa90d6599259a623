"""Answers to lab 2 and 3: right in unusual ways, wrong in subtle ones. Each is the text of cells,
with a line of `# %%` between two, as one hands in a Python file."""

DRAIN = """
    vcpu.kvm_run.immediate_exit = 1
    while vcpu.run() is not EINTR:
        bus.serve(vcpu.kvm_run)
    vcpu.kvm_run.immediate_exit = 0
"""
EINTR = "from kvmexit.exits import EINTR\n"
STOP = f"{EINTR}def stop(vcpu, bus):{DRAIN}"


def loop(body: str, head: str = "", tail: str = "") -> str:
    """A stop path whose loop is unusual."""
    return (
        f"{EINTR}{head}\ndef stop(vcpu, bus):\n    page = vcpu.kvm_run\n"
        f"    page.immediate_exit = 1\n{body}\n    page.immediate_exit = 0\n{tail}"
    )


RIGHT = {
    "walrus": loop("    while (r := vcpu.run()) is not EINTR: bus.serve(page)"),
    "iter": loop("    for _ in iter(vcpu.run, EINTR): bus.serve(page)"),
    "recursion": loop(
        "    def more():\n        if vcpu.run() != EINTR:\n            bus.serve(page); more()\n"
        "    more()"
    ),
    "true": loop(
        "    while True:\n        if vcpu.run() == EINTR: break\n        bus.serve(vcpu.kvm_run)"
    ),
    "type": loop(
        "    while not isinstance(vcpu.run(), Interrupted): bus.serve(page)",
        "from kvmexit.exits import Interrupted",
    ),
    "finally": f"{EINTR}def stop(vcpu, bus):\n    vcpu.kvm_run.immediate_exit = True\n"
    "    try:\n        while vcpu.run() is not EINTR: bus.serve(vcpu.kvm_run)\n"
    "    finally: vcpu.kvm_run.immediate_exit = False",
    "context": "import contextlib\n"
    + loop("    pass").replace(
        "    pass",
        "    @contextlib.contextmanager\n    def kicked():\n        yield vcpu.run\n"
        "    with kicked() as run:\n        while run() is not EINTR: bus.serve(page)",
    ),
    "class": f"{EINTR}class Stop:\n  def __call__(self, vcpu, bus):{DRAIN}\nstop = Stop()",
    "lambda": f"{EINTR}def f(vcpu, bus):{DRAIN}\nstop = lambda vcpu, bus: f(vcpu, bus)",
    "partial": f"import functools\n{EINTR}def f(n, vcpu, bus):{DRAIN}\n"
    "stop = functools.partial(f, 1)",
    "once more": loop("    while vcpu.run() is not EINTR: bus.serve(page)\n    vcpu.run()"),
    "returns the vCPU": STOP + "    return vcpu",
    "returns an enum": f"import enum\nclass E(enum.Enum): A = 1\n{STOP}    return E.A",
    "annotated": f"from __future__ import annotations\nfrom typing import Any\n{EINTR}"
    f"def stop(vcpu: Vcpu, bus: Any) -> None:{DRAIN}",
    "unused imports": "import asyncio, hashlib, numpy as np, matplotlib.pyplot as plt\n"
    f"from kvmexit.vmm import drain\nplt.style.use('x')\n{STOP}",
    "black's percent": f'{EINTR}text = (\n    "%d"\n    % 3\n)\nrest = (7\n%\n4)\n{STOP}',
    "help": f"{STOP}\n# %%\nstop?\nEINTR??\n?stop\n",
    "shell": f"files = !ls\n!ls \\\n  -l\nt = %timeit -o 1+1\nif True:\n    %config X\n{STOP}",
    "timed": f"# %%\n%%time\n{STOP}",
    "bash beside": f"{STOP}\n# %%\n%%bash\nrm -rf stop\n",
    "prompts": "".join(
        f"{'>>> ' if i == 0 or line[:1] not in ' ' else '... '}{line}\n"
        for i, line in enumerate(STOP.strip().split("\n"))
        if line
    ),
    "indented": "".join(f"    {line}\n" for line in STOP.strip().split("\n")),
    "await beside": f"async def f(): return 1\n# %%\nawait f()\n# %%\n{STOP}",
    "exploring for ever": f"{STOP}\n# %%\nwhile True: pass\n",
    "exploring to the death": f"import os\n# %%\nos._exit(1)\n# %%\n{STOP}",
    "chinese": f"{STOP}\n# " + "读" * 60_000,
    "redefined": f"def stop(vcpu, bus): pass\n# %%\n1/0\n# %%\n{STOP}",
    "broken beside": f"{STOP}\n# %%\n1 +\n# %%\nfor in x",
    "prints": loop("    while vcpu.run() is not EINTR: print(page.exit()); bus.serve(page)"),
    "input": f"try: name = input()\nexcept EOFError: name = ''\n{STOP}",
    "main": f"{STOP}\nif __name__ == '__main__':\n    print(get_ipython(), display(1))",
}
"""Full marks for 2.1."""


def _counted(entries: int, serves_last: bool) -> str:
    last = "" if serves_last else f"        if n < {entries - 1}:\n    "
    return loop(
        f"    for n in range({entries}):\n        if vcpu.run() is EINTR: break\n"
        f"{last}        bus.serve(page)"
    )


WRONG = {
    **{f"{n} entries": _counted(n, False) for n in range(1, 17)},
    **{f"{n} entries, all served": _counted(n, True) for n in (1, 2, 3, 4, 8, 16)},
    "save at once": "def stop(vcpu, bus): pass",
    "no exit of 8 bytes": loop(
        "    while (r := vcpu.run()) is not EINTR and getattr(r, 'size', 8) < 8: bus.serve(page)"
    ),
    "reads only": loop(
        "    while (r := vcpu.run()) is not EINTR:\n"
        "        if isinstance(r, MmioRead): bus.serve(page)",
        "from kvmexit.exits import MmioRead",
    ),
    "until the address repeats": loop(
        "    seen = set()\n    while (r := vcpu.run()) is not EINTR and r.gpa not in seen:\n"
        "        seen.add(r.gpa); bus.serve(page)"
    ),
    "clears in the loop": loop(
        "    while vcpu.run() is not EINTR:\n        bus.serve(page); page.immediate_exit = 0"
    ),
    "serves twice": loop("    while vcpu.run() is not EINTR: bus.serve(page); bus.serve(page)"),
    "serves first": loop("    bus.serve(page)\n    while vcpu.run() is not EINTR: bus.serve(page)"),
    "answers zeros": loop("    while vcpu.run() is not EINTR: page.answer(bytes(16))"),
    "a read and a write": loop(
        "    for _ in 'rw':\n        if vcpu.run() is not EINTR: bus.serve(page)\n    vcpu.run()"
    ),
}
"""Not full marks for 2.1, and the landing where it fails first is named."""

FIFO = """
from kvmexit.guest import COMMAND_READY, DATA_AVAIL, DATA_FIFO, INDEX, STS, VALID
class Fifo:
    def __init__(self, response):
        self.response, self.at, self.done = response, 0, False
    def left(self):
        return 0 if self.done else max(0, len(self.response) - self.at)
    def read(self, offset, size):
        if offset == DATA_FIFO:
            byte = self.response[self.at : self.at + 1] if self.left() else b"\\xff"
            if not self.mode(): self.at += 1
            return (byte or b"\\xff").ljust(size, b"\\xff")
        if STS <= offset < STS + 4:
            status = VALID | (DATA_AVAIL if self.left() else 0)
            word = (self.left() << 8 | status).to_bytes(4, "little")
            return word[offset - STS :][:size].ljust(size, b"\\xff")
        return b"\\xff" * size
    def write(self, offset, data):
        if offset == INDEX:
            self.at = int.from_bytes(data, "little"); self.to_index()
        elif offset == STS and data[0] & COMMAND_READY:
            self.done = True
    def save(self): return self.at, self.done
    def load(self, state): self.at, self.done = state
"""
SAVED = """
    mine = False
    def mode(self): return self.mine
    def to_index(self): self.mine = True
    def save(self): return frozenset({("at", self.at), ("done", self.done), ("m", self.mine)})
    def load(self, state):
        known = dict(state)
        self.at, self.done, self.mine = known["at"], known["done"], known["m"]
"""
DEVICES_RIGHT = {
    "a frozenset": f"{FIFO}class Device(Fifo):{SAVED}",
    "a factory": f"{FIFO}class Mine(Fifo):{SAVED}\ndef Device(response): return Mine(response)",
}
_HIDDEN = {
    "class attribute": ("Device.m", "m = False", ""),
    "global": ("globals()['m']", "", "m = False\n"),
    "default": ("Device.kept()[0]", "kept = staticmethod(lambda k=[False]: k)", ""),
    "module": ("math.m", "", "import math\nmath.m = False\n"),
    "environment": ("os.environ['M']", "", "import os\nos.environ['M'] = ''\n"),
}
DEVICES_WRONG = {
    name: f"{FIFO}{before}class Device(Fifo):\n    {inside}\n    def mode(self): return {where}\n"
    f"    def to_index(self): {where} = {value!r}\n"
    for name, (where, inside, before) in _HIDDEN.items()
    for value in ["1" if name == "environment" else True]
}
"""The mode of the device is kept where `save` does not see it."""
