"""The assembler: what a line says, or a refusal with the reason."""

import re

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.guest.assembler import Program, assemble
from kvmexit.guest.driver import BURSTS, tis_driver
from kvmexit.guest.encoder import MNEMONICS
from kvmexit.guest.operands import REGISTERS

SAYS = [
    ("mov eax, [eax+esp]", "8b 04 04"),  # esp is the base: no encoding has it as an index
    ("mov eax, [esp+eax]", "8b 04 04"),
    ("mov eax, [esp+eax*1]", "8b 04 04"),
    ("mov eax, [8*eax + 4]", "8b 04 c5 04 00 00 00"),
    ("mov eax, [ebx*1]", "8b 04 1d 00 00 00 00"),
    ("mov eax, [ebx-4]", "8b 43 fc"),
    ("mov eax, [eax+0xffffffff]", "8b 40 ff"),
    ("push word 1", "66 6a 01"),
    ("push word 0x3b97", "66 68 97 3b"),
    ("push 0xffff", "68 ff ff 00 00"),
    ("push 0xffffffff", "6a ff"),
    ("push [eax]", "ff 30"),
    ("push word [eax]", "66 ff 30"),
    ("pop [eax]", "8f 00"),
    ("mov dx, [0x2000]", "66 8b 15 00 20 00 00"),
    ("mov [0x2000], dx", "66 89 15 00 20 00 00"),
    ("add dx, [ebx]", "66 03 13"),
    ("xchg [ebx], dx", "66 87 13"),
    ("mov dx, -1", "66 ba ff ff"),
    ("add dx, 0xffff", "66 83 c2 ff"),
    ("in al, dx", "ec"),
    ("out dx, ax", "66 ef"),
    ("in al, 0xff", "e4 ff"),
    ("jmp 0xfed40000", "e9 fb ef d3 fe"),
    ("call 0xfed40000", "e8 fb ef d3 fe"),
    ("je 0xfed40000", "0f 84 fa ef d3 fe"),
    ("xchg ebx, [eax]", "87 18"),
    ("lock xchg ebx, [eax]", "f0 87 18"),
    ("test eax, [ebx]", "85 03"),
    ("MOV EAX, [EBX]", "8b 03"),
    ("Lock Add Dword Ptr [ESI], 1", "f0 83 06 01"),
    ("mov\teax ,\t[ ebx ]", "8b 03"),
    ("mov byte[eax], 1", "c6 00 01"),
    ("mov byte ptr [eax], 1", "c6 00 01"),
    ("name: hlt", "f4"),
    ("a: b: jmp a", "eb fe"),
    ("mov al, 0xff", "b0 ff"),
    ("mov al, -0x80", "b0 80"),
    ("mov eax, 0b101 + 2 - 3", "b8 04 00 00 00"),
    ("movups xmm0, [eax]", "0f 10 00"),
    ("pushad", "60"),
    ("jnge 0x1000", "7c fe"),
    ("db 1, -1, 0xff", "01 ff ff"),
    ("db \"hi; 'you', \", 'x:', 0 ; a comment", "68 69 3b 20 27 79 6f 75 27 2c 20 78 3a 00"),
    ("x: db 0x0f, 0x0b", "0f 0b"),
]


@pytest.mark.parametrize("line, code", SAYS)
def test_a_line_gives_what_it_says(line: str, code: str) -> None:
    assert assemble(line).code.hex(" ") == code


REFUSED = [
    ("mov eax, [esp*1+eax]", "esp cannot be an index"),
    ("mov eax, [esp+esp]", "esp cannot be an index"),
    ("mov eax, [esp*2]", "esp cannot be an index"),
    *((f"mov eax, [eax*{n}]", f"not by {n}") for n in (0, 3, 5, 6, 7, 9, 10, 15, 16)),
    ("mov eax, [eax+ebx+ecx]", "one base and one index"),
    ("mov eax, [eax*2+ebx*2]", "one base and one index"),
    ("mov eax, [eax-ebx]", "ebx cannot be subtracted"),
    ("mov eax, [-ebx]", "ebx cannot be subtracted"),
    ("mov eax, [bx]", "bx cannot address memory"),
    ("mov eax, []", "nothing stands in the brackets"),
    ("mov eax, [ebx", "closing bracket"),
    ("mov eax, [eax*]", "not a register times"),
    ("mov eax, [*2]", "'*' is not expected"),
    ("mov eax, [0x123456789]", "no address of 32 bits"),
    ("mov eax, [ebx-0x80000001]", "no address of 32 bits"),
    ("lock mov [eax], ebx", "lock wants"),
    ("lock add eax, ebx", "lock wants"),
    ("lock cmp [eax], ebx", "lock wants"),
    ("lock add ebx, [eax]", "lock wants"),
    ("lock movsb", "lock wants"),
    ("rep lock movsb", "lock wants"),
    ("lock rep movsb", "lock wants"),
    ("rep mov eax, ebx", "rep repeats string instructions only"),
    ("rep nop", "rep repeats string instructions only"),
    ("rep rep movsb", "rep is one prefix of its kind too many"),
    ("rep repne cmpsb", "repne is one prefix of its kind too many"),
    ("rep", "no instruction follows the prefix"),
    ("movsb eax", "movsb takes no operands, not 1"),
    ("stosw [esp+edx*6]", "stosw takes no operands, not 1"),
    ("hlt hlt", "hlt takes no operands, not 1"),
    ("hlt 1", "hlt takes no operands, not 1"),
    ("add eax", "add takes two operands, not 1"),
    ("add eax,", "an operand is missing"),
    ("in al, 0x123", "0x123 is not between 0x0 and 0xff"),
    ("in al, -1", "-0x1 is not between 0x0 and 0xff"),
    ("out 300, al", "0x12c is not between 0x0 and 0xff"),
    ("mov al, 0x1ff", "0x1ff is not between -0x80 and 0xff"),
    ("mov al, -129", "-0x81 is not between -0x80 and 0xff"),
    ("mov ax, 0x12345", "0x12345 is not between -0x8000 and 0xffff"),
    ("mov byte [eax], 0x1234", "0x1234 is not between -0x80 and 0xff"),
    ("push 0x1ffffffff", "0x1ffffffff is not between"),
    ("push word 0x12345", "0x12345 is not between -0x8000 and 0xffff"),
    ("jmp 0x100000000", "0x100000000 is not between 0x0 and 0xffffffff"),
    ("jmp -1", "-0x1 is not between 0x0 and 0xffffffff"),
    ("loop 0x2000", "out of reach: loop reaches 127 bytes ahead, 128 back, not 4093"),
    ("jecxz 0x2000", "out of reach: jecxz reaches 127 bytes ahead"),
    ("mov eax, --1", "'-' is not expected"),
    ("mov eax, 1+", "a number is missing"),
    ("mov eax, 010", "'010' is no number"),
    ("mov eax, 5h", "'5h' is no number"),
    ("mov eax, 1 2", "'2' is not expected"),
    ("mov eax, foo", "'foo' is no label, constant or register"),
    ("mov eax, ebx+1", "ebx cannot be part of a number"),
    ("mov al, ebx", "mov does not take byte al and dword ebx"),
    ("mov [eax], [ebx]", "only one operand may be in memory"),
    ("mov [eax], 5", "the size of [eax] is open: write byte, word or dword"),
    ("mov [eax], 0x12345", "the size of [eax] is open"),
    ("and [eax], byte 5", "the size of [eax] is open: write byte, word or dword"),
    ("inc [eax]", "the size of [eax] is open"),
    ("movzx eax, [eax]", "the size of [eax] is open: write byte or word"),
    ("movzx ax, [eax]", "the size of [eax] is open: write byte"),
    ("movzx eax, ebx", "it takes r32, r/m8 or r16, r/m8 or r32, r/m16"),
    ("mov eax, dword ebx", "ebx is a register and has its own size"),
    ("mov eax, byte", "nothing follows 'byte'"),
    ("test 5, eax", "test does not take the number 0x5 and dword eax"),
    ("lea eax, ebx", "lea does not take dword eax and dword ebx; it takes r32, memory"),
    ("bswap ax", "bswap does not take word ax; it takes r32"),
    ("in bl, dx", "in does not take byte bl and word dx"),
    ("cpuid", "no instruction 'cpuid' in the subset"),
    ("repne movsb", "repne repeats cmps and scas only"),
    ("mov cs, ax", "mov cannot load cs"),
    ("mov eax, [ds]", "ds cannot address memory"),
    ("db", "db wants numbers of a byte, or text in quotes"),
    ("db 256", "0x100 does not fit into a byte"),
    ("db 'open", '"\'" is not expected'),
    ("2x: nop", "'2x' is no name"),
    ("enter word 5, 0", "enter does not take the word number 0x5"),
    ("in eax, byte 5", "in does not take dword eax and the byte number 0x5"),
    ("out byte 5, al", "out does not take the byte number 0x5 and byte al"),
    ("mov al, byte5", "'byte5' is no label, constant or register"),
    ("mov al, byte ptr5", "'ptr5' is no label, constant or register"),
    *((f"{word}: nop", "is a word of the language") for word in ("eax", "nop", "AL", "rep", "db")),
]


@pytest.mark.parametrize("line, reason", REFUSED)
def test_a_line_is_refused_with_its_number_its_text_and_the_reason(line: str, reason: str) -> None:
    with pytest.raises(KvmExitError) as refused:
        assemble(f"nop\n{line}")
    text = str(refused.value)
    assert text.startswith(f"line 2: cannot assemble {line!r}: ") and "\n" not in text
    assert reason in text


def test_a_label_is_there_once_and_is_no_constant() -> None:
    with pytest.raises(KvmExitError, match="line 2: .*'l' is there already"):
        assemble("l: nop\nl: hlt")
    with pytest.raises(KvmExitError, match="'STS' is there already"):
        assemble("STS: nop", STS=5)
    with pytest.raises(KvmExitError, match="the constant 'eax' cannot be used"):
        assemble("nop", eax=5)
    with pytest.raises(KvmExitError, match="the constant 'STS' cannot be used: '5' is no number"):
        assemble("nop", STS="5")


@pytest.mark.parametrize(
    "origin, reason",
    [
        (1 << 32, "cannot stand at 0x100000000: addresses have 32 bits"),
        (-1, "cannot stand at -0x1"),
        ("0x1000", "cannot stand at '0x1000'"),
        (4096.0, "cannot stand at 4096.0"),
        (0xFFFFFFFF, "2 bytes at 0xffffffff go beyond 4 GiB"),
    ],
)
def test_code_stands_in_32_bits(origin: object, reason: str) -> None:
    with pytest.raises(KvmExitError, match=reason):
        assemble("nop\nnop", origin)
    assert assemble("nop\nnop", 0xFFFFFFFE).code == b"\x90\x90"


@pytest.mark.parametrize("source", [None, b"nop", 5, ["nop"]])
def test_what_is_no_text_is_refused(source: object) -> None:
    with pytest.raises(KvmExitError, match="takes the text of a program, not ") as refused:
        assemble(source)
    assert str(refused.value).endswith(repr(source))


@pytest.mark.timeout(20)
def test_many_spaces_take_no_time() -> None:
    assert assemble(f"mov eax, [ebx{' ' * 100_000}]").code == b"\x8b\x03"


@pytest.mark.parametrize("line, code", SAYS)
def test_what_is_listed_is_assembled_to_the_same_bytes(line: str, code: str) -> None:
    program = assemble(line)
    assert assemble("\n".join(text for _, _, text in program.rows())).code == program.code


@pytest.mark.parametrize("name", ["byte2", "word_2", "dword.x", "BYTE_", "xmmword0"])
def test_a_name_may_begin_with_a_size(name: str) -> None:
    assert assemble(f"mov eax, {name}", **{name: 0x55}).code == assemble("mov eax, 0x55").code
    assert assemble(f"{name}: jmp {name}").code == assemble("x: jmp x").code
    assert assemble(f"mov al, byte ptr [{name}]", **{name: 2}) == assemble("mov al, [2]")


def test_names_keep_their_case() -> None:
    program = assemble("Next: jmp next\nnext: jmp Next", 0)
    assert program.labels == {"Next": 0, "next": 2} and program.code.hex() == "eb00ebfc"


NEVER_SETTLED = ["push 0x84-l\nl:\nhlt", "add eax, 0x83-l\nl: hlt", "push l-0x7e\n" * 3 + "l: hlt"]
NEVER_SETTLED += ["add dword [ebx+0x84-l], 1\nl: hlt", "cmp word [ebx+ecx+0x85-l], 0x81\nl: hlt"]


@pytest.mark.parametrize("source", NEVER_SETTLED)
def test_a_number_that_depends_on_its_own_length_comes_to_an_end(source: str) -> None:
    program = assemble(source, origin=0)
    again = assemble(source.replace("l:", ""), origin=0, l=program.labels["l"])
    assert again.labels == {} and program.code[-1:] == b"\xf4"
    assert program.labels["l"] == len(program.code) - 1
    for (_, _, text), (_, _, other) in zip(program.rows(), again.rows()):
        assert text == other


@pytest.mark.parametrize("before", [0, 126, 1000])
@pytest.mark.parametrize("between", [0, 126, 127, 128, 129])
def test_a_jump_is_short_where_it_reaches_and_a_label_behind_it_is_true(
    before: int, between: int
) -> None:
    program = assemble("nop\n" * before + "jmp l\n" + "nop\n" * between + "l: hlt", 0)
    assert program.labels["l"] == len(program.code) - 1
    assert len(program.code) == before + between + (3 if between <= 127 else 6)
    assert program.rows()[before][2] == f"jmp {program.labels['l']:#x}"


@pytest.mark.parametrize("variant", BURSTS)
def test_the_listing_of_the_driver_assembles_back(variant: str) -> None:
    program = tis_driver(variant)
    text = "\n".join(text for _, _, text in program.rows())
    assert assemble(text, program.origin).code == program.code


def test_data_is_listed_as_data() -> None:
    program = assemble("jmp l\nd: db 0x0f, 0x0b, 'abcdefgh'\ne: db 1\nl: hlt")
    assert program.listing().splitlines() == [
        "  1000  eb 0b                    jmp 0x100d",
        "d:",
        "  1002  0f 0b 61 62 63 64 65 66  db 0x0f, 0x0b, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66",
        "  100a  67 68                    db 0x67, 0x68",
        "e:",
        "  100c  01                       db 0x01",
        "l:",
        "  100d  f4                       hlt",
    ]
    assert assemble("\n".join(text for _, _, text in program.rows())).code == program.code
    with pytest.raises(KvmExitError, match="no instruction of the subset at 0x1000"):
        Program(0x1000, b"\x0f\x0b").rows()


def test_a_label_at_the_end_is_listed() -> None:
    assert assemble("jmp end\nend:").listing().splitlines()[-1] == "end:"


@pytest.mark.parametrize("name", sorted({*MNEMONICS, *REGISTERS}))
def test_each_word_of_the_language_is_refused_as_a_name(name: str) -> None:
    with pytest.raises(KvmExitError, match=re.escape(f"{name!r} is a word of the language")):
        assemble(f"{name}: hlt")
