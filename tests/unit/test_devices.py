"""The TIS as QEMU 7.2 was observed to behave, and as the report describes its own."""

import pytest
from kvmexit.errors import KvmExitError
from kvmexit.guest.tis_registers import (
    COMMAND_READY,
    DATA_FIFO,
    INDEX,
    RESPONSE_RETRY,
    STS,
    XDATA_FIFO,
)
from kvmexit.packet.experiment import response_of
from kvmexit.vmm.devices import DEVICES, Tis, TisIndexed, tis_2011
from kvmexit.vmm.machine import rewind


def sts(device: Tis) -> int:
    return int.from_bytes(device.read(STS, 4), "little")


def test_sts_of_a_response_of_0x183_bytes():
    """The words that a guest read from QEMU's tpm-tis with swtpm behind it."""
    device = Tis(response_of(0x183))
    assert sts(device) == 0x04018390
    for _ in range(0x182):
        device.read(DATA_FIFO, 1)
    assert sts(device) == 0x04000190
    device.read(DATA_FIFO, 1)
    assert sts(device) == 0x040E7D80
    assert device.read(DATA_FIFO, 4) == b"\xff" * 4
    assert sts(device) == 0x040E7D80, "reading past the end changes nothing"
    device.write(STS, bytes([RESPONSE_RETRY]))
    assert sts(device) == 0x04018390
    assert device.read(DATA_FIFO, 2) == b"\x80\x01"
    device.write(STS, bytes([COMMAND_READY]))
    assert sts(device) == 0x04100040
    assert device.left_over == 0x181


def test_wide_reads_pop_as_many_bytes_and_pad_the_tail():
    device = Tis(bytes.fromhex("8001000400"))
    assert device.read(XDATA_FIFO, 4) == bytes.fromhex("80010004")
    assert device.read(DATA_FIFO, 4) == bytes.fromhex("00ffffff")


def test_burst_count_is_readable_byte_by_byte():
    device = Tis(response_of(0x183))
    assert device.read(STS + 1, 1) + device.read(STS + 2, 1) == b"\x83\x01"
    empty = Tis(b"x")
    empty.read(DATA_FIFO, 1)
    assert empty.read(STS + 1, 1) == b"\xff", "a byte must not see 0x00 of 0x0f00"


def test_the_reports_device_returns_zero_past_the_end():
    device = tis_2011(b"x")
    assert device.read(DATA_FIFO, 1) + device.read(DATA_FIFO, 1) == b"x\0"


def test_the_indexed_device_can_be_read_again():
    device = TisIndexed(b"abc")
    device.write(INDEX, (1).to_bytes(4, "little"))
    assert device.read(DATA_FIFO, 1) == device.read(DATA_FIFO, 1) == b"b"
    assert device.left_over == 2
    device.write(INDEX, (9).to_bytes(4, "little"))
    assert device.left_over == 0 and not device.state.status & 0x10


@pytest.mark.parametrize("make", DEVICES.values(), ids=DEVICES)
def test_a_saved_state_is_the_whole_device(make):
    device, twin = make(response_of(20)), make(response_of(30))
    for offset in (STS, DATA_FIFO, DATA_FIFO, STS + 1):
        device.read(offset, 1)
    twin.load(device.save())
    for offset in (DATA_FIFO, STS, DATA_FIFO):
        assert device.read(offset, 2) == twin.read(offset, 2)


def test_rewind_steps_back_only_in_the_middle_of_a_response():
    device = Tis(b"abc")
    assert rewind(device.save()).offset == 0
    device.read(DATA_FIFO, 1)
    assert rewind(device.save()).offset == 0
    device.read(DATA_FIFO, 2)
    assert rewind(device.save()).offset == 3


@pytest.mark.parametrize("length", [0, 4097])
def test_a_response_that_no_tpm_gives_is_refused(length):
    with pytest.raises(KvmExitError, match=f"1 to 4096 bytes, this one has {length}"):
        Tis(bytes(length))
