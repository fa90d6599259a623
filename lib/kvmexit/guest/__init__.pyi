from kvmexit.guest.assembler import (
    Program as Program,
)
from kvmexit.guest.assembler import (
    assemble as assemble,
)
from kvmexit.guest.driver import (
    BUFFER as BUFFER,
)
from kvmexit.guest.driver import (
    BURSTS as BURSTS,
)
from kvmexit.guest.driver import (
    HEADER as HEADER,
)
from kvmexit.guest.driver import (
    PROGRAMS as PROGRAMS,
)
from kvmexit.guest.driver import (
    TEXTS as TEXTS,
)
from kvmexit.guest.driver import (
    tis_driver as tis_driver,
)
from kvmexit.guest.forms import FORMS as FORMS
from kvmexit.guest.tis_registers import (
    BUFFER_SIZE as BUFFER_SIZE,
)
from kvmexit.guest.tis_registers import (
    COMMAND_READY as COMMAND_READY,
)
from kvmexit.guest.tis_registers import (
    DATA_AVAIL as DATA_AVAIL,
)
from kvmexit.guest.tis_registers import (
    DATA_FIFO as DATA_FIFO,
)
from kvmexit.guest.tis_registers import (
    FAMILY_TPM2 as FAMILY_TPM2,
)
from kvmexit.guest.tis_registers import (
    INDEX as INDEX,
)
from kvmexit.guest.tis_registers import (
    RESPONSE_RETRY as RESPONSE_RETRY,
)
from kvmexit.guest.tis_registers import (
    STS as STS,
)
from kvmexit.guest.tis_registers import (
    TIS_BASE as TIS_BASE,
)
from kvmexit.guest.tis_registers import (
    TIS_SIZE as TIS_SIZE,
)
from kvmexit.guest.tis_registers import (
    VALID as VALID,
)
from kvmexit.guest.tis_registers import (
    XDATA_FIFO as XDATA_FIFO,
)
from kvmexit.guest.x86 import (
    Truncated as Truncated,
)
from kvmexit.guest.x86 import (
    decode as decode,
)
