"""A VMM that knows what it does: run under strace or tracefs, it prints what a log must show.

``live.py FIRST COUNT``: runs number FIRST to FIRST+COUNT-1 of a fixed list, each a guest
access, a policy, an exit to save at, and a restore. One JSON line a run:
``{"run", "access", "policy", "expected", "direction", ...}``, where *expected* says whether the
vCPU's last KVM_RUN before the save returned an exit that needs completion, and *direction* of
what kind it was. Before each run it makes an
ioctl that is not KVM's, so that a log can be cut into runs: ``MARK + run`` on /dev/null.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fcntl import ioctl
from itertools import product
from typing import Any

from kvmexit.exits import DATA_EXITS, EINTR, READS, VcpuState, answer_size
from kvmexit.kernel.real import RealKernel

MARK = 0x7E00F000
RAM = 0x10000

# Machine code, 32-bit: a loop of ecx passes over one access, then hlt. MMIO begins at RAM.
_ACCESSES = {
    "mmio": "a0240000d0aa",  # mov al, [MMIO]; stosb
    "xpage": "a1fe0f00d0ab",  # mov eax, [MMIO, across a page]; stosd
    "pio": "ba5a000000ecaa",  # in al, dx; stosb
    "out": "ba5a000000ee",  # out dx, al
    "insb": "ba5a000000516a0459f36c59",  # push ecx; push 4; pop ecx; rep insb; pop ecx
    "movsb": "be240000d0a4",  # mov esi, MMIO; movsb
    "repmovsb": "be240000d0516a0359f3a459",  # the same three times, rep
    "rmw": "0005240000d0",  # add [MMIO], al
    "wr": "a2240000d0",  # mov [MMIO], al
    "wrx": "a3fe0f00d0",  # mov [MMIO, across a page], eax
    "movups": "0f1005240000d0",  # movups xmm0, [MMIO]: two reads
    "rdmsr": "51b9745600000f3259",  # push ecx; mov ecx, 0x5674; rdmsr; pop ecx
    "hlt": "f4",  # needs no completion
}


def program(access: str, passes: int = 8) -> bytes:
    """``passes`` times ``access``, then ``hlt``."""
    body = bytes.fromhex(_ACCESSES[access])
    loop = b"\x49\x0f\x85" + (-(len(body) + 7)).to_bytes(4, "little", signed=True)  # dec; jnz
    return b"\xb9" + passes.to_bytes(4, "little") + body + loop + b"\xf4"


@dataclass
class Vmm:
    """One vCPU, its device, and the last thing KVM_RUN said."""

    vm: Any
    last: Any = None
    served: int = 0

    def enter(self) -> Any:
        self.last = self.vm.vcpu.run()
        return self.last

    def serve(self) -> None:
        if isinstance(self.last, READS):
            self.served += 1
            size = answer_size(self.last)
            self.vm.vcpu.kvm_run.answer(bytes((self.served + i) & 0xFF for i in range(size)))

    def go(self, exits: int) -> None:
        """Run until the ``exits``-th exit has been served, or the guest halts for good."""
        for _ in range(exits):
            self.enter()
            self.serve()
            if self.last is EINTR:
                return


def save_at_once(vmm: Vmm) -> None:
    pass


def kick_once(vmm: Vmm) -> None:
    vmm.vm.vcpu.kvm_run.immediate_exit = 1
    vmm.enter()
    vmm.vm.vcpu.kvm_run.immediate_exit = 0


def serve_once(vmm: Vmm) -> None:
    kick_once(vmm)
    vmm.serve()


def drain(vmm: Vmm) -> None:
    vmm.vm.vcpu.kvm_run.immediate_exit = 1
    while vmm.enter() is not EINTR:
        vmm.serve()
    vmm.vm.vcpu.kvm_run.immediate_exit = 0


POLICIES: dict[str, Callable[[Vmm], None]] = {
    "bug": save_at_once,
    "ignore": kick_once,
    "once": serve_once,
    "fix": drain,
}


def cases() -> list[tuple[str, str, int, str]]:
    """Every run there is: access, policy, exits before the save, where it is restored."""
    return list(product(_ACCESSES, POLICIES, (1, 2, 3, 4, 5), ("new", "same")))


def run(kernel: RealKernel, access: str, policy: str, exits: int, restore: str) -> Any:
    """One run; what KVM_RUN said last before its save, as the VMM itself knows."""
    with kernel.create_vm(RAM) as vm:
        code = program(access)
        vm.memory[0x1000 : 0x1000 + len(code)] = code
        vm.vcpu.set_state(VcpuState(gpr=(1, 0, 0, 0, 0x8000, 0, 0, 0x3000), rip=0x1000))
        vmm = Vmm(vm)
        vmm.go(exits)
        POLICIES[policy](vmm)
        last = vmm.last
        state = vm.vcpu.get_state()
        if restore == "same":
            vm.vcpu.set_state(state)
            vmm.go(2)
            return last
        with kernel.create_vm(RAM) as other:
            other.memory[:] = vm.memory[:]
            other.vcpu.set_state(state)
            Vmm(other).go(2)
    return last


def main(first: int, count: int) -> Iterator[dict[str, Any]]:
    """The runs, each marked in the log that somebody is making of this process."""
    null = os.open("/dev/null", os.O_RDONLY)
    every = cases()
    with RealKernel() as kernel:
        for number in range(first, first + count):
            access, policy, exits, restore = every[number * 7 % len(every)]
            try:
                ioctl(null, MARK + number, 0)
            except OSError:
                pass  # ENOTTY: it is only there to be seen
            last = run(kernel, access, policy, exits, restore)
            yield {
                "run": number,
                "access": access,
                "policy": policy,
                "exits": exits,
                "restore": restore,
                "expected": isinstance(last, DATA_EXITS),
                "direction": "read" if isinstance(last, READS) else "write",
                "exit": "EINTR" if last is EINTR else last.reason.c_name,
            }


if __name__ == "__main__":
    for line in main(int(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps(line))
