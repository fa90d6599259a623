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
