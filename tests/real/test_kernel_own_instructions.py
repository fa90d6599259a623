"""What upstream asks of KVM's emulator, instruction by instruction, asked here again.

Each table names the file whose questions it re-expresses; the code and the values are ours.
The right values follow from the manual (Intel SDM volume 2), not from a run. A place at
0xd0000 and above is a device that behaves as memory: on the real kernel every access to it
goes through the emulator, on the simulated one through an exit.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from kvmexit.exits import MmioRead, MmioWrite, PioIn, PioOut
from kvmexit.guest.cpu import CF, SF, ZF
from kvmexit.probe.cases import RAM, STACK, case
from small_guests import CELLS, to_the_end

CELL, BACK = 0xD0010, 0xD1000 - 2


class Row(NamedTuple):
    """``source`` is run with ``begin``'s registers; ``cell`` is in the device at first."""

    source: str
    begin: dict[str, int]
    cell: int
    after: int
    flags: int | None = None
    """Of CF, ZF and SF, those set at the end; None: the instruction leaves them alone."""


# kvm-unit-tests, x86/emulator.c: test_simplealu
SIMPLE_ALU = (
    Row("or [{0}], ecx", {"ecx": 0x8001}, 0x1234, 0x9235, 0),
    Row("add [{0}], ecx", {"ecx": 0x80000000}, 0x80000001, 1, CF),
    Row("xor [{0}], ecx", {"ecx": 0xFFFF}, 0xFFFF, 0, ZF),
    Row("sub [{0}], ecx", {"ecx": 2}, 1, 0xFFFFFFFF, CF | SF),
    Row("sbb [{0}], ecx", {"ecx": 2, "rflags": CF}, 0x103, 0x100, 0),
    Row("adc [{0}], ecx", {"ecx": 0xFFFFFFFF, "rflags": CF}, 7, 7, CF),
    Row("adc [{0}], ecx", {"ecx": 0xFFFFFFFF}, 1, 0, CF | ZF),
    Row("and [{0}], ecx", {"ecx": 0xF0F0F0F0}, 0x12345678, 0x10305070, 0),
    Row("cmp [{0}], ecx", {"ecx": 5}, 5, 5, ZF),
    Row("test [{0}], ecx", {"ecx": 0x80000000}, 0xFFFFFFFF, 0xFFFFFFFF, SF),
)
# kvm-unit-tests, x86/emulator.c: test_incdecnotneg
ONE_OPERAND = tuple(
    Row(lock + name, {}, cell, after, flags)
    for lock in ("", "lock ")
    for name, cell, after, flags in (
        ("inc dword [{0}]", 0xFFFFFFFF, 0, ZF),
        ("dec dword [{0}]", 0x80000000, 0x7FFFFFFF, 0),
        ("not dword [{0}]", 0x0F0F0F0F, 0xF0F0F0F0, None),
        ("neg dword [{0}]", 1, 0xFFFFFFFF, CF | SF),
        ("inc byte [{0}]", 0x1FF, 0x100, ZF),
        ("dec byte [{0}]", 0x100, 0x1FF, SF),
        ("not byte [{0}]", 0x155, 0x1AA, None),
        ("neg byte [{0}]", 0x1FF, 0x101, CF),
        ("neg word [{0}]", 0x20000, 0x20000, ZF),
        ("not word [{0}]", 0x3FF00, 0x300FF, None),
    )
)
# kvm-unit-tests, x86/emulator64.c: test_xchg, test_xadd. The rows of cmpxchg are ours.
EXCHANGES = (
    Row("xchg [{0}], ecx", {"ecx": 0x11223344}, 0x55667788, 0x11223344),
    Row("xadd [{0}], ecx", {"ecx": 0xFFFFFFFF}, 1, 0, CF | ZF),
    Row("cmpxchg [{0}], ecx", {"eax": 3, "ecx": 9}, 3, 9, ZF),
    Row("cmpxchg [{0}], ecx", {"eax": 2, "ecx": 9}, 3, 3, CF | SF),
    Row("lock cmpxchg [{0}], ecx", {"eax": 4, "ecx": 9}, 3, 3, 0),
)


@pytest.mark.parametrize("place", [CELL, BACK], ids=["one-page", "two-pages"])
@pytest.mark.parametrize("row", SIMPLE_ALU + ONE_OPERAND + EXCHANGES, ids=lambda row: row.source)
def test_a_destination_in_a_device(either, row: Row, place: int) -> None:
    source = row.source.format(f"{place:#x}")
    end = to_the_end(
        either, case("alu", source, **row.begin), row.cell.to_bytes(4, "little"), place
    )
    assert end.at(place, 4) == row.after
    flags = row.begin.get("rflags", 0) if row.flags is None else row.flags
    assert end.state.rflags & (CF | ZF | SF) == flags


# kvm-unit-tests, x86/emulator.c: test_mov; x86/realmode.c: test_movzx_movsx, test_xchg, test_xadd,
# test_bswap, test_loopcc, test_jcxz, test_io. Linux, selftests/kvm/arm64/mmio_sign_ext_test.c:
# loads from MMIO, extended; asked of x86's instructions. The rows of lea and cmpxchg are ours.
REGISTERS = (
    ("mov eax, [0xd0010]", {}, 0x88776655, {"eax": 0x88776655}),
    ("mov al, [0xd0010]", {"eax": 0x11111111}, 0xFF, {"eax": 0x111111FF}),
    ("mov ah, [0xd0010]", {"eax": 0x11111111}, 0xFF, {"eax": 0x1111FF11}),
    ("mov cx, [0xd0010]", {"ecx": 0x11111111}, 0xFEDC, {"ecx": 0x1111FEDC}),
    ("movzx eax, byte [0xd0010]", {"eax": 0xFFFFFFFF}, 0x1F0, {"eax": 0xF0}),
    ("movzx eax, word [0xd0010]", {"eax": 0xFFFFFFFF}, 0x1F0F0, {"eax": 0xF0F0}),
    ("movsx eax, byte [0xd0010]", {}, 0x80, {"eax": 0xFFFFFF80}),
    ("movsx eax, byte [0xd0010]", {"eax": 0xFFFFFFFF}, 0x7F, {"eax": 0x7F}),
    ("movsx eax, word [0xd0010]", {}, 0x8000, {"eax": 0xFFFF8000}),
    ("movsx cx, byte [0xd0010]", {"ecx": 0x12340000}, 0x80, {"ecx": 0x1234FF80}),
    ("xchg eax, ebx", {"eax": 1, "ebx": 2}, 0, {"eax": 2, "ebx": 1}),
    ("xchg al, ah", {"eax": 0x12345678}, 0, {"eax": 0x12347856}),
    ("bswap eax", {"eax": 0x12345678}, 0, {"eax": 0x78563412}),
    ("lea eax, [ebx+ecx*4+0x10]", {"ebx": 0xFFFFFFF0, "ecx": 1}, 0, {"eax": 4}),
    ("xadd eax, eax", {"eax": 0x40000001}, 0, {"eax": 0x80000002}),
    ("xadd ebx, ecx", {"ebx": 5, "ecx": 7}, 0, {"ebx": 12, "ecx": 5}),
    ("cmpxchg [0xd0010], ecx", {"eax": 1, "ecx": 9}, 3, {"eax": 3, "ecx": 9}),
    ("cmpxchg [0xd0010], cl", {"eax": 0x101, "ecx": 9}, 3, {"eax": 0x103}),
    ("cmpxchg ebx, ecx", {"eax": 5, "ebx": 5, "ecx": 9}, 0, {"eax": 5, "ebx": 9}),
    ("xadd [0xd0010], ecx", {"ecx": 2}, 0x80, {"ecx": 0x80}),
    ("xchg [0xd0010], cx", {"ecx": 0x11110002}, 0xFFFF0080, {"ecx": 0x11110080}),
    ("l: ; inc eax; loop l", {"ecx": 5}, 0, {"eax": 5, "ecx": 0}),
    ("loop l; inc eax; l:", {"ecx": 1}, 0, {"eax": 1, "ecx": 0}),
    ("loop l; inc eax; l:", {"ecx": 0}, 0, {"eax": 0, "ecx": 0xFFFFFFFF}),
    ("jecxz l; inc eax; l:", {"ecx": 0}, 0, {"eax": 0}),
    ("jecxz l; inc eax; l:", {"ecx": 0x10000}, 0, {"eax": 1}),
    ("out 0x80, al; in al, 0x80", {"eax": 0x1FE}, 0, {"eax": 0x1FE}),
    ("out 0x80, ax; in ax, 0x80", {"eax": 0x1FE02}, 0, {"eax": 0x1FEFE & ~0xFFFF | 0xFEFE}),
    ("out 0x80, eax; in eax, 0x80", {"eax": 0x44FFFFFF}, 0, {"eax": 0x44444444}),
    ("out dx, al; mov eax, 0; in al, dx", {"eax": 7, "edx": 0xFFFF}, 0, {"eax": 7}),
    ("out dx, ax; mov eax, 0; in ax, dx", {"eax": 0x907, "edx": 0x80}, 0, {"eax": 0x909}),
    ("out dx, eax; in eax, dx", {"eax": 0x9000007, "edx": 0x80}, 0, {"eax": 0x9090909}),
)


@pytest.mark.parametrize("source, begin, cell, after", REGISTERS, ids=[r[0] for r in REGISTERS])
def test_what_a_register_ends_with(either, source, begin, cell, after) -> None:
    end = to_the_end(either, case("registers", source, **begin), cell.to_bytes(4, "little"), CELL)
    assert {name: end.state[name] for name in after} == after


# kvm-unit-tests, x86/emulator.c: test_mov; x86/realmode.c: test_mov_imm
@pytest.mark.parametrize(
    "source, after",
    [
        ("mov dword [0xd0010], 0x11223344", 0x11223344),
        ("mov word [0xd0010], 0x3344", 0xFFFF3344),
        ("mov byte [0xd0010], 0x44", 0xFFFFFF44),
        ("mov [0xd0010], ah", 0xFFFFFF78),
        ("mov [0xd0010], ax", 0xFFFF789A),
        ("mov [0xd0010], eax", 0x3456789A),
        ("mov [0xd0010], ebx; mov ecx, [0xd0010]; mov [0xd0010], cl", 0xEE),
    ],
)
def test_what_a_store_leaves(either, source: str, after: int) -> None:
    registers = {"eax": 0x3456789A, "ebx": 0xEE}
    end = to_the_end(either, case("store", source, **registers), b"\xff" * 4, CELL)
    assert end.at(CELL, 4) == after


# kvm-unit-tests, x86/emulator64.c: test_push, test_pop (and its leave); x86/realmode.c:
# test_push_pop, test_pusha_popa, test_call. From STACK on lie 11 22 33 44 55 66 77 88.
STACK_FORMS = (
    ("push eax", {"eax": 5}, STACK - 4, {}, {STACK - 4: 5}),
    ("push esp", {}, STACK - 4, {}, {STACK - 4: STACK}),
    ("push -2", {}, STACK - 4, {}, {STACK - 4: 0xFFFFFFFE}),
    ("push 0x12345678", {}, STACK - 4, {}, {STACK - 4: 0x12345678}),
    ("push ax", {"eax": 0xFFFF0005}, STACK - 2, {}, {STACK - 4: 0x50000}),
    ("push dword [esp]", {}, STACK - 4, {}, {STACK - 4: 0x44332211}),
    ("push dword [esp+4]", {}, STACK - 4, {}, {STACK - 4: 0x88776655}),
    ("push dword [0xd0010]", {}, STACK - 4, {}, {STACK - 4: 0x9ABCDEF0}),
    ("pop eax", {}, STACK + 4, {"eax": 0x44332211}, {}),
    ("pop ax", {"eax": 0xFFFFFFFF}, STACK + 2, {"eax": 0xFFFF2211}, {}),
    ("pop esp", {}, 0x44332211, {}, {}),
    ("pop dword [esp]", {}, STACK + 4, {}, {STACK + 4: 0x44332211}),
    ("pop dword [esp+4]", {}, STACK + 4, {}, {STACK + 8: 0x44332211}),
    ("pop dword [0xd0010]", {}, STACK + 4, {}, {CELL: 0x44332211}),
    ("leave", {"ebp": STACK + 4}, STACK + 8, {"ebp": 0x88776655}, {}),
    (
        "pusha",
        {"eax": 1, "edi": 8},
        STACK - 32,
        {},
        {STACK - 4: 1, STACK - 20: STACK, STACK - 32: 8},
    ),
    ("call l; nop; l:", {}, STACK - 4, {}, {STACK - 4: 0x1005}),
    ("call l; jmp e; l: ; inc eax; ret; e:", {}, STACK, {"eax": 1}, {}),
    ("call [esp+4]", {"esp": STACK + 0x20}, STACK + 0x1C, {}, {STACK + 0x1C: 0x1004}),
    ("jmp [esp+4]", {"esp": STACK + 0x20}, STACK + 0x20, {}, {}),
)


@pytest.mark.parametrize(
    "source, begin, esp, registers, memory", STACK_FORMS, ids=[row[0] for row in STACK_FORMS]
)
def test_the_stack(either, source, begin, esp, registers, memory) -> None:
    ram = (
        (STACK, bytes(0x11 * n for n in range(1, 9))),
        (STACK + 0x24, b"\x00\x90"),
        (0x9000, b"\xf4"),
    )
    end = to_the_end(either, case("stack", source, ram, **begin), b"\xf0\xde\xbc\x9a", CELL)
    assert end.state["esp"] == esp
    assert {name: end.state[name] for name in registers} == registers
    assert {address: end.at(address, 4) for address in memory} == memory


# kvm-unit-tests, x86/emulator.c: test_sse
PATTERN = bytes(range(0xA0, 0xB0))


@pytest.mark.parametrize("before", range(17))
@pytest.mark.parametrize("border", [RAM, CELLS + 0x1000], ids=["ram-device", "page-page"])
def test_sixteen_bytes_over_a_border(either, border: int, before: int) -> None:
    """``before`` of the 16 lie below the border, the others above: stored, then loaded."""
    place, number = border - before, int.from_bytes(PATTERN, "little")
    source = f"movups [{place:#x}], xmm1; movups xmm2, [{place:#x}]"
    end = to_the_end(either, case("sse", source, xmm1=number, xmm5=7))
    assert (end.state["xmm2"], end.state["xmm5"]) == (number, 7)
    assert end.at(place, 16) == number
    pieces = [exit for exit in end.exits if isinstance(exit, MmioWrite)]
    assert all(len(piece.data) <= 8 for piece in pieces)
    assert not any(piece.gpa < border < piece.gpa + len(piece.data) for piece in pieces)
    in_the_device = PATTERN[before:] if border == RAM else PATTERN
    assert b"".join(piece.data for piece in pieces) == in_the_device
    reads = [exit for exit in end.exits if isinstance(exit, MmioRead)]
    assert [(exit.gpa, exit.size) for exit in reads] == [
        (piece.gpa, len(piece.data)) for piece in pieces
    ]


# kvm-unit-tests, x86/emulator.c: test_stringio
@pytest.mark.parametrize("flags, first, last", [(0, 0x3000, 9), (0x400, 0x3009, 0)])
@pytest.mark.parametrize("device", [False, True], ids=["ram", "device"])
def test_a_string_sent_up_and_down(either, flags: int, first: int, last: int, device: bool) -> None:
    """Ten bytes to a port: those in front of the end first; the port remembers the last."""
    string, base = bytes(range(10)), 0xCD000 if device else 0
    source = "rep outsb; in al, dx"
    begin = {"edx": 0x80, "ecx": 10, "esi": first + base, "rflags": flags}
    end = to_the_end(either, case("stringio", source, ((0x3000, string),), **begin), string, CELLS)
    sent = b"".join(exit.data for exit in end.exits if isinstance(exit, PioOut))
    assert sent == (string[::-1] if flags else string)
    assert end.exits[-1] == PioIn(0x80, 1, 1)
    assert (end.state["eax"], end.state["ecx"]) == (last, 0)
