"""The accesses of the atlas: every way in which a guest of this book can ask for a device.

Registers and RAM are such that a dropped or repeated byte shows: no two bytes are alike, and
``eax`` does not begin with what the device sends.
"""

from __future__ import annotations

from kvmexit.probe.cases import Case, case
from kvmexit.probe.verdict import REFUSED

DEVICE, OTHER = 0xD0024, 0xD0040
"""Two places in MMIO, on the same page."""
PAGE_END = 0xD1000
"""Where a page of MMIO ends and the next begins."""
RAM_END = 0x10000
SOURCE, TARGET = 0x3000, 0x2000
"""Two places in RAM."""
PORT, MSR = 0x5A, 0xDEAD0000
REFUSED_MSR = REFUSED[0]

BYTES = bytes(range(0x81, 0xA1))
EAX = 0x05060708
XMM = 0x8F8E8D8C8B8A89888786858483828180


def _strings(name: str, source: int, target: int, counts: tuple[int, ...]) -> list[Case]:
    """``movs`` from one place to another: once, and with each repeat count."""
    label = f"{'MMIO' if source > RAM_END else 'RAM'}->{'MMIO' if target > RAM_END else 'RAM'}"
    ram = ((SOURCE, BYTES),)
    cases = [case(f"{name} {label}", name, ram, esi=source, edi=target)]
    cases += [
        case(f"rep {name} {n} {label}", f"rep {name}", ram, esi=source, edi=target, ecx=n)
        for n in counts
    ]
    return cases


def _moves() -> list[Case]:
    a, b, end = f"{DEVICE:#x}", f"{DEVICE + 4:#x}", PAGE_END
    sizes = {1: "al", 2: "ax", 4: "eax"}
    reads = [case(f"MMIO read {n}", f"mov {r}, [{a}]", eax=EAX) for n, r in sizes.items()]
    writes = [case(f"MMIO write {n}", f"mov [{a}], {r}", eax=EAX) for n, r in sizes.items()]
    cases = []
    for what, text in (("read", "mov eax, [{:#x}]"), ("write", "mov [{:#x}], eax")):
        for first in (1, 2, 3):
            name = f"MMIO {what} 4 across a page ({first}+{4 - first})"
            cases.append(case(name, text.format(end - first), eax=EAX))
        name = f"RAM/MMIO boundary {what} 4"
        cases.append(case(name, text.format(RAM_END - 2), ((RAM_END - 2, b"\x81\x82"),), eax=EAX))
    vector = []
    for what, text in (("read", "movups xmm0, [{:#x}]"), ("write", "movups [{:#x}], xmm0")):
        for where, address in (("", DEVICE), (" across a page", end - 4)):
            vector.append(case(f"MMIO {what} 16{where}", text.format(address), xmm0=XMM))
    others = [
        case("movzx from MMIO", f"movzx eax, byte [{a}]", eax=EAX),
        case("movsx from MMIO", f"movsx eax, word [{a}]", eax=EAX),
        case("immediate to MMIO", f"mov dword [{a}], 0x81828384"),
        case("two reads in a row", f"mov al, [{a}]; mov bl, [{b}]", eax=EAX),
        case("two writes in a row", f"mov [{a}], al; mov [{b}], al", eax=EAX),
        case("cmp [MMIO], al", f"cmp [{a}], al", eax=EAX),
        case("test [MMIO], al", f"test [{a}], al", eax=EAX),
        case("and al, [MMIO]", f"and al, [{a}]", eax=EAX),
    ]
    return [*reads, *writes, *cases, *vector, *others]


def _read_modify_write() -> list[Case]:
    a = f"[{DEVICE:#x}]"
    across = f"[{PAGE_END - 2:#x}]"
    registers = {"eax": EAX, "ebx": 0x31323334}
    cases = [
        case(f"{text.split()[0]} [MMIO]", text.replace("M", a), **registers)
        for text in (
            *(f"{name} M, al" for name in "add or adc sbb and sub xor".split()),
            *(f"{name} byte M" for name in "inc dec not neg".split()),
            "xchg M, al",
            "xadd M, al",
        )
    ]
    equal, unequal = dict(registers, eax=0x11), registers
    cases += [
        case("lock add [MMIO]", f"lock add {a}, al", **registers),
        case("cmpxchg [MMIO], equal", f"lock cmpxchg {a}, bl", **equal),
        case("cmpxchg [MMIO], not equal", f"lock cmpxchg {a}, bl", **unequal),
        case("add dword [MMIO] across a page", f"add dword {across}, 0x01020304"),
        case("xchg [MMIO] across a page", f"xchg {across}, eax", **registers),
    ]
    return cases


def _ports() -> list[Case]:
    at = {"edx": PORT, "eax": EAX}
    accumulators = ("al", "ax", "eax")
    cases = [case(f"in {r}, dx", f"in {r}, dx", **at) for r in accumulators]
    cases += [case("in al, imm8", f"in al, {PORT:#x}", eax=EAX)]
    cases += [case(f"out dx, {r}", f"out dx, {r}", **at) for r in accumulators]
    cases += [
        case("out imm8, al", f"out {PORT:#x}, al", eax=EAX),
        case("out 0x7e, al", "out 0x7e, al", eax=EAX),
        case("insb", "insb", edx=PORT, edi=TARGET),
        case("insb to MMIO", "insb", edx=PORT, edi=OTHER),
        case("rep insb 8", "rep insb", edx=PORT, edi=TARGET, ecx=8),
        case("rep insw 8", "rep insw", edx=PORT, edi=TARGET, ecx=8),
        case("rep insd 8", "rep insd", edx=PORT, edi=TARGET, ecx=8),
        case("rep insb 8, DF=1", "std; rep insb", edx=PORT, edi=TARGET + 0x100, ecx=8),
        case("rep insb 3000", "rep insb", edx=PORT, edi=TARGET + 0x100, ecx=3000),
        case("rep insb 8 to MMIO", "rep insb", edx=PORT, edi=OTHER, ecx=8),
        case("rep insb 4 to MMIO, DF=1", "std; rep insb", edx=PORT, edi=OTHER, ecx=4),
        case("rep insb 8 across a page", "rep insb", edx=PORT, edi=0x2FFC, ecx=8),
    ]
    ram = ((SOURCE, BYTES),)
    cases += [
        case("outsb", "outsb", ram, edx=PORT, esi=SOURCE),
        case("outsd", "outsd", ram, edx=PORT, esi=SOURCE),
        case("outsb from MMIO", "outsb", edx=PORT, esi=DEVICE),
        case("rep outsb 8", "rep outsb", ram, edx=PORT, esi=SOURCE, ecx=8),
        case("rep outsb 4 from MMIO", "rep outsb", edx=PORT, esi=DEVICE, ecx=4),
    ]
    return cases


def _string_moves() -> list[Case]:
    return [
        *_strings("movsb", DEVICE, TARGET, (8,)),
        # Six bytes of MMIO below the end of the address space, then RAM from 0 on: the break
        # that the kernel takes at ecx 1024 falls into the middle of them.
        case("rep movsb 1027, 6 of MMIO", "rep movsb", esi=0xFFFFFFFA, edi=TARGET, ecx=1027),
        *_strings("movsd", DEVICE, TARGET, (4,)),
        *_strings("movsb", SOURCE, OTHER, (8,)),
        *_strings("movsb", DEVICE, OTHER, (4,)),
        case("movsd MMIO->RAM across a page", "movsd", esi=PAGE_END - 1, edi=TARGET),
        case("movsd MMIO->MMIO across a page", "movsd", esi=PAGE_END - 1, edi=PAGE_END + 0xFFE),
        case("movsw MMIO->RAM across a page", "movsw", esi=PAGE_END - 1, edi=TARGET),
        case(
            "rep movsw 4 MMIO->RAM across a page", "rep movsw", esi=PAGE_END - 3, edi=TARGET, ecx=4
        ),
        case(
            "rep movsw 4 MMIO->MMIO across a page", "rep movsw", esi=PAGE_END - 3, edi=OTHER, ecx=4
        ),
        case("rep movsb 4, DF=1", "std; rep movsb", esi=DEVICE, edi=TARGET, ecx=4),
        case("lodsb", "lodsb", esi=DEVICE, eax=EAX),
        case("rep lodsb 4", "rep lodsb", esi=DEVICE, ecx=4, eax=EAX),
        case("rep lodsd 4", "rep lodsd", esi=DEVICE, ecx=4, eax=EAX),
        case("stosb", "stosb", edi=OTHER, eax=EAX),
        case("rep stosb 4", "rep stosb", edi=OTHER, ecx=4, eax=EAX),
        case("rep stosd 4", "rep stosd", edi=OTHER, ecx=4, eax=EAX),
        case("cmpsb MMIO, MMIO", "cmpsb", esi=DEVICE, edi=OTHER),
        case("scasb from MMIO", "scasb", edi=DEVICE, eax=EAX),
        case("repne cmpsb 4 MMIO, MMIO", "repne cmpsb", esi=DEVICE, edi=OTHER, ecx=4),
        case("repne scasb 8 from MMIO, the 3rd is it", "repne scasb", edi=DEVICE, ecx=8, eax=0x13),
    ]


def _stack() -> list[Case]:
    a = f"dword [{DEVICE:#x}]"
    stack = {"esp": 0xD0100}
    calls = [
        case("call [MMIO]", f"call {a}"),
        case("jmp [MMIO]", f"jmp {a}"),
        case("call [MMIO], stack in MMIO", f"call {a}", **stack),
    ]
    near = [
        case("call, stack in MMIO", "call there; nop; there:", **stack),
        case("ret, stack in MMIO", "ret", **stack),
    ]
    return [
        case("push [MMIO]", f"push {a}"),
        case("pop [MMIO]", f"pop {a}", ((0x8000, BYTES),)),
        *calls,
        case("push eax, stack in MMIO", "push eax", eax=EAX, **stack),
        case("pop eax, stack in MMIO", "pop eax", eax=EAX, **stack),
        case("push [MMIO], stack in MMIO", f"push {a}", **stack),
        case("pop [MMIO], stack in MMIO", f"pop {a}", **stack),
        case("push eax across a page", "push eax", eax=EAX, esp=PAGE_END + 2),
        case("pop eax across a page", "pop eax", eax=EAX, esp=PAGE_END - 2),
        *near,
        case("leave, stack in MMIO", "leave", ebp=0xD0120),
        case("pusha, stack in MMIO", "pusha", eax=EAX, ebx=0x31323334, **stack),
    ]


def _msrs() -> list[Case]:
    at = {"ecx": MSR, "eax": EAX, "edx": 0x1234}
    return [
        case("rdmsr", "rdmsr", **at),
        case("wrmsr", "wrmsr", **at),
        case("two rdmsr", "rdmsr; mov edi, eax; rdmsr", **at),
        case("rdmsr, wrmsr", "rdmsr; wrmsr", **at),
        case("rdmsr, refused", "rdmsr", **at | {"ecx": REFUSED_MSR}),
        case("wrmsr, refused", "wrmsr", **at | {"ecx": REFUSED_MSR}),
        case("hlt", "nop"),
    ]


def _system() -> list[Case]:
    """What can raise an exception when it completes, and what KVM's emulator does not do.

    ``lgdt`` from a device is not among them: it is the same read for ever."""
    a, large = f"[{DEVICE:#x}]", {"eax": EAX, "edx": EAX}
    return [
        case("div by [MMIO]", f"div byte {a}", eax=0x0506),
        case("div by [MMIO], #DE", f"div byte {a}", eax=0xFFFF),
        case("div by dword [MMIO], #DE", f"div dword {a}", eax=EAX, edx=0xFFFFFFFF),
        case("idiv by [MMIO]", f"idiv dword {a}", **large),
        case("idiv by [MMIO], #DE", f"idiv word {a}", edx=0x8000),
        case(
            "div by dword [MMIO] across a page, #DE",
            f"div dword [{PAGE_END - 2:#x}]",
            edx=0xFFFFFFFF,
        ),
        case("mov ds, [MMIO], #GP", f"mov ds, {a}"),
        case("mov ss, [MMIO], #GP", f"mov ss, {a}"),
        case("mov [MMIO], ds", f"mov {a}, ds"),
        case("retf, stack in MMIO, #GP", "retf", esp=0xD0100),
        case("iret, stack in MMIO", "iret", esp=0xD0100),
        case("enter, stack in MMIO across a page", "enter 16, 0", esp=PAGE_END + 2, ebp=EAX),
        case("sti; read", f"sti; mov al, {a}", eax=EAX),
    ]


def atlas_parts() -> dict[str, list[Case]]:
    """All accesses by the name of their part, in the order of the atlas."""
    return {
        "loads and stores": _moves(),
        "read-modify-write": _read_modify_write(),
        "ports": _ports(),
        "strings": _string_moves(),
        "stack": _stack(),
        "MSRs": _msrs(),
        "system": _system(),
    }


def atlas_cases() -> list[Case]:
    """All of them, in the order of the atlas."""
    return [one for part in atlas_parts().values() for one in part]
