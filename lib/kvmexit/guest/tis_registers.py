"""The TPM's TIS register file, as the devices and the guest's driver both know it.

Source: TCG PC Client TPM Interface Specification, by way of drivers/char/tpm/tpm_tis.c and
hw/tpm/tpm_tis_common.c.
"""

TIS_BASE, TIS_SIZE = 0xFED40000, 0x5000
STS, DATA_FIFO, XDATA_FIFO, INDEX = 0x18, 0x24, 0x80, 0x28
"""Offsets of the TIS registers, and of the index register that the 2011 report proposes.
No TIS has the latter; 0x28 is unused in locality 0 of the interface."""
WINDOW, STORE = 0xFF7, 0x1FF7
"""Where the labs' device has its FIFO, and a store of bytes, across the end of a page. No TIS has
them."""
VALID, COMMAND_READY, DATA_AVAIL, RESPONSE_RETRY = 0x80, 0x40, 0x10, 0x02
FAMILY_TPM2 = 0x04000000
BUFFER_SIZE = 4096
"""Bytes of the TPM's buffer, and so the longest response (QEMU's model)."""
