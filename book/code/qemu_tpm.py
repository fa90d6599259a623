"""QEMU with a TPM: does a guest's response survive a migration in the middle of reading it?

    python3 qemu_tpm.py [--rounds N] [--look] [--preload skip_entry.so]

The guest is a BIOS of our own: it sends the TPM one command for ever, reads each response
through the TIS FIFO, and writes it to a debug port. The host migrates it to a new QEMU, with a
new swtpm, again and again at random times, and looks at what came out of the port, end to end.
With --look it stays where it is, and is stopped, has its registers shown, and goes on.

Needs qemu-system-x86_64, swtpm, /dev/kvm and the book's library (for its assembler).
"""

import argparse
import atexit
import json
import os
import random
import socket
import struct
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

from kvmexit.guest import assemble

ROM, MAIN, COMMANDS = 0xFFFF0000, 0xFFFF0100, 0xFFFF0800
STARTUP = bytes.fromhex("8001 0000000c 00000144 0000")
GET_CAPABILITY = bytes.fromhex("8001 00000016 0000017a 00000000 00000000 0000007f")
TIMES = 16  # each response is read so often: the more reading, the more landings in it
SOURCE = """
        mov esp, 0x8000
        mov byte [TIS], 0x02            ; ACCESS: request locality 0
        mov esi, COMMANDS
        mov ecx, STARTUP
        call transact
next:   mov esi, COMMANDS+16
        mov ecx, COMMAND
        call transact
        jmp next

transact:                               ; send ecx bytes at esi, read and print the response
        mov byte [STS], 0x40            ; commandReady
ready:  mov al, [STS]
        test al, 0x40
        je ready
send:   mov al, [esi]
        mov [FIFO], al
        inc esi
        dec ecx
        jne send
        mov byte [STS], 0x20            ; tpmGo
        mov dword [LEFT], TIMES
answer: mov al, [STS]
        and al, 0x90
        cmp al, 0x90                    ; valid, data available
        jne answer
        movzx ebx, byte [STS+1]         ; the burst count, once, then as many bytes
        mov bh, [STS+2]
        mov edi, 0x10000
        mov ebp, ebx
take:   mov al, [FIFO]
        mov [edi], al
        inc edi
        dec ebx
        jne take
        mov esi, 0x10000
        mov edx, 0x402
print:  mov al, [esi]
        out dx, al
        inc esi
        dec ebp
        jne print
        mov byte [STS], 0x02            ; responseRetry: the same response from its first byte
        mov eax, [LEFT]
        dec eax
        mov [LEFT], eax
        jne answer
        ret
"""


def rom():
    """64 KiB that end at 4 GiB: from the reset vector into 32-bit mode, then ``SOURCE``."""
    image = bytearray(0x10000)
    image[0xFFF0:0xFFF3] = bytes.fromhex("e9 0d 00")  # jmp to offset 0
    to_32_bit = "fa 2e66 0f01 16 8000  0f20c0 0c01 0f22c0  66ea"  # lgdt, cr0.PE, far jump
    image[0:18] = bytes.fromhex(to_32_bit)
    image[18:24] = struct.pack("<IH", MAIN, 8)
    image[0x80:0x86] = struct.pack("<HI", 23, ROM + 0x90)
    flat = (0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF)  # no segment, code, data
    image[0x90:0xA8] = struct.pack("<QQQ", *flat)
    segments = bytes.fromhex("66b81000 8ed8 8ec0 8ed0")  # ds, es, ss
    main = assemble(
        SOURCE,
        MAIN + len(segments),
        TIS=0xFED40000,
        STS=0xFED40018,
        FIFO=0xFED40024,
        COMMANDS=COMMANDS,
        LEFT=0x7000,
        TIMES=TIMES,
        STARTUP=len(STARTUP),
        COMMAND=len(GET_CAPABILITY),
    ).code
    image[0x100 : 0x100 + len(segments + main)] = segments + main
    image[0x800 : 0x800 + len(STARTUP)] = STARTUP
    image[0x810 : 0x810 + len(GET_CAPABILITY)] = GET_CAPABILITY
    return bytes(image)


class Qemu:
    """One QEMU and its swtpm, in a folder of their own."""

    def __init__(self, folder, preload="", incoming=""):
        folder.mkdir()
        self.out, monitor, tpm = folder / "out", folder / "qmp", folder / "tpm"
        (folder / "bios").write_bytes(rom())
        swtpm = f"swtpm socket --tpm2 --tpmstate dir={folder} --ctrl type=unixio,path={tpm}"
        self.children = [subprocess.Popen(swtpm.split(), stdout=subprocess.DEVNULL)]
        atexit.register(self.kill)
        wait_for(tpm.exists)
        command = (
            "qemu-system-x86_64 -machine pc,accel=kvm -cpu qemu64,pni=off -m 16 -nodefaults"
            f" -display none -bios {folder / 'bios'} -qmp unix:{monitor},server=on,wait=off"
            f" -chardev file,id=port,path={self.out}"
            " -device isa-debugcon,iobase=0x402,chardev=port"
            f" -chardev socket,id=tpm,path={tpm} -tpmdev emulator,id=tpm0,chardev=tpm"
            " -device tpm-tis,tpmdev=tpm0"
        ).split()
        if incoming:
            command += ["-incoming", f"exec:cat {incoming}"]
        environment = {**os.environ, **({"LD_PRELOAD": preload} if preload else {})}
        self.children.append(subprocess.Popen(command, env=environment))
        self.monitor = connect(monitor).makefile("rw")
        self.monitor.readline()
        self.ask("qmp_capabilities")

    def ask(self, execute, **arguments):
        """One QMP command and its answer; events are passed over."""
        self.monitor.write(json.dumps({"execute": execute, "arguments": arguments}) + "\n")
        self.monitor.flush()
        while "event" in (answer := json.loads(self.monitor.readline())):
            pass
        if "error" in answer:
            raise SystemExit(f"QEMU: {execute}: {answer['error']['desc']}")
        return answer["return"]

    def migrate_to(self, file):
        self.ask("migrate", uri=f"exec:cat > {file}")
        wait_for(lambda: self.ask("query-migrate").get("status") == "completed")

    def look(self):
        """QEMU reads the registers to show them, and writes them back before it goes on."""
        self.ask("stop")
        self.ask("human-monitor-command", **{"command-line": "info registers"})
        self.ask("cont")

    def close(self):
        self.ask("quit")
        self.children.pop().wait()
        self.kill()

    def kill(self):
        """End what is left."""
        for child in self.children:
            child.kill()
            child.wait()


def connect(path):
    """A socket that is there may not be listened to yet."""
    connection = socket.socket(socket.AF_UNIX)
    wait_for(lambda: connection.connect_ex(str(path)) == 0)
    return connection


def wait_for(condition, seconds=30):
    """Ask until it holds. SystemExit if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("gave up waiting: see the messages of QEMU and swtpm")
        time.sleep(0.01)


def judge(stream):
    """Of the bytes that the guest printed: right responses, and the wrong ones in words."""
    stream = stream[10 * TIMES :]  # the response to TPM2_Startup
    size = int.from_bytes(stream[2:6], "big")
    right = stream[:size]
    whole = [stream[i : i + size] for i in range(0, len(stream) - size + 1, size)]
    return len([r for r in whole if r == right]), [say(r, right) for r in whole if r != right]


def say(response, right):
    """What became of one response."""
    for at in range(len(right)):
        if response == right[:at] + right[at + 1 :] + b"\xff":
            return "missing byte"
    different = sum(a != b for a, b in zip(response, right, strict=True))
    return "one stale byte" if different == 1 else f"{different} bytes differ"


def main():
    parser = argparse.ArgumentParser(description="Migrate a guest that reads a TPM.")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--preload", default="", metavar="LIBRARY", help="for QEMU, not swtpm")
    parser.add_argument("--look", action="store_true", help="stop, info registers, cont instead")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, stream = Path(name), b""
        qemu = Qemu(folder / "0", args.preload)
        for number in range(1, args.rounds + 1):
            time.sleep(random.uniform(0.1, 0.3))
            if args.look:
                qemu.look()
                continue
            qemu.migrate_to(folder / "state")
            qemu.close()
            stream += qemu.out.read_bytes()
            qemu = Qemu(folder / str(number), args.preload, incoming=folder / "state")
            # B023: the lambda is called before the loop goes on, so `qemu` is this round's.
            wait_for(lambda: qemu.ask("query-status")["status"] == "running")  # noqa: B023
        time.sleep(0.2)
        qemu.close()
        right, wrong = judge(stream + qemu.out.read_bytes())
    what = "looks" if args.look else "migrations"
    print(f"{args.rounds} {what}, {right} responses right, {len(wrong)} wrong")
    for fate, count in sorted(Counter(wrong).items()):
        print(f"  {fate}: {count}")


if __name__ == "__main__":
    main()
