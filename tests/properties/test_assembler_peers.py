"""Assembler and decoder against GNU as and iced-x86, and against each other.

`make fuzz` runs the same campaigns with more lines and more bytes.
"""

import re
import subprocess
from random import Random

import against_as
import against_iced
import pytest
from against_as import a_line, run_as
from kvmexit.errors import KvmExitError
from kvmexit.guest import encoder, x86
from kvmexit.guest.assembler import Program, assemble
from kvmexit.guest.cpu import Relative
from kvmexit.guest.x86 import decode
from kvmexit.probe.fuzz.programs import program
from meaning import meaning

SEED = 7_000_000
"""Of the share that every test run does; the campaigns begin at 0."""


@pytest.fixture(scope="module")
def gnu_as() -> None:
    try:
        works = subprocess.run(["as", "--32", "-o", "/dev/null"], input=b"", capture_output=True)
    except FileNotFoundError:
        pytest.skip("no GNU as: on Debian, apt-get install binutils")
    if works.returncode:
        pytest.skip("this GNU as is not one for x86")


def test_two_thousand_lines_against_as(gnu_as) -> None:
    tally = against_as.campaign(2000, SEED)
    assert not tally.wrong, tally.text()
    assert tally.equal > 1000 and sum(tally.both_refuse.values()) > 200


def test_the_comparison_with_as_finds_a_line_that_is_refused_without_need(
    gnu_as, monkeypatch
) -> None:
    monkeypatch.setattr(encoder, "SYMMETRIC", ())
    wrong = against_as.campaign(6000, SEED).wrong
    assert wrong and all("test" in line.lower() or "xchg" in line.lower() for line in wrong)


def test_the_comparison_with_as_finds_a_prefix_that_is_not_allowed(gnu_as, monkeypatch) -> None:
    monkeypatch.setattr(encoder, "LOCKABLE", encoder.LOCKABLE | {"mov", "cmp"})
    wrong = against_as.campaign(6000, SEED).wrong
    assert wrong and all("as refuses it" in line and "lock" in line.lower() for line in wrong)


def test_ten_thousand_strings_against_iced() -> None:
    tally = against_iced.campaign(10_000, SEED)
    assert not tally.wrong, tally.text()
    assert tally.equal > 4000 and tally.cut_off > 400 and tally.invalid > 1000


def test_an_exchange_of_ax_with_itself_has_two_names() -> None:
    tally = against_iced.Tally()
    for code in ("66 90", "66 87 c0"):
        against_iced.compare(bytes.fromhex(code), tally)
    assert tally.equal == 2


def test_the_comparison_with_iced_finds_a_lock_that_is_not_allowed(monkeypatch) -> None:
    monkeypatch.setattr(x86, "LOCKABLE", x86.LOCKABLE | {"mov"})
    assert against_iced.campaign(10_000, SEED).wrong


def sources(rng: Random, lines: int) -> tuple[str, list[str]]:
    """A program that both assemblers take, with labels and jumps, in both languages."""
    labels = [f"l{n}" for n in range(lines)]
    ours, theirs = [], []
    for label in labels:
        while True:
            near = labels[max(0, len(ours) - 20) : len(ours) + 20]
            line = a_line(rng, near)
            try:
                assemble(line.ours, **dict.fromkeys(labels, 0x1000))
            except KvmExitError:
                continue
            if line.absolute or line.ours.split()[0].lower() in ("loop", "jecxz"):
                continue
            break
        ours.append(f"{label}: {line.ours}")
        theirs.append(f"{label}: {line.theirs}")
    return "\n".join(ours), theirs


@pytest.mark.parametrize("seed", range(4))
def test_a_program_with_labels_means_the_same_to_as(gnu_as, seed: int) -> None:
    """Each line of it; and a jump, whatever its length, leads to the line that it names."""
    source, theirs = sources(Random(SEED + seed), 150)
    complaints, listing = run_as(theirs)
    assert not [text for text in complaints.values() if "Error" in text]
    program = assemble(source, 0)
    assert assemble("\n".join(text for _, _, text in program.rows()), 0).code == program.code
    lines = {address: n for n, address in enumerate(program.labels.values())}
    lines_of_as = {address: n for n, (address, _) in listing.items()}
    jumps = 0
    for n, (address, raw, _) in enumerate(program.rows()):
        at, code = listing[n]
        ours, other = decode(raw, address), decode(code, at)
        if isinstance(ours.operands[0] if ours.operands else None, Relative):
            jumps += 1
            targets = meaning(ours, address)[4][0][1], meaning(other, at)[4][0][1]
            assert ours.form.name == other.form.name
            assert lines[targets[0]] == lines_of_as[targets[1]]
        elif not re.search(r"\bl\d", source.splitlines()[n].partition(": ")[2], re.IGNORECASE):
            assert meaning(ours, address) == meaning(other, at)
    assert jumps > 10


def listed_and_assembled(code: bytes, address: int) -> None:
    """The text of an instruction gives the instruction; once assembled, the same bytes."""
    insn = decode(code, address)
    again = assemble(insn.text(address), address).code
    other = decode(again, address)
    assert other.text(address) == insn.text(address)
    assert meaning(other, address) == meaning(insn, address)
    assert len(again) <= insn.length + 1  # a moffs, or xchg with eax, may be written longer
    assert assemble(other.text(address), address).code == again


def test_a_listing_of_any_bytes_assembles_back() -> None:
    rng, seen = Random(SEED), 0
    for _ in range(4000):
        code = against_iced.bytes_of(rng)
        try:
            decode(code, 0x1000)
        except KvmExitError:
            continue
        listed_and_assembled(code, 0x1000)
        seen += 1
    assert seen > 1500


def test_a_listing_of_a_random_program_assembles_back() -> None:
    for seed in range(200):
        for address, raw, _ in Program(0x1000, program(seed).case().code).rows():
            listed_and_assembled(raw, address)
