"""The guest that is a Linux: what its console says is judged, its kernel unpacked, its own program
counts, and every adapter hands all of it on."""

import bz2
import gzip
import lzma
import platform
import subprocess
from pathlib import Path
from random import Random
from struct import pack, pack_into

import pytest
from fakes import Fake, seen
from kvmexit.commands import main
from kvmexit.conform import VMMS, Linux, Plan, Verdict, bug_form, conform, judge, summary
from kvmexit.conform.harness import Seen
from kvmexit.conform.lines import LONG, breaks, line, text
from kvmexit.conform.linux import COMMAND_LINE, MEMORY, initramfs
from kvmexit.conform.run import Result
from kvmexit.conform.sequence import counts
from kvmexit.conform.vmlinux import unpacked
from kvmexit.errors import KvmExitError
from patience import draws

ALL = 40 * LONG


def total(found):
    return {kind: count for kind, count in counts(found).items() if count}


# -- what is on the console -------------------------------------------------------------------


def twice(said, at):
    return said[: at + 1] + said[at:]


def lose(said, at):
    return said[:at] + said[at + 1 :]


def make_up(said, at):
    return said[:at] + b"?" + said[at:]


def in_place(said, at):
    return said[:at] + b"?" + said[at + 1 :]


def lose_lines(said, at):
    return said[: at - at % LONG] + said[at - at % LONG + 3 * LONG :]


def say_lines_again(said, at):
    return said[: at - at % LONG] + said[at - at % LONG - 3 * LONG :]


def message(said, at):
    return said[:at] + b"[  1.2] watchdog: BUG: soft lockup\r\n" + said[at:]


FAULTS = {
    twice: {"written twice": 1},
    lose: {"not written": 1},
    make_up: {"made up": 1},
    in_place: {"made up": 1, "not written": 1},
    lose_lines: {"missing": 3},
    say_lines_again: {"twice": 3},
}


def test_an_undisturbed_console_has_no_break_wherever_it_ends():
    said = b"".join(line(n) for n in range(40))
    assert said.startswith(b"00000000\r\n00000001\r\n") and said == text(0, ALL)
    for start, length in ((0, 7), (13, 29), (250, 10)):
        assert text(start, length) == said[start : start + length]
    assert not any(breaks(said[:length]) for length in range(ALL + 1))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_is_counted_exactly_wherever_it_stands(fault):
    said = text(0, ALL)
    for at in range(4 * LONG, ALL - 5 * LONG):
        found = breaks(fault(said, at))
        assert total(found) == FAULTS[fault], at
        # A character that is doubled among its like shows behind them, before the line ends.
        assert at - LONG < found[0].at < at + LONG, at


def test_two_neighbours_that_change_places_are_out_of_order():
    said = text(0, ALL)
    for at in range(4 * LONG, ALL - 5 * LONG):
        if said[at] != said[at + 1]:
            swapped = said[:at] + said[at : at + 2][::-1] + said[at + 2 :]
            assert total(breaks(swapped)) == {"out of order": 1}, at


def test_what_the_kernel_says_between_is_made_up_once():
    said = text(0, ALL)
    for at in range(4 * LONG, ALL - 5 * LONG):
        found = total(breaks(message(said, at)))
        # Amid a line it spoils that one, whose rest is no line.
        assert found == {"made up": 1}, at


@pytest.mark.parametrize("seed", range(draws(50, in_ci=500)))
def test_two_faults_in_one_text_are_two(seed):
    random, said = Random(seed), text(0, ALL)
    first, second = random.choices(list(FAULTS), k=2)
    wanted = {}
    for fault in (first, second):
        for kind, count in FAULTS[fault].items():
            wanted[kind] = wanted.get(kind, 0) + count
    said = second(said, random.randrange(24 * LONG, 34 * LONG))
    assert total(breaks(first(said, random.randrange(4 * LONG, 16 * LONG)))) == wanted


def test_a_guest_that_starts_anew_has_said_its_lines_twice():
    said = text(0, 95) + b"kvmexit linux\r\n" + text(0, 50)
    assert total(breaks(said)) == {"made up": 1, "twice": 9}
    assert total(breaks(text(0, 95) + b"Kernel panic")) == {"made up": 1}


# -- a VMM that breaks it ---------------------------------------------------------------------

STOPS = {
    "linux": {},
    "linux-twice": {"written twice": 1},
    "linux-lose": {"not written": 1},
    "linux-in-place": {"made up": 1, "not written": 1},
    "linux-swap": {"out of order": 1},
    "linux-message": {"made up": 1},
}
GUEST = Linux(kernel=Path("vmlinux"))


@pytest.mark.parametrize("fault", STOPS)
def test_every_fault_of_a_vmm_is_counted_at_its_stop(fault, tmp_path):
    judgement = judge(seen(tmp_path, fault, 1, 2, 1, False, GUEST))
    assert {kind: n for kind, n in judgement.counts.items() if n} == STOPS[fault]
    assert judgement.broken == ([1] if STOPS[fault] else [])


def test_a_break_is_told_in_characters():
    said = text(0, 400)
    plan = Plan(VMMS["qemu"], "qemu", GUEST, stops=1)
    for at, fault, told in (
        (127, twice, "a character was written twice at stop 1: expected '\\r', seen '2'"),
        (127, lose, "a character was not written at stop 1: expected '2', seen nothing"),
        (127, lose_lines, "a line was missing at stop 1: expected '2', seen '5'"),
    ):
        judgement = judge(Seen(GUEST, False, fault(said, at), [120], [1]))
        assert judgement.verdict is Verdict.NOT_WHOLE and judgement.reason.startswith(told)
    judgement = judge(Seen(GUEST, False, twice(said, 127), [120], [1]))
    out = " ".join(" ".join(summary(Result(plan, judgement, 1.0, ""))).split())
    assert "round the first break the guest said: '\\r\\n00000011\\r\\n000000122\\r\\n" in out
    form = bug_form(Result(plan, judgement, 1.0, ""))
    assert "kvmexit conform qemu --binary qemu --guest linux --kernel vmlinux --stops" in form
    assert "A guest that is an unchanged Linux, whose first process prints a counter" in form


# -- its kernel -------------------------------------------------------------------------------


def legacy_lz4(data, block=1 << 12):
    """As ``lz4 -l`` writes it, though with few copies: of a run, and of what came before."""
    out = b"\x02\x21\x4c\x18"
    for start in range(0, len(data), block):
        packed = _lz4_block(data[start : start + block])
        out += pack("<I", len(packed)) + packed
    return out


def _lz4_block(data):
    """A run of one byte becomes a copy of the byte before it; the last five stay as they are."""
    out, at, plain = b"", 0, 0
    while at < len(data) - 12:
        run = 0
        while at and at + run < len(data) - 5 and data[at + run] == data[at - 1]:
            run += 1
        if run < 4:
            at += 1
            continue
        out += _token(data[plain:at], run - 4) + pack("<H", 1) + _more(run - 4)
        at = plain = at + run
    return out + _token(data[plain:], 0)


def _token(plain, copied):
    return bytes([min(15, len(plain)) << 4 | min(15, copied)]) + _more(len(plain)) + plain


def _more(count):
    return b"" if count < 15 else b"\xff" * ((count - 15) // 255) + bytes([(count - 15) % 255])


def bz_image(packed, size, sectors=3):
    """The least of a bzImage: its setup header, and what is packed behind it, with its size."""
    head = bytearray((sectors + 1) * 512)
    head[0x1F1], head[0x202:0x206] = sectors, b"HdrS"
    pack_into("<II", head, 0x248, 64, len(packed) + 4)
    return bytes(head) + bytes(64) + packed + pack("<I", size)


VMLINUX = b"\x7fELF" + Random(1).randbytes(700) + bytes(9000) + b"ab" * 40 + Random(2).randbytes(90)
WAYS = {
    "gzip": gzip.compress,
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "LZ4": legacy_lz4,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_kernel_is_unpacked(way):
    packed = WAYS[way](VMLINUX)
    assert len(packed) < len(VMLINUX) / 2
    assert unpacked(bz_image(packed, len(VMLINUX)), Path("k")) == VMLINUX
    for length in (300, len(packed) // 2):
        with pytest.raises(
            KvmExitError, match="^k is damaged: what is packed in it is not a whole"
        ):
            unpacked(bz_image(packed[:length], len(VMLINUX)), Path("k"))


def test_a_copy_that_reaches_into_itself_is_unpacked():
    """By hand, from LZ4's own page of the format: two bytes, and five copied from two back."""
    block = b"\x61\x7fELFab\x02\x00" + b"\x50xyzzy"
    packed = b"\x02\x21\x4c\x18" + pack("<I", len(block)) + block
    assert unpacked(bz_image(packed, 16), Path("k")) == b"\x7fELFab" + b"ababa" + b"xyzzy"


def test_a_way_that_this_python_does_not_know(monkeypatch):
    def lacks(name):
        raise ImportError(name)

    monkeypatch.setattr("kvmexit.conform.vmlinux.import_module", lacks)
    for packed, how in (
        (b"\x28\xb5\x2f\xfd" + bytes(9), "with Zstandard that"),
        (gzip.compress(VMLINUX), "with gzip that"),
        (b"something of 2040", "in a way that"),
    ):
        with pytest.raises(
            KvmExitError, match=f"^k is packed {how} this Python cannot unpack: let"
        ):
            unpacked(bz_image(packed, 0), Path("k"))


def test_what_is_no_kernel(tmp_path, capsys):
    plain = tmp_path / "plain"
    plain.write_bytes(bytes(4096))
    for kernel, said in (
        (plain, "is no kernel of Linux for x86: neither a bzImage nor an ELF"),
        (tmp_path / "none", "cannot be read (No such file or directory): give a kernel with"),
    ):
        words = ("firecracker", "--binary", "true", "--guest", "linux", "--kernel", str(kernel))
        assert main(["conform", *words]) == 2
        out, err = capsys.readouterr()
        assert not out and err.count("\n") == 1 and f"{kernel} {said}" in err


# -- what is handed to a VMM ------------------------------------------------------------------


def test_its_own_program_counts_in_64_bits(tmp_path):
    """The first process, as a process of this machine's Linux."""
    if platform.machine() != "x86_64":
        pytest.skip("no kernel for the guest linux: this machine is no x86-64")
    archive = initramfs()
    init = archive[archive.index(b"\x7fELF") :]
    program = tmp_path / "init"
    program.write_bytes(init[: init.index(b"070701")])
    program.chmod(0o755)
    with subprocess.Popen([program], stdout=subprocess.PIPE) as process:
        greeting = process.stdout.readline()
        said = [process.stdout.readline() for _ in range(12000)]
        process.kill()
    assert greeting.replace(b"\n", b"\r\n") == GUEST.greeting  # a terminal's newline
    assert said == [line(number).replace(b"\r", b"") for number in range(12000)]


@pytest.fixture
def kernels(tmp_path):
    """A kernel in both of its forms."""
    elf, packed = tmp_path / "vmlinux", tmp_path / "bzImage"
    elf.write_bytes(VMLINUX)
    packed.write_bytes(bz_image(gzip.compress(VMLINUX), len(VMLINUX)))
    return elf, packed


@pytest.mark.parametrize("name", VMMS)
def test_every_adapter_hands_on_kernel_initramfs_command_line_and_memory(name, kernels, tmp_path):
    kind = VMMS[name]
    for kernel in kernels:
        boot = Linux(kernel=kernel).boot(tmp_path, kind.linux)
        is_packed = boot.kernel.read_bytes()[:4] != b"\x7fELF"
        assert is_packed == (kernel.name == kind.linux == "bzImage")
        adapter = kind("vmm", boot.kernel)
        adapter.initrd, adapter.command_line = boot.initrd, boot.command_line
        adapter.memory = boot.memory
        asked = adapter.start()
        if name == "firecracker":
            adapter.ask = lambda *words, asked=asked: asked.append(str(words))
            adapter.started()
        said = " ".join(asked)
        for word in (boot.kernel, boot.initrd, COMMAND_LINE, str(MEMORY)):
            assert str(word) in said, word
    plain = kind("vmm", tmp_path / "guest").start()
    assert not any("init" in word or COMMAND_LINE in word for word in plain)


class NoLinux(Fake):
    linux = ""


def test_an_adapter_that_boots_none_is_told(kernels):
    with pytest.raises(KvmExitError, match="this adapter boots no Linux: let its start"):
        conform(Plan(NoLinux, NoLinux.binary, Linux(kernel=kernels[0]), stops=1))
    assert main(["conform", "qemu", "--kernel", "x"]) == 2


def test_a_console_that_says_something_else_is_quoted(kernels):
    """As a kernel does that finds no first process; it is given more time than a bare guest."""
    with pytest.raises(KvmExitError, match=r"given 1 s for .* the last that came is 'Panic!'"):
        conform(Plan(NeverUp, NeverUp.binary, Linux(kernel=kernels[0]), stops=1))


class NeverUp(Fake):
    linux = "bzImage"
    fault = "linux-panic"
