"""What chapter 17's QEMU script says of the bytes that its guest printed."""

import runpy
from pathlib import Path

import pytest

CODE = Path(__file__).resolve().parents[2] / "book" / "code"
SCRIPT = runpy.run_path(str(CODE / "qemu_tpm.py"))
RIGHT = b"\x80\x01" + (40).to_bytes(4, "big") + bytes(4) + bytes(range(1, 31))
STARTUP = bytes(10) * SCRIPT["TIMES"]


def judged(*responses):
    return SCRIPT["judge"](STARTUP + RIGHT + b"".join(responses))


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (RIGHT[:20] + RIGHT[21:] + b"\xff", "missing byte"),
        (RIGHT[:20] + RIGHT[19:20] + RIGHT[21:], "one stale byte"),
        (RIGHT[:20] + RIGHT[19:-1], "20 bytes differ"),
    ],
    ids=["missing", "stale", "duplicate"],
)
def test_each_symptom_has_its_word(response, said):
    assert judged(RIGHT, response, RIGHT) == (3, [said])


def test_right_ones_are_counted_and_one_that_was_cut_off_is_not():
    assert judged(RIGHT, RIGHT[:-1]) == (2, [])


def test_the_rom_ends_at_four_gigabytes_and_begins_at_its_reset_vector():
    image = SCRIPT["rom"]()
    assert len(image) == 0x10000
    assert image[0xFFF0] == 0xE9
    target = 0xFFF3 + int.from_bytes(image[0xFFF1:0xFFF3], "little")
    assert target == 0x10000, "the jump wraps round to offset 0"
    assert image[0x810:0x826] == SCRIPT["GET_CAPABILITY"]
