"""The receive path of Linux's TPM TIS driver, as a guest program.

It follows ``tpm_tis_recv``, ``recv_data``, ``wait_for_stat`` and ``get_burstcount`` of
drivers/char/tpm/tpm_tis.c as the report of 2011 met them (v2.6.37): wait for STS, read the
burst count, read that many bytes from the one FIFO address, first the ten bytes of the header,
then what the header's size field says is left. The check that the size is at least a header's
is younger (2018, "tpm_tis: fix potential buffer overruns caused by bit glitches on the bus").
Left out: locality handling, and interrupts; a time-out is counted in polls, because this guest
has no clock. A header that comes up short returns -EIO here, and its own short count in Linux.

The program ends with ``hlt``: eax is the driver's return value (a byte count or a negative
errno), ecx the number of bytes in the buffer, esi the address of its message or 0.
"""

from __future__ import annotations

from functools import cache

from kvmexit.errors import known
from kvmexit.exits import Memory
from kvmexit.guest.assembler import Program, assemble
from kvmexit.guest.tis_registers import (
    COMMAND_READY,
    DATA_AVAIL,
    DATA_FIFO,
    INDEX,
    RESPONSE_RETRY,
    STORE,
    STS,
    TIS_BASE,
    VALID,
    WINDOW,
    XDATA_FIFO,
)

ORIGIN, STACK = 0x1000, 0x4000
BUFFER, BUFFER_SIZE = 0x4000, 4096
MESSAGES = 0x3000
RAM = 0x8000
"""Guest memory in bytes; the driver's buffer lies in its last part, its stack below it."""
HEADER, POLLS = 10, 2
TRIES, TRIES_LEFT = 50, 0x2FF0
"""How often the ``retry`` variant reads one response, and where in memory it counts them."""
EIO, ETIME = -5, -62

TEXTS = {
    "no_header": "Unable to read header",
    "no_remainder": "Unable to read remainder of result",
    "left_over": "Error left over data",
}
"""What the driver prints, as in drivers/char/tpm/tpm_tis.c."""

RECV = """
tpm_tis_recv:
        mov esp, STACK
        mov ecx, 0                  ; size: bytes received so far
        mov edx, HEADER
        call recv_data
        cmp ecx, HEADER
        jb short_header
        mov eax, [BUFFER+2]         ; the response's own size, big endian
        bswap eax
        cmp eax, BUFFER_SIZE
        ja bad_size
        cmp eax, HEADER
        jb bad_size
        mov ebp, eax                ; expected
        mov edx, eax
        call recv_data
        cmp ecx, ebp
        jb short_body
        mov ah, VALID
        call wait_for_stat
        test al, DATA_AVAIL
        jne still_data
        mov eax, ecx
        mov esi, 0
        jmp tpm_tis_ready
short_header:
        mov eax, EIO
        mov esi, no_header
        jmp tpm_tis_ready
bad_size:
        mov eax, EIO
        mov esi, 0
        jmp tpm_tis_ready
short_body:
        mov eax, ETIME
        mov esi, no_remainder
        jmp tpm_tis_ready
still_data:
        mov eax, EIO
        mov esi, left_over
tpm_tis_ready:
        mov byte [STS], COMMAND_READY
        hlt

recv_data:                          ; until ecx = edx
        cmp ecx, edx
        jae received
        mov ah, DATA_AVAIL_VALID
        call wait_for_stat
        and al, ah
        cmp al, ah
        jne received
        call get_burstcount
        test ebx, ebx
        je received
BURST
        jmp recv_data
received:
        ret

wait_for_stat:                      ; until all bits of ah are in al, the status
        mov edi, POLLS
poll_stat:
        mov al, [STS]
        mov bl, al
        and bl, ah
        cmp bl, ah
        je stat_known
        dec edi
        jne poll_stat
stat_known:
        ret

get_burstcount:                     ; ebx, or 0 after the time-out
        mov edi, POLLS
poll_burst:
        movzx ebx, byte [STS+1]
        mov bh, [STS+2]
        test ebx, ebx
        jne burst_known
        dec edi
        jne poll_burst
burst_known:
        ret
"""

BURSTS = {
    "driver": """
next_byte:
        cmp ecx, edx
        jae received
        mov al, [FIFO]
        mov [BUFFER+ecx], al
        inc ecx
        dec ebx
        jne next_byte
""",
    "indexed": """
next_byte:
        cmp ecx, edx
        jae received
        mov [INDEX], ecx
        mov al, [FIFO]
        mov [BUFFER+ecx], al
        inc ecx
        mov [INDEX], ecx
        dec ebx
        jne next_byte
""",
    "string": """
        mov edi, edx
        sub edi, ecx
        cmp edi, ebx
        jae whole_burst
        mov ebx, edi
whole_burst:
        mov edi, BUFFER
        add edi, ecx
next_piece:
        mov ebp, ecx
        mov ecx, ebx
        cmp ecx, PIECE
        jbe fits
        mov ecx, PIECE
fits:
        sub ebx, ecx
        push ecx
        mov esi, XFIFO
        rep movsb
        pop ecx
        add ecx, ebp
        test ebx, ebx
        jne next_piece
        mov ebp, edx
""",
    "wide": """
next_byte:
        cmp ecx, edx
        jae received
        mov edi, edx
        sub edi, ecx
        cmp edi, 16
        jb one
        cmp ebx, 16
        jb one
        movups xmm0, [XFIFO]
        movups [BUFFER+ecx], xmm0
        add ecx, 16
        sub ebx, 16
        jne next_byte
        jmp recv_data
one:
        mov al, [FIFO]
        mov [BUFFER+ecx], al
        inc ecx
        dec ebx
        jne next_byte
""",
}
BURSTS["pages"] = BURSTS["wide"].replace("[XFIFO]", "[WINDOW]")
BURSTS["verify"] = """
        mov edi, edx
        sub edi, ecx
        cmp edi, ebx
        jae whole_burst
        mov ebx, edi
whole_burst:
        mov ebp, ecx
        mov esi, XFIFO
        mov edi, STORE
        add edi, ecx
        mov ecx, ebx
        repe cmpsb                  ; the packet, as it comes, against the device's copy
        jne differs
        mov esi, STORE
        add esi, ebp
        movups xmm0, [esi]
        movups [BUFFER+ebp], xmm0
        mov ecx, ebx
        add ecx, ebp
        mov ebp, edx
        jmp recv_data
differs:
        mov ecx, ebp
        mov ebp, edx
        ret
"""
BURSTS["rmw"] = BURSTS["retry"] = BURSTS["driver"]
BURSTS["torn"] = """
        test ecx, ecx
        jne next_byte
        cmp ebx, 4
        jb next_byte
        mov esi, XFIFO
        mov edi, XFIFO
        mov ecx, 2
        repne cmpsb                 ; the tag and the size's zeros: each address is read twice
        mov dword [BUFFER], 0x00000180
        mov ecx, 4
        sub ebx, ecx
        je recv_data
""" + BURSTS["driver"].lstrip("\n")
"""How each variant of the driver takes a burst out of the FIFO. ``driver`` is Linux's loop;
``string`` uses ``rep movsb`` and ``wide`` 16-byte loads through the extended FIFO; ``rmw`` sets
commandReady by ``or``, so that its last access is a read and a write; ``retry`` has what the
receive path does around all this since v6.6, see :data:`RETRY`. ``pages``, ``torn`` and ``verify``
need a device with a window and a store that cross a page (:class:`kvmexit.lab.paged.Paged`): a
16-byte load takes three exits there, :data:`TORN` four, and a ``repe cmpsb`` of device with
device two for each byte, all in one instruction. ``torn`` also passes over the first
four bytes, which it knows, by a ``repne cmpsb`` of the FIFO with itself: exits that are equal in
pairs. Bursts of ``verify`` have 16 bytes at most."""

TORN = """
tpm_tis_ready:
        mov edi, [BUFFER+12]
        xor [STORE+TEAR], edi          ; two reads and two writes
        mov edi, [STORE+TEAR]
        mov [BUFFER+12], edi
"""

RETRY = """
recv_ended:
        cmp eax, EIO
        jne tpm_tis_ready
        mov edx, [TRIES_LEFT]
        dec edx
        je tpm_tis_ready
        mov [TRIES_LEFT], edx
        mov byte [STS], RESPONSE_RETRY
        jmp try_recv
tpm_tis_ready:
"""
"""After -EIO, and after no other error, the response is read again from its first byte.

Source: A. Steffen, tpm_tis: Use responseRetry to recover from data transfer errors, Message-ID
20230613180259.3525-4-Alexander.Steffen@infineon.com. The number of tries is ``TPM_RETRY``.
"""

PAGED = ("pages", "torn", "verify")
PROGRAMS = tuple(name for name in BURSTS if name not in ("indexed", *PAGED))
"""The variants for every device that pops; those of ``PAGED`` want one of their own."""


@cache
def tis_driver(variant: str = "driver") -> Program:
    """The driver, assembled; ``variant`` is a key of :data:`BURSTS`, or KvmExitError says which
    there are."""
    known("program", variant, BURSTS)
    names = {
        "STS": TIS_BASE + STS,
        "FIFO": TIS_BASE + DATA_FIFO,
        "XFIFO": TIS_BASE + XDATA_FIFO,
        "WINDOW": TIS_BASE + WINDOW,
        "STORE": TIS_BASE + STORE,
        "TEAR": 7,
        "INDEX": TIS_BASE + INDEX,
        "VALID": VALID,
        "DATA_AVAIL": DATA_AVAIL,
        "DATA_AVAIL_VALID": DATA_AVAIL | VALID,
        "COMMAND_READY": COMMAND_READY,
        "STACK": STACK,
        "BUFFER": BUFFER,
        "BUFFER_SIZE": BUFFER_SIZE,
        "HEADER": HEADER,
        "POLLS": POLLS,
        "PIECE": 0x40,
        "EIO": EIO & 0xFFFFFFFF,
        "ETIME": ETIME & 0xFFFFFFFF,
        "RESPONSE_RETRY": RESPONSE_RETRY,
        "TRIES": TRIES,
        "TRIES_LEFT": TRIES_LEFT,
        **message_addresses(),
    }
    source = RECV.replace("BURST\n", BURSTS[variant].strip("\n") + "\n")
    if variant == "rmw":
        source = source.replace("mov byte [STS], COMMAND", "or byte [STS], COMMAND")
    if variant == "torn":
        source = source.replace("tpm_tis_ready:\n", TORN.lstrip("\n"))
    if variant == "retry":
        # From bad_size on: of a short header the driver returns the length, and so never retries.
        first, mark, rest = source.partition("bad_size:\n")
        source = first + mark + rest.replace("jmp tpm_tis_ready", "jmp recv_ended")
        source = source.replace("tpm_tis_ready:\n", RETRY.lstrip("\n"))
        begin = "        mov edx, TRIES\n        mov [TRIES_LEFT], edx\ntry_recv:\n"
        source = source.replace("tpm_tis_recv:\n", "tpm_tis_recv:\n" + begin)
    return assemble(source, ORIGIN, **names)


def message_addresses() -> dict[str, int]:
    """Where each of the driver's messages lies in guest memory."""
    addresses, at = {}, MESSAGES
    for name, text in TEXTS.items():
        addresses[name] = at
        at += len(text) + 1
    return addresses


def load(memory: Memory, variant: str = "driver") -> int:
    """Put the driver and its messages into guest memory; returns the address to start at."""
    program = tis_driver(variant)
    memory[program.origin : program.origin + len(program.code)] = program.code
    for name, address in message_addresses().items():
        text = TEXTS[name].encode() + b"\0"
        memory[address : address + len(text)] = text
    return program.origin


def message_at(memory: bytes | Memory, address: int) -> str | None:
    """The message that the driver points to, or None."""
    if not address:
        return None
    raw = bytes(memory[address : address + 80])  # wherever a guest that went astray points to
    return raw.partition(b"\0")[0].decode("ascii", "backslashreplace")
