"""Decoding: where an instruction ends, and what is refused, each refusal by its kind."""

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.guest.x86 import Truncated, decode

WHOLE = ["b8 11 00 00 00", "66 b8 11 00", "c7 05 24 00 d4 fe 11 22 33 44", "8b 84 88 04 00 00 00"]
WHOLE += ["0f b6 05 24 00 d4 fe", "f0 ff 00", "f3 66 a5", "e8 fb ff ff ff", "68 11 22 33 44"]


@pytest.mark.parametrize("code", WHOLE)
def test_an_instruction_cut_off_says_so_at_each_of_its_bytes(code: str) -> None:
    whole = bytes.fromhex(code)
    assert decode(whole, 0x1000).length == len(whole)
    for end in range(len(whole)):
        with pytest.raises(Truncated, match="at 0xfffe is cut off"):
            decode(whole[:end], 0xFFFE)


OUTSIDE = ["0f 0b", "f0 89 18", "8d c0", "f3 01 d8", "0f c7 c8", "66 f4"]
OUTSIDE += ["66 0f 8d b1 84", "66 e9 00 01", "66 e8 00 01", "f3 0f b8", "66 c3"]
"""The operand-size prefix makes a jump shorter: these are whole, and not in the subset."""


@pytest.mark.parametrize("code", OUTSIDE)
def test_what_is_outside_the_subset_is_not_called_cut_off(code: str) -> None:
    with pytest.raises(KvmExitError, match="no instruction of the subset at 0x1000") as refused:
        decode(bytes.fromhex(code), 0x1000)
    assert not isinstance(refused.value, Truncated)


@pytest.mark.parametrize(
    "code, fits",
    [
        ("66 " * 14 + "40", True),
        ("66 " * 15 + "40", False),
        ("66 " * 15, False),
        ("f0 " * 5 + "81 2d 24 00 d4 fe 01 00 00 00", True),
        ("f0 " * 6 + "81 2d 24 00 d4 fe 01 00 00 00", False),
        ("f0 " * 6 + "81 2d 24 00 d4 fe 01 00 00", False),
    ],
)
def test_more_than_fifteen_bytes_are_no_instruction(code: str, fits: bool) -> None:
    if fits:
        assert decode(bytes.fromhex(code), 0).length == 15
        return
    with pytest.raises(KvmExitError, match="more than 15 bytes") as refused:
        decode(bytes.fromhex(code), 0)
    assert not isinstance(refused.value, Truncated)


@pytest.mark.parametrize("code", ["90", None, [0x90]])
def test_what_is_no_bytes_is_refused(code: object) -> None:
    with pytest.raises(KvmExitError, match="decode takes bytes and their address, not"):
        decode(code, 0)
