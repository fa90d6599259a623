"""More answers, as in `answers.py`: stop paths that end their loop in other ways, and devices that
keep something in other places; and answers to the other questions."""

from answers import DRAIN, EINTR, FIFO, SAVED, STOP, loop

RIGHT_TOO = {
    "an exception ends the loop": loop(
        "    class Rest(Exception): pass\n    def step():\n"
        "        if vcpu.run() is EINTR: raise Rest\n        bus.serve(page)\n"
        "    try:\n        while True: step()\n    except Rest: pass"
    ),
    "match": loop(
        "    while True:\n        match vcpu.run():\n            case Interrupted(): break\n"
        "            case MmioRead() | MmioWrite() | PioIn() | PioOut(): bus.serve(page)",
        "from kvmexit.exits import Interrupted, MmioRead, MmioWrite, PioIn, PioOut",
    ),
    "a generator used up inside": loop(
        "    def exits():\n        while (r := vcpu.run()) is not EINTR: yield r\n"
        "    for _ in exits(): bus.serve(page)"
    ),
    "a queue of length 0": "from collections import deque\n"
    + loop("    deque((bus.serve(page) for _ in iter(vcpu.run, EINTR)), maxlen=0)"),
    "takewhile": "from itertools import takewhile, repeat\n"
    + loop(
        "    for _ in takewhile(lambda r: r is not EINTR, (vcpu.run() for _ in repeat(0))):\n"
        "        bus.serve(page)"
    ),
    "a stack of exits": "from contextlib import ExitStack\n"
    f"{EINTR}def stop(vcpu, bus):\n    with ExitStack() as later:\n"
    "        vcpu.kvm_run.immediate_exit = 1\n"
    "        later.callback(setattr, vcpu.kvm_run, 'immediate_exit', 0)\n"
    "        while vcpu.run() is not EINTR: bus.serve(vcpu.kvm_run)\n"
    "        return 1 if bus else 2",
    "dispatch by type": "from functools import singledispatchmethod\n"
    "from kvmexit.exits import Interrupted\nclass Stop:\n    def __call__(self, vcpu, bus):\n"
    "        self.vcpu, self.bus, self.more = vcpu, bus, True\n"
    "        vcpu.kvm_run.immediate_exit = 1\n        while self.more: self.on(vcpu.run())\n"
    "        vcpu.kvm_run.immediate_exit = 0\n    @singledispatchmethod\n"
    "    def on(self, exit): self.bus.serve(self.vcpu.kvm_run)\n"
    "    @on.register\n    def _(self, exit: Interrupted): self.more = False\nstop = Stop()",
    "a coroutine is sent each exit": loop(
        "    def server():\n        while (yield) is not EINTR: bus.serve(page)\n"
        "    s = server(); next(s)\n    try:\n        while True: s.send(vcpu.run())\n"
        "    except StopIteration: pass"
    ),
    "a trampoline": loop(
        "    def enter(): return None if vcpu.run() is EINTR else serve\n"
        "    def serve(): bus.serve(page); return enter\n    step = enter\n"
        "    while step: step = step()"
    ),
    "text that is executed": f"exec('''{STOP}''')",
    "decorated": "import functools\n"
    f"def kicked(f):\n    @functools.wraps(f)\n    def g(vcpu, bus, *more):\n"
    "        vcpu.kvm_run.immediate_exit = 1\n        try: return f(vcpu, bus)\n"
    "        finally: vcpu.kvm_run.immediate_exit = 0\n    return g\n"
    f"{EINTR}@kicked\ndef stop(vcpu, bus, /):\n    while vcpu.run() is not EINTR:\n"
    "        bus.serve(vcpu.kvm_run)",
    "many more times": loop(
        "    rest = 0\n    while rest < 5:\n        if vcpu.run() is EINTR: rest += 1\n"
        "        else: bus.serve(page)"
    ),
    "a class of its own for each landing": f"{EINTR}class stop:\n"
    "    seen = 0\n    def __init__(self, vcpu, bus):\n        type(self).seen += 1\n"
    "        vcpu.kvm_run.immediate_exit = 1\n"
    "        while vcpu.run() != EINTR: bus.serve(vcpu.kvm_run)\n"
    "        vcpu.kvm_run.immediate_exit = 0",
}
WRONG_TOO = {
    "rests when the same exit comes twice": loop(
        "    last = None\n    while (r := vcpu.run()) is not EINTR and r != last:\n"
        "        bus.serve(page)\n        last = r"
    ),
    "until the instruction's first read is done": loop(
        "    first = vcpu.run()\n    while first is not EINTR:\n        bus.serve(page)\n"
        "        r = vcpu.run()\n        if r is EINTR or r.gpa != first.gpa: break"
    ),
    "rests at a write": loop(
        "    while (r := vcpu.run()) is not EINTR and not isinstance(r, MmioWrite):\n"
        "        bus.serve(page)",
        "from kvmexit.exits import MmioWrite",
    ),
    "looks at the page for its end": loop(
        "    vcpu.run()\n    while isinstance(page.exit(), (MmioRead, MmioWrite)):\n"
        "        bus.serve(page)\n        if vcpu.run() is EINTR and page.exit().gpa & 0x20: break",
        "from kvmexit.exits import MmioRead, MmioWrite",
    ),
    "every fiftieth landing is left alone": f"import itertools\n{EINTR}count = itertools.count(1)\n"
    f"def stop(vcpu, bus):\n    if next(count) % 50 == 0: return{DRAIN}",
    "drains the first landing only": f"{EINTR}def stop(vcpu, bus, done=[]):\n"
    f"    if done: return\n    done.append(1){DRAIN}",
    "17 entries": loop(
        "    for n in range(17):\n        if vcpu.run() is EINTR: break\n        bus.serve(page)"
    ),
    "swallows what is wrong": loop(
        "    try:\n        vcpu.run(); bus.serve(page); vcpu.run()\n    except BaseException: pass"
    ),
    "a count of its own makes it stop": loop(
        "    budget = 3\n    while budget and vcpu.run() is not EINTR:\n        bus.serve(page)\n"
        "        budget -= 1"
    ),
    "runs on, and drains again": f"{EINTR}def stop(vcpu, bus):{DRAIN}    vcpu.run()\n{DRAIN}",
    "answers reads itself": loop(
        "    while (r := vcpu.run()) is not EINTR:\n        if isinstance(r, MmioRead):\n"
        "            page.answer(b'\\xff' * r.size)\n        else: bus.serve(page)",
        "from kvmexit.exits import MmioRead",
    ),
    "serves, and looks whether it is over before": loop(
        "    r = vcpu.run()\n    for _ in range(30):\n        if r is EINTR: break\n"
        "        bus.serve(page)\n        page.immediate_exit = page.immediate_exit\n"
        "        r = vcpu.run() if type(r) is MmioRead else EINTR",
        "from kvmexit.exits import MmioRead",
    ),
}

_STATE = "(self.at, self.done, self.mine)"
DEVICES_RIGHT_TOO = {
    "a data class": f"import dataclasses\n{FIFO}@dataclasses.dataclass\nclass Device(Fifo):\n"
    "    response: bytes\n    at: int = 0\n    done: bool = False\n    mine: bool = False\n"
    "    def mode(self): return self.mine\n    def to_index(self): self.mine = True\n"
    "    def save(self):\n        now = dataclasses.asdict(self); del now['response']; return now\n"
    "    def load(self, state): vars(self).update(state)\n",
    "a text": f"import json\n{FIFO}class Device(Fifo):{SAVED}"
    f"    def save(self): return json.dumps({_STATE})\n"
    "    def load(self, state): self.at, self.done, self.mine = json.loads(state)\n",
    "methods of closures": f"{FIFO}class Mine(Fifo):{SAVED}\nclass Device:\n"
    "    def __init__(self, response):\n        kept = Mine(response)\n"
    "        for name in ('read', 'write', 'save', 'load'):\n"
    "            setattr(self, name, getattr(kept, name))\n",
    "a proxy": f"{FIFO}class Mine(Fifo):{SAVED}\nclass Device:\n"
    "    def __init__(self, response): self.__dict__['kept'] = Mine(response)\n"
    "    def __getattr__(self, name): return getattr(self.kept, name)\n",
}
_ELSEWHERE = {
    "a function's attribute": ("keep.m", "", "def keep(): pass\nkeep.m = False\n"),
    "a closure": (
        "kept()[0]",
        "",
        "def make():\n    m = [False]\n    return lambda: m\nkept = make()\n",
    ),
    "a generator": (
        "kept[0]",
        "",
        "def make():\n    m = [False]\n    while True: yield m\n"
        "source = make()\nclass Kept:\n    def __getitem__(self, n):\n"
        "        return next(source)[n]\n"
        "    def __setitem__(self, n, v): next(source)[n] = v\nkept = Kept()\n",
    ),
    "a cache": (
        "kept()[0]",
        "",
        "import functools\n@functools.cache\ndef kept(): return [False]\n",
    ),
    "a metaclass": ("type(Device).m", "", "class Meta(type): m = False\n"),
    "an object's own name": ("KEPT['m']", "", "KEPT = {'m': False}\n"),
}
DEVICES_WRONG_TOO = {
    name: f"{FIFO}{before}class Device(Fifo{', metaclass=Meta' if 'Meta' in before else ''}):\n"
    f"    def mode(self): return {where}\n    def to_index(self): {where} = True\n"
    for name, (where, _, before) in _ELSEWHERE.items()
}
"""The mode is kept in yet other places."""

OTHERS = {
    f"{name} gives {said}": (number, f"def {name}(*_): return {said}")
    for number, name in (
        ("1.1", "predict"),
        ("3.1", "twins"),
        ("4.1", "classify"),
        ("6.1", "predict_on"),
    )
    for said in ("[]", "{}", "([],)", "object()", "{1: {}}", "float('nan')", "True")
}
"""Values that nobody asked for: question and code."""

_DRAIN_IN = DRAIN.replace("\n    ", "\n        ")
LATER = {
    "a future for all cells": f"from __future__ import annotations\n{EINTR}# %%\n"
    f"def stop(vcpu: Vcpu, bus: Bus) -> Nothing:{DRAIN}",
    "an object that raises at any name": f"{EINTR}class Bag:\n"
    f"    def __getattr__(self, name): return {{}}[name]\nBAG = Bag()\n"
    f"def stop(vcpu, bus):\n    BAG{DRAIN}",
    "comments that end in a backslash": "# C:\\\n%matplotlib inline\nx = 1  # C:\\\n!ls\n" + STOP,
    "a module of its own": "import sys, types\nmine = types.ModuleType('mine')\n"
    f"exec('''{STOP}''', vars(mine))\nsys.modules['mine'] = mine\nfrom mine import stop",
    "a name of another module": f"{STOP}\nstop.__module__ = 'lab2.answers'",
    "pickled": f"import pickle\n{EINTR}def stop(vcpu, bus):\n"
    f"    assert pickle.loads(pickle.dumps(stop)) is stop{DRAIN}",
    "its main module": f"{EINTR}import __main__\ndef drained(vcpu, bus):{DRAIN}\n"
    "def stop(vcpu, bus): __main__.drained(vcpu, bus)",
    "names without end": "globals().update({f'n{i}': i for i in range(3000)})\n"
    f"globals().update({{'n' * 200 + str(i): i for i in range(3000)}})\n{STOP}",
    "a generator that has ended": f"{STOP}    used = (i for i in 'ab')\n    list(used)\n"
    "    return used",
    "weakly referred to": "import weakref\n"
    + loop("    weak = weakref.proxy(vcpu)\n    while weak.run() is not EINTR: bus.serve(page)"),
    "its class is data": "from __future__ import annotations\nimport dataclasses\n"
    f"from typing import ClassVar\n{EINTR}@dataclasses.dataclass(slots=True)\nclass Stop:\n"
    f"    KNOWN: ClassVar[dict[str, int]] = {{}}\n    def __call__(self, vcpu, bus):{_DRAIN_IN}\n"
    "stop = Stop()",
}
"""Right ones that once were not: what is odd in them is Python's or IPython's, and no fault."""
RIGHT_TOO |= LATER

_HISTORY = """
class Device:
    def __init__(self, response): self.response, self.seen = response, []
    def now(self):
        made = Mine(self.response)
        for name, *what in self.seen: getattr(made, name)(*what)
        return made
    def read(self, *what):
        data = self.now().read(*what)
        if what[0] == DATA_FIFO: self.seen.append(("read", *what))
        return data
    def write(self, *what): self.seen.append(("write", *what))
    def save(self): return self.seen
    def load(self, state): self.seen = [*state]
"""
DEVICES_LATER = {
    "a pickled object": f"import pickle\n{FIFO}class Device(Fifo):{SAVED}"
    "    def save(self): return pickle.dumps(self)\n"
    "    def load(self, state): vars(self).update(vars(pickle.loads(state)))\n",
    "all that it was asked": f"{FIFO}class Mine(Fifo):{SAVED}{_HISTORY}",
    "a count of its saves": f"{FIFO}class Device(Fifo):{SAVED}    saves = 0\n"
    f"    def save(self): self.saves += 1; return (*{_STATE}, self.saves)\n"
    "    def load(self, state): self.at, self.done, self.mine, self.saves = state\n",
}
"""As `LATER`."""
DEVICES_RIGHT_TOO |= DEVICES_LATER

_CLASSIFY = """
import re
def classify(lines):
    pending = {}
    for n, line in enumerate(lines):
        if not (found := re.search(r"kvm-vcpu:(\\d+)>, (\\w+)", line)): continue
        vcpu, call = found.groups()
        if call == "KVM_RUN": pending[vcpu] = ") = 0 (" in line and "HLT" not in line
        elif pending.get(vcpu, False): return n
"""
_SUSPEND = "from kvmexit.lab import Snapshot\n" + STOP.replace(
    "stop(vcpu, bus)", "suspend(vcpu, bus, memory)"
)
OTHERS_LATER = {
    "works from the second time on": (
        "2.1",
        f"{EINTR}seen = []\ndef stop(vcpu, bus):\n    seen.append(1)\n"
        f"    if len(seen) == 1: return{DRAIN}",
    ),
    "forgets that it is done": (
        "3.2",
        f"{FIFO}class Device(Fifo):{SAVED}    def save(self): return self.at, self.mine\n"
        "    def load(self, state): self.at, self.mine = state\n",
    ),
    "an older snapshot": (
        "2.2",
        f"kept = []\n{_SUSPEND}    saved = vcpu.get_state(), memory.save(), bus.device.save()\n"
        "    kept.append(Snapshot(*saved))\n    bus.device.close()\n    return kept[0]\n",
    ),
    "what is not seen is pending": ("4.1", _CLASSIFY.replace("vcpu, False", "vcpu, True")),
    "only what is read": ("4.1", _CLASSIFY.replace("elif p", "elif 'GET' in call and p")),
    "posts for ever": (
        "2.1",
        'import os\nLINES = b\'["post","set immediate_exit",[1]]\\n\' * 1000\n'
        "def stop(vcpu, bus):\n    while True: os.write(vcpu._ask.__self__._out, LINES)",
    ),
}
"""Wrong ones that once were right, or with most seeds, or were waited for."""
OTHERS |= OTHERS_LATER
