from kvmexit.guest.assembler import (
    Program as Program,
    assemble as assemble,
)
from kvmexit.guest.driver import (
    BUFFER as BUFFER,
    BURSTS as BURSTS,
    HEADER as HEADER,
    PROGRAMS as PROGRAMS,
    TEXTS as TEXTS,
    tis_driver as tis_driver,
)
from kvmexit.guest.forms import FORMS as FORMS
from kvmexit.guest.tis_registers import (
    BUFFER_SIZE as BUFFER_SIZE,
    COMMAND_READY as COMMAND_READY,
    DATA_AVAIL as DATA_AVAIL,
    DATA_FIFO as DATA_FIFO,
    FAMILY_TPM2 as FAMILY_TPM2,
    INDEX as INDEX,
    RESPONSE_RETRY as RESPONSE_RETRY,
    STS as STS,
    TIS_BASE as TIS_BASE,
    TIS_SIZE as TIS_SIZE,
    VALID as VALID,
    XDATA_FIFO as XDATA_FIFO,
)
from kvmexit.guest.x86 import (
    Truncated as Truncated,
    decode as decode,
)
