"""A VMM without a vCPU: it echoes its standard input as the reader does, and breaks as it is told.

    fake_vmm.py SOCKET FAULT STOP [STATE]

FAULT happens when it goes on after stop number STOP; but "starve" is a guest that gets no time
after each stop, behind a device that holds FIFO bytes and loses what is more. A FAULT that begins
with "linux" is that of a guest which prints a counter, character by character. Nothing of the
library is imported here: the fake must not share a mistake with what it tests.
"""

import json
import os
import select
import socket
import sys
import time

FIFO = 64
where, fault, at = sys.argv[1], sys.argv[2], int(sys.argv[3])
LINUX = fault.startswith("linux")
GREETING = b"kvmexit linux\r\n" if LINUX else b"firmware says\r\nkvmexit reader\n"
if fault == "linux-panic":
    GREETING = b"booting\r\nPanic!\r\n"
state = {"queue": [], "count": 0, "last": 0, "stops": 0, "due": ""}


def write(value):
    os.write(1, bytes([value | state["count"]]))


def say(value, keep=True):
    write(value)
    state["count"] ^= 0x80
    if keep:
        state["last"] = value


def go_on():
    """Pop and say everything, and make the break that is due as soon as there are the bytes."""
    queue = state["queue"]
    while queue:
        due = state["due"]
        if due == "reorder" and len(queue) < 2:
            return
        state["due"] = ""
        if due == "lose":
            queue.pop(0)
            continue
        if due == "repeat":
            say(state["last"])
        elif due == "make-up":
            say(0, keep=False)
        elif due == "in-place":
            queue.pop(0)
            say(0, keep=False)
            continue
        elif due == "reorder":
            queue[:2] = queue[1::-1]
            say(queue.pop(0))
        elif due == "write-twice":
            write(queue[0])
        elif due == "not-write":
            state["count"] ^= 0x80
            state["last"] = queue.pop(0)
            continue
        say(queue.pop(0))


def text(start, length):
    """What is to be printed, from its character number ``start`` on."""
    lines = "".join(f"{n:08}\r\n" for n in range(start // 10, (start + length) // 10 + 1))
    return lines[start % 10 :][:length].encode()


def print_on():
    """Some characters more, and the break that is due before them."""
    at, few = state["count"], text(state["count"], 7)
    if state["due"] == "linux-swap" and few[0] == few[1]:
        os.write(1, few[:1])
        state["count"] += 1
        return
    due, state["due"] = state["due"], ""
    if due == "linux-twice":
        few = text(at - 1, 1) + few
    elif due == "linux-lose":
        few = few[1:]
    elif due == "linux-in-place":
        few = b"?" + few[1:]
    elif due == "linux-swap":
        few = few[1::-1] + few[2:]
    elif due == "linux-message":
        few = b"BUG: soft lockup\r\n" + few
    os.write(1, few)
    state["count"] += 7


def main():
    running = len(sys.argv) == 4
    if fault == "half":
        time.sleep(60)
    if fault == "die":
        sys.exit("fake: no room for this guest")
    if fault == "linux-panic":  # before anybody is here whose patience is short
        os.write(1, GREETING)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(where)
    listener.listen(1)
    talk, _ = listener.accept()
    if not running:
        with open(sys.argv[4]) as saved:
            state.update(json.load(saved))
    elif fault not in ("mute", "linux-panic"):
        os.write(1, GREETING)
    wake, patience = 0.0, 0.02 if fault == "starve" else 0.001 if LINUX else None
    while True:
        ready, _, _ = select.select([talk, 0] if running else [talk], [], [], patience)
        if 0 in ready:
            state["queue"] += os.read(0, 16)
            if fault == "starve":
                del state["queue"][FIFO:]
        if running and time.monotonic() >= wake and fault != "linux-panic":
            print_on() if LINUX else go_on()
        if talk in ready:
            word, _, rest = talk.recv(4096).decode().partition(" ")
            if not word:
                return
            if word == "pause":
                running = False
                state["stops"] += 1
                if state["stops"] == at:
                    state["due"] = fault
                if state["due"] == "hang":
                    time.sleep(60)
                if state["due"] == "killed":
                    os.kill(os.getpid(), 9)
                if state["due"] == "refuse":
                    talk.send(b"cannot pause now\n")
                    continue
            elif word == "save":
                with open(rest, "w") as saved:
                    json.dump(state, saved)
            elif word == "resume":
                running = state["due"] != "stand"
                # This fault is a guest that gets no time for a while; nobody measures how long.
                wake = time.monotonic() + 0.3 if fault == "starve" else 0.0
            talk.send(b"ok\n")


main()
