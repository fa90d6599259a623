"""The guests are what they say: the same instructions in 32 and in 64 bits, in a file to start."""

import re
import shutil
import subprocess
from struct import unpack_from

import pytest
from kvmexit.conform import GUESTS, run
from kvmexit.conform.image import LOAD
from pages import ROOT


@pytest.fixture(scope="module")
def objdump():
    path = shutil.which("objdump")
    if path is None:
        pytest.skip("no objdump: on Debian, apt-get install binutils")
    return path


def disassembled(objdump, code, mode, folder):
    """Address and mnemonic of each instruction, as GNU's disassembler reads it; registers have
    their 32-bit names."""
    file = folder / "code"
    file.write_bytes(code)
    words = [objdump, "-D", "-b", "binary", "-m", mode, "-M", "intel", str(file)]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    rows = re.findall(r"^ +([0-9a-f]+):\t([0-9a-f ]+?)\t(.*)$", text, re.M)
    return [
        (int(at, 16), bytes.fromhex(raw), re.sub(r"\br([a-ds][ixp])\b", r"e\1", said))
        for at, raw, said in rows
    ]


@pytest.mark.parametrize("name", GUESTS)
def test_the_bytes_mean_the_same_in_both_modes(name, objdump, tmp_path):
    program = GUESTS[name].program
    code = program.code[: min(program.data) - LOAD]
    in_32 = disassembled(objdump, code, "i386", tmp_path)
    in_64 = disassembled(objdump, code, "i386:x86-64", tmp_path)
    assert in_32 == in_64
    ours = [(at - LOAD, raw) for at, raw, text in program.rows() if not text.startswith("db")]
    assert [(at, raw) for at, raw, _ in in_32] == ours
    texts = [text for _, _, text in program.rows() if not text.startswith("db")]
    for (_, _, theirs), text in zip(in_32, texts, strict=True):
        assert text.split()[0].startswith(theirs.split()[0])  # GNU's insb is an `ins BYTE PTR`


@pytest.mark.parametrize("name", GUESTS)
def test_the_file_is_entered_at_its_first_byte_by_both_ways(name):
    guest = GUESTS[name]
    image = guest.image
    entry, table = unpack_from("<QQ", image, 24)
    assert image[:6] == b"\x7fELF\x02\x01" and entry == LOAD == guest.program.origin
    segments = {}
    for at in range(table, table + 56 * unpack_from("<H", image, 56)[0], 56):
        kind, _, offset, _, where, size = unpack_from("<IIQQQQ", image, at)
        segments[kind] = where, image[offset : offset + size]
    where, code = segments[1]
    assert where <= entry and code[entry - where :] == guest.program.code
    owner, length, kind, name_, start = unpack_from("<III4sQ", segments[4][1])
    assert (owner, length, kind, name_, start) == (4, 8, 18, b"Xen\0", LOAD)


def test_the_recorded_output_has_the_words_of_today(monkeypatch):
    """Its numbers are those of a day; what a verdict says, and what a guest misses, is not."""
    monkeypatch.setattr(run, "out_is_repeated", lambda: False)
    recorded = " ".join((ROOT / "book" / "code" / "conform.txt").read_text().split())
    assert f"cannot tell: {run._forgiven()} QEMU" in recorded
    missed = re.findall(r"does not find: (.*?)(?= \$|$)", recorded)
    assert set(missed) == {GUESTS["reader"].misses, GUESTS["writer"].misses}
