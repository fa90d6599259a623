"""The first process of a machine: mounts, loads KVM, runs the observations, sends the document
home over the console, and turns the machine off.

What it prints for whoever watches begins with `@@`. It knows nothing but the standard library.
"""

import base64
import ctypes
import gzip
import os
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
FINIT_MODULE = {"x86_64": 313, "ppc64le": 353}
POWER_OFF = 0x4321FEDC


def say(*words: object) -> None:
    """A line for the one who watches the console."""
    print("@@", *words, flush=True)


def mount() -> None:
    """What Python and KVM need to be seen, and terminals."""
    kinds = {"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs", "/dev/pts": "devpts"}
    for where, kind in kinds.items():
        os.makedirs(where, exist_ok=True)
        LIBC.mount(kind.encode(), where.encode(), kind.encode(), 0, None)


def load_modules() -> None:
    """In their order; those that are built in are not among them."""
    number = FINIT_MODULE.get(os.uname().machine, 273)
    with open("/modules/order") as order:
        for name in order.read().split():
            file = os.open(f"/modules/{name}.ko", os.O_RDONLY)
            if LIBC.syscall(number, file, b"", 0):
                say("module", name, os.strerror(ctypes.get_errno()))
            os.close(file)


def work(job: str, machine: str) -> None:
    """Run the job, and print its document, packed, between two marks."""
    argv = [sys.executable, "-m", f"kvmexit.{job}", machine, "/out/document"]
    environment = {"PYTHONPATH": "/lab", "HOME": "/tmp", "PATH": "/usr/bin", "PYTHONHASHSEED": "0"}
    status = subprocess.run(argv, env=environment).returncode
    if status or not os.path.exists("/out/document"):
        say("failed", "status", status)
        return
    with open("/out/document", "rb") as document:
        text = base64.encodebytes(gzip.compress(document.read(), 6)).decode()
    say("document")
    print(text, end="", flush=True)
    say("whole")


def main() -> None:
    """All of it. Whatever goes wrong, the machine is turned off."""
    mount()
    try:
        load_modules()
        say("kvm" if os.path.exists("/dev/kvm") else "nokvm", os.uname().release)
        with open("/job") as job:
            work(*job.read().split())
    except Exception as problem:
        say("failed", repr(problem))
    say("off")
    os.sync()
    time.sleep(0.2)
    LIBC.reboot(POWER_OFF)


if __name__ == "__main__":
    main()
