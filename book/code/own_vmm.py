"""A VMM of a hundred lines over /dev/kvm, with a serial port, a pause and a save.

    python3 own_vmm.py SOCKET KERNEL [--load FILE] [--policy drain | skip-entry]

The serial port is on standard input and output. On SOCKET it takes pause, resume and
save FILE, one a line, and answers ok. With --load the state comes from FILE. How it stops its
vCPU is one of the book's policies (chapter 7).
"""

import argparse
import os
import pickle
import socket
import struct
import sys
import threading
from collections import deque
from pathlib import Path

from kvmexit.exits import EINTR, PioIn, PioOut, VcpuState
from kvmexit.kernel import RealKernel
from kvmexit.vmm import POLICIES

RAM = 0x1010000
READY, EMPTY = 0x01, 0x60


class Serial:
    """The serial port: what is read is popped."""

    def __init__(self):
        self.fifo = deque()
        os.set_blocking(0, False)

    def serve(self, run):
        match run.exit():
            case PioIn(port=0x3FD):
                run.answer(bytes([EMPTY | (READY if self.filled() else 0)]))
            case PioIn(port=0x3F8):
                run.answer(bytes([self.fifo.popleft() if self.filled() else 0]))
            case PioIn(size=size, count=count):
                run.answer(b"\xff" * size * count)
            case PioOut(port=0x3F8, data=data):
                os.write(1, data)

    def filled(self):
        try:
            self.fifo.extend(b"" if self.fifo else os.read(0, 16))
        except BlockingIOError:
            pass
        return bool(self.fifo)


class Vmm:
    """One vCPU, run by the main thread; another one listens to SOCKET."""

    def __init__(self, policy):
        self.vm, self.serial = RealKernel().create_vm(RAM), Serial()
        self.policy = POLICIES[policy]
        self.wanted, self.stands, self.goes = False, threading.Event(), threading.Event()

    def boot(self, kernel):
        """An ELF64: its segments, and its entry in 32-bit protected mode."""
        entry, table = struct.unpack_from("<QQ", kernel, 24)
        for at in range(table, table + kernel[56] * 56, 56):
            kind, _, offset, _, where, size = struct.unpack_from("<IIQQQQ", kernel, at)
            if kind == 1:
                self.vm.memory[where : where + size] = kernel[offset : offset + size]
        self.vm.vcpu.set_state(VcpuState(rip=entry))
        self.goes.set()

    def load(self, file):
        state, fifo, memory = pickle.loads(file.read_bytes())
        self.vm.memory[:] = memory
        self.vm.vcpu.set_state(state)
        self.serial.fifo.extend(fifo)
        self.wanted = True  # it stands until it is told to go on
        self.stands.set()

    def run(self):
        vcpu = self.vm.vcpu
        while self.goes.wait():
            if vcpu.run() is not EINTR:
                self.serial.serve(vcpu.kvm_run)
            if self.wanted:
                self.goes.clear()
                self.policy.stop(vcpu, self.serial)
                self.stands.set()

    def obey(self, word, rest):
        if word == "pause":
            self.stands.clear()
            self.wanted = True
            self.vm.vcpu.kick()
            self.stands.wait()
        elif word == "save":
            state = self.vm.vcpu.get_state(), list(self.serial.fifo), bytes(self.vm.memory)
            Path(rest).write_bytes(pickle.dumps(state))
        elif word == "resume":
            self.wanted = False
            self.goes.set()

    def listen(self, where):
        listener = socket.create_server(where, family=socket.AF_UNIX)
        talk, _ = listener.accept()
        for line in talk.makefile():
            self.obey(*line.rstrip("\n").partition(" ")[::2])
            talk.sendall(b"ok\n")
        os._exit(0)


def main():
    parser = argparse.ArgumentParser(description="A VMM of our own.")
    parser.add_argument("socket")
    parser.add_argument("kernel", type=Path)
    parser.add_argument("--load", type=Path)
    parser.add_argument("--policy", choices=list(POLICIES), default="drain")
    args = parser.parse_args()
    sys.setswitchinterval(1e-5)  # a request may arrive at any line, as in C
    vmm = Vmm(args.policy)
    if args.load:
        vmm.load(args.load)
    else:
        vmm.boot(args.kernel.read_bytes())
    threading.Thread(target=vmm.listen, args=(args.socket,), daemon=True).start()
    vmm.run()


if __name__ == "__main__":
    sys.exit(main())
